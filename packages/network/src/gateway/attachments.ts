/**
 * How machines come to a network and leave it: their links are opened, put on the switch, and taken away with all that was theirs.
 *
 * @module
 */
import { SidecarError } from "@skep/contract"
import { InterposedLink, type Port, type Switch } from "@skep/link"
import * as mac from "@skep/wire/mac"
import type { LinkSpec } from "../links/link-spec.ts"
import { MACHINES_MAX } from "../thread/calls.ts"
import type { Containment } from "./containment.ts"
import { type Driver, type OpenedLink, timerOf } from "./driver.ts"
import { applyFaults } from "./faults.ts"
import type { Machine, Machines } from "./machines.ts"
import type { NoticeBudget } from "./notice-budget.ts"

/** After an error of ours a link is opened again, at most so often. */
const REOPEN_MS = 1000
/** How long a machine stays away that was behind too many errors of ours. To connect again is no way back: a guest can do that as often as it likes. */
const CUT_OFF_MS = 60_000

export interface AttachmentsOptions {
  readonly driver: Driver
  /** Of links that have none of their own. */
  readonly mtu: number
  readonly machines: Machines
  readonly switch: Switch
  readonly notices: NoticeBudget
  readonly containment: Containment
  /** The machine is on the switch. */
  readonly onAttached: (machine: Machine) => void
  /** The machine goes: whatever is its own ends, while its port still sends. */
  readonly onDetach: (machine: Machine) => void
  /** The machine is cut off: its flows end. Its link stays. */
  readonly onCutOff: (machine: Machine) => void
  /** A machine that does not come back: its forwards end. */
  readonly onRemoved: (name: string) => void
}

export class Attachments {
  readonly #options: AttachmentsOptions
  readonly #opened = new Map<Machine, OpenedLink>()
  #attaching: Omit<Machine, "port"> | undefined

  constructor(options: AttachmentsOptions) {
    this.#options = options
  }

  /** Opens the link of a machine. Throws "exists", "busy", or the `SystemError` of what refused; then nothing is left of it. */
  add(spec: LinkSpec): { readonly endpoint: string } {
    const { driver, mtu, notices } = this.#options
    const { machine } = spec
    this.#refuse(spec)
    const opened = driver.openLink(spec, {
      mtu,
      // A guest can break its queues as often as it likes.
      onBroken: (reason) => notices.tell({ type: "link-broken", machine, reason }),
      onError: (error) => this.#onError(spec, error),
    })
    try {
      this.#attach(spec, opened)
      return { endpoint: opened.endpoint }
    } catch (error) {
      const half = this.#options.machines.get(spec.machine)
      if (half !== undefined) this.#detach(half)
      this.#attaching = undefined
      opened.link[Symbol.dispose]()
      opened[Symbol.dispose]()
      throw error
    }
  }

  /** Takes the link of a machine away, with all that is the machine's. Throws "not-found". */
  remove(name: string): void {
    const machine = this.#options.machines.get(name)
    if (machine === undefined)
      throw new SidecarError("not-found", `Cannot remove the link of "${name}": there is none`)
    this.#detach(machine)
    this.#options.onRemoved(name)
  }

  /** Nothing comes from the machine, or to it, for a minute. Whoever calls may be in one of its flows. */
  cutOff(name: string): void {
    const { driver, machines, notices, onCutOff } = this.#options
    const machine = machines.get(name)
    if (machine === undefined || machine.cutOffUntil > 0) return
    machine.cutOffUntil = driver.clock.now() + CUT_OFF_MS
    machine.port.partitioned = true
    notices.tell({
      type: "link-broken",
      machine: name,
      reason: "too many exceptions: it is cut off for a minute",
    })
    driver.later(() => {
      if (machines.get(name) === machine) onCutOff(machine)
    })
    timerOf(driver.clock, () => this.#readmit(name)).after(CUT_OFF_MS)
  }

  #readmit(name: string): void {
    const { driver, machines } = this.#options
    const machine = machines.get(name)
    if (machine === undefined || driver.clock.now() < machine.cutOffUntil) return
    machine.cutOffUntil = 0
    machine.port.partitioned = machine.faults?.partition ?? false
  }

