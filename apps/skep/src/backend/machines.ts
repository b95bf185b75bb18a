/**
 * All machines of this user, and which of them is the active one.
 *
 * The active machine is `default`; without one, the machine that was created first. `$SKEP_RUN/docker.sock` leads to it.
 *
 * @module
 */
import { readdir, readlink, rename, rm, symlink } from "node:fs/promises"
import { dirname, join } from "node:path"
import { SidecarError } from "@skep/contract"
import type { ExportRequest } from "@skep/shares/exports"
import { checkName } from "../home/paths.ts"
import { type Changes, freeCid } from "../machine/record.ts"
import { type ExportsWish, takeBackGone } from "./exports/machine-exports.ts"
import type { MachineLeases, Removal, RemovedMachine } from "./leases/machine-leases.ts"
import { Machine } from "./machine.ts"
import type { MachineContext } from "./machine-context.ts"
import type { MachineView } from "./view.ts"

const DEFAULT_NAME = "default"

export class Machines {
  readonly #context: MachineContext
  readonly #machines = new Map<string, Machine>()
  /** Creations under way, so that two `skep up` of a new name make one machine. */
  readonly #creating = new Map<string, Promise<Machine>>()

  static async load(outer: Omit<MachineContext, "freeCid">): Promise<Machines> {
    const machines = new Machines({ ...outer, freeCid: () => machines.#freeCid() })
    const context = machines.#context
    const entries = await readdir(context.home.machines, { withFileTypes: true })
    for (const entry of entries) {
      if (!entry.isDirectory()) continue
      try {
        machines.#machines.set(entry.name, await Machine.load(entry.name, context))
      } catch (error) {
        // Its name is none, or its sockets have no room here: whoever names it is told so.
        context.log.info("machine left out", { machine: entry.name, reason: String(error) })
      }
    }
    await Promise.all([...machines.#machines.values()].map((machine) => machine.adopt()))
    await machines.#linkActive()
    await takeBackGone(context, async (name) => {
      const machine = machines.#machines.get(name)
      return machine === undefined || (await machine.isOver())
    })
    return machines
  }

  private constructor(context: MachineContext) {
    this.#context = context
  }

  get size(): number {
    return this.#machines.size + this.#creating.size
  }

  get(name: string): Machine {
    const machine = this.#machines.get(checkName(name))
    if (machine !== undefined) return machine
    const others = [...this.#machines.keys()]
    const known = others.length === 0 ? "there are no machines yet" : `the machines are ${others.join(", ")}`
    throw new SidecarError("not-found", `Cannot find the machine "${name}": ${known}`, {
      next: `Create it with skep up ${name}`,
    })
  }

  async getOrCreate(name: string, changes: Changes): Promise<Machine> {
    const there = this.#machines.get(checkName(name))
    if (there !== undefined) return there
    let creating = this.#creating.get(name)
    if (creating === undefined) {
      creating = Machine.create(name, changes, this.#context).finally(() => this.#creating.delete(name))
      this.#creating.set(name, creating)
    }
    const machine = await creating
    this.#machines.set(name, machine)
    await this.#linkActive()
    return machine
  }

  /** What the host's kernel would have to export to a machine after these changes, whether it is there or not. */
  async exportsFor(name: string, wish: ExportsWish, signal: AbortSignal): Promise<ExportRequest | undefined> {
    const machine = this.#machines.get(checkName(name))
    if (machine !== undefined) return await machine.exportsFor(wish, signal)
    return await Machine.exportsOfNew(name, wish.changes ?? {}, this.#context, signal)
  }

  /** Its address is the next machine's to have, unless that is to be kept. */
  async remove(name: string, { force, keepLease = false }: Removal): Promise<RemovedMachine> {
    const { leases } = this.#context
    const machine = this.get(name)
    await machine.remove(force)
    const kept = keepLease ? await leases.keep(name) : undefined
    const released = await leases.giveBack(name)
    if (this.#machines.get(name) === machine) this.#machines.delete(name)
    await this.#linkActive()
    return kept === undefined ? { released } : { released: [], kept }
  }

  /** Takes back a creation that was interrupted before the machine had ever been up. */
  async removeUnborn(name: string): Promise<void> {
    const machine = this.#machines.get(name)
    if (machine !== undefined && (await machine.isUnborn())) await this.remove(name, { force: true })
  }

  /** Gives back the addresses of machines that are not there any more. */
  async sweepLeases(signal: AbortSignal): Promise<void> {
    // Also those that cannot be read, or are only just being made.
    const there = new Set(await readdir(this.#context.home.machines))
    const exists = (name: string): boolean =>
      there.has(name) || this.#machines.has(name) || this.#creating.has(name)
    await this.#context.leases.sweep(exists, signal)
  }

  get leases(): MachineLeases {
    return this.#context.leases
  }

  async views(): Promise<readonly MachineView[]> {
    const active = this.active()
    return await Promise.all(
      [...this.#machines.values()].map((machine) => machine.view(machine.name === active)),
    )
  }

  async view(name: string): Promise<MachineView> {
    return await this.get(name).view(name === this.active())
  }

  /** The name of the active machine, or undefined when there are none. */
  active(): string | undefined {
    if (this.#machines.has(DEFAULT_NAME)) return DEFAULT_NAME
    return this.#machines.keys().next().value
  }

  async release(): Promise<void> {
    await rm(this.#context.home.dockerSocket, { force: true })
    await Promise.all([...this.#machines.values()].map((machine) => machine.release()))
  }

  #freeCid(): number {
    return freeCid([...this.#machines.values()].map((machine) => machine.guestCid))
  }

  async #linkActive(): Promise<void> {
    const { dockerSocket } = this.#context.home
    const active = this.active()
    if (active === undefined) {
      await rm(dockerSocket, { force: true })
      return
    }
    const target = join(active, "docker.sock")
    if ((await readlink(dockerSocket).catch(() => undefined)) === target) return
    const temporary = join(dirname(dockerSocket), ".docker.sock.new")
    await rm(temporary, { force: true })
    await symlink(target, temporary)
    await rename(temporary, dockerSocket)
  }
}