  /** The machine of a port, also while it is being attached: its carrier may come up from within. */
  at(port: Port): Machine | undefined {
    return this.#options.machines.at(port) ?? this.#admit(port)
  }

  #refuse({ machine, mac: address }: LinkSpec): void {
    const { machines } = this.#options
    const refused = (code: "busy" | "exists", why: string) =>
      new SidecarError(code, `Cannot add a link for "${machine}": ${why}`)
    if (machines.get(machine) !== undefined) throw refused("exists", "it has one")
    if (machines.size >= MACHINES_MAX) throw refused("busy", `${MACHINES_MAX} are there`)
    if (address === undefined) return
    for (const { name, spec } of machines)
      if (spec.mac === address) throw refused("exists", `${address} is that of "${name}"`)
  }

  #attach(spec: LinkSpec, opened: OpenedLink): void {
    const { clock } = this.#options.driver
    const link = new InterposedLink(opened.link, {
      get now() {
        return clock.now()
      },
      timer: (callback) => timerOf(clock, () => this.#within(spec, callback)),
    })
    const reserved = spec.mac === undefined ? undefined : mac.parse(spec.mac)
    const reserve = typeof reserved === "number" ? [reserved] : []
    this.#attaching = {
      name: spec.machine,
      spec,
      link,
      endpoint: opened.endpoint,
      mac: 0,
      source: 0,
      source6: new Uint8Array(16),
      policy: undefined,
      faults: undefined,
      cutOffUntil: 0,
    }
    const machine = this.at(this.#options.switch.attach(link, { reserve }))
    if (machine === undefined) return
    this.#opened.set(machine, opened)
    this.#options.onAttached(machine)
  }

  #admit(port: Port): Machine | undefined {
    if (this.#attaching === undefined) return undefined
    const machine = { ...this.#attaching, port }
    this.#attaching = undefined
    this.#options.machines.add(machine)
    return machine
  }

  #detach(machine: Machine): void {
    this.#options.onDetach(machine)
    this.#options.machines.remove(machine)
    machine.port[Symbol.dispose]()
    this.#opened.get(machine)?.[Symbol.dispose]()
    this.#opened.delete(machine)
  }

  /** What faults of a link do in their own time is the link's. */
  #within(spec: LinkSpec, callback: () => void): void {
    try {
      callback()
    } catch (error) {
      this.#onError(spec, error)
    }
  }

  /**
   * An exception in a link's handler has ended it: a bug of ours, which a guest may have found. It costs that machine its flows, and no other
   * one anything; its link is opened anew.
   */
  #onError({ machine: name }: LinkSpec, error: unknown): void {
    const { machines, notices, driver, containment } = this.#options
    containment.note({ where: "link", machine: name, error })
    const broken = machines.get(name)
    if (broken === undefined) return
    notices.tell({ type: "link-broken", machine: name, reason: String(error) })
    timerOf(driver.clock, () => this.#reopen(broken)).after(
      Math.max(REOPEN_MS, broken.cutOffUntil - driver.clock.now()),
    )
  }

  #reopen(broken: Machine): void {
    const { machines, notices, onRemoved } = this.#options
    const { name, spec, policy, faults, cutOffUntil } = broken
    if (machines.get(name) !== broken) return
    this.#detach(broken)
    try {
      this.add(spec)
    } catch (error) {
      notices.tell({ type: "link-broken", machine: name, reason: String(error) })
      onRemoved(name)
      return
    }
    const machine = machines.get(name)
    if (machine === undefined) return
    machine.policy = policy
    machine.cutOffUntil = cutOffUntil
    applyFaults(machine, faults)
  }
}
