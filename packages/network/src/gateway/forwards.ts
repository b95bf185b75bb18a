/**
 * Forwards: listeners of the host whose clients are led to machines.
 *
 * The guest sees the gateway's address as the client's, with the client's port where that is free. A machine whose address or MAC is not known yet
 * is asked for, and the client waits a little.
 *
 * @module
 */

import { type ForwardRule, SidecarError } from "@skep/contract"
import type { Port } from "@skep/link"
import { type Alarm, type Ends, type Gateway, host, type Neighbours, OUT_SIZE } from "@skep/stack"
import * as address from "@skep/wire/address"
import type { OpenForward } from "../forward/forward-table.ts"
import type { Driver } from "./driver.ts"
import type { Flows } from "./flows.ts"
import type { Machine, Machines } from "./machines.ts"

/** How long a client waits for a machine that does not answer. */
const WAIT_MS = 3000
const RETRY_MS = 1000
/** Addresses whose bytes are remembered. */
const PARSED_MAX = 1024
/** Clients that wait at one time. */
const WAITING_MAX = 1024
/** RFC 6335, section 6. */
const EPHEMERAL_FIRST = 49_152
const EPHEMERAL = 65_536 - EPHEMERAL_FIRST

export interface ForwardsOptions {
  readonly driver: Driver
  readonly gateway: Gateway
  readonly machines: Machines
  readonly neighbours: Neighbours
  readonly flows: Flows
  readonly portOf: (mac: number) => Port | undefined
  readonly broadcast: (frame: Uint8Array, length: number) => void
  /** The address that a machine has by its lease. */
  readonly addressOf: (machine: Machine) => string | undefined
}

interface WaitingClient {
  readonly forward: OpenForward
  readonly client: host.Client
  readonly until: number
}

export class Forwards {
  /** Clients that gave up, or were given up, since there was no machine for them. */
  unanswered = 0
  readonly #options: ForwardsOptions
  readonly #out = new Uint8Array(OUT_SIZE)
  readonly #retry: Alarm
  #opening: Promise<number> | undefined
  #waiting: WaitingClient[] = []
  #lastPort = 0
  readonly #parsed = new Map<string, Uint8Array | undefined>()

  constructor(options: ForwardsOptions) {
    this.#options = options
    this.#retry = options.driver.clock.alarm(() => this.onAnswer())
  }

  /** Listens for a rule. Throws the `SystemError` of bind(2) or listen(2), where that is known at once. */
  open(forward: OpenForward): Disposable {
    const { driver, flows } = this.#options
    const { rule } = forward
    const at = { address: addressOf(rule.hostAddress), port: rule.hostPort }
    const listener =
      rule.transport === "tcp"
        ? driver.listeners.tcp(at, (client) => this.#onClient(forward, client))
        : driver.listeners.udp(at, flows.datagrams.buffer, (socket) => this.#associate(forward, socket))
    if (typeof listener === "number") throw cannotListen(listener)
    this.#opening = listener.opening
    return listener
  }

  /** Settles when it is known whether the listener that was opened last does listen. Rejects with the error that says why it does not. */
  async opened(): Promise<void> {
    const opening = this.#opening
    this.#opening = undefined
    const result = (await opening) ?? 0
    if (result < 0) throw cannotListen(result)
  }

  /** An address that was asked for may be known by now. */
  onAnswer(): void {
    const waiting = this.#waiting
    this.#waiting = []
    for (const client of waiting) this.#lead(client)
    this.#options.flows.settle()
  }

  stop(): void {
    this.#retry.cancel()
    for (const { client } of this.#waiting.splice(0)) client.close()
  }

  #onClient(forward: OpenForward, client: host.Client): void {
    forward.accepted++
    this.#lead({ forward, client, until: this.#options.driver.clock.now() + WAIT_MS })
  }

  #lead(waiting: WaitingClient): void {
    const { flows, driver } = this.#options
    const { client } = waiting
    const { rule } = waiting.forward
    const ends = this.#endsOf(rule)
    if (ends === undefined) {
      const now = driver.clock.now()
      if (now >= waiting.until || this.#waiting.length >= WAITING_MAX || this.#isAbsent(rule, now)) {
        this.unanswered++
        client.close()
        return
      }
      this.#waiting.push(waiting)
      this.#retry.at(now + RETRY_MS)
      return
    }
    const flow = this.#withPort(ends.ends, (each) =>
      flows.tcp.call(ends.port, each, (events) => client.serve(events)),
    )
    if (flow === undefined) client.close()
  }

  #associate(forward: OpenForward, socket: host.DatagramSocket): host.DatagramTaker | undefined {
    const ends = this.#endsOf(forward.rule)
    if (ends === undefined) {
      this.unanswered++
      return undefined
    }
    forward.accepted++
    const { datagrams } = this.#options.flows
    return this.#withPort(ends.ends, (each) => datagrams.call(ends.port, each, socket))
  }

  /** Tries ports of the gateway until one is free towards this guest. */
  #withPort<Flow>(ends: Ends, call: (ends: Ends) => Flow | undefined): Flow | undefined {
    for (let tries = 0; tries < 16; tries++) {
      this.#lastPort = (this.#lastPort + 1) % EPHEMERAL
      const flow = call({ ...ends, otherPort: EPHEMERAL_FIRST + this.#lastPort })
      if (flow !== undefined) return flow
    }
    return undefined
  }

  /** Where a rule leads now; asks for the machine where that is not known. */
  #endsOf(rule: ForwardRule): { readonly port: Port; readonly ends: Ends } | undefined {
    const { gateway, neighbours, portOf } = this.#options
    const machine = this.#machineOf(rule)
    const guest = rule.guestAddress === undefined ? this.#leased(machine) : this.#bytesOf(rule.guestAddress)
    if (guest === undefined) return undefined
    const known = this.#neighbourOf(rule)
    const guestMac = known === undefined ? -1 : neighbours.lookup(known, 0, known.length)
    // What leads to a machine by its name goes by its own link, whoever else may use its MAC address.
    const named = rule.machine !== undefined && rule.guestAddress === undefined
    const port = guestMac === -1 ? undefined : named ? machine?.port : portOf(guestMac)
    const other = (guest.length === 4 ? gateway.ipv4 : gateway.ipv6)?.addresses[0]
    if (port === undefined || other === undefined) {
      if (known !== undefined) this.#ask(known)
      return undefined
    }
    return {
      port,
      ends: { guestMac, gatewayMac: gateway.mac, guest, guestPort: rule.guestPort, other, otherPort: 0 },
    }
  }

  /** Whether somebody has asked for the machine before this client, and in vain: then there is no use in waiting once more. */
  #isAbsent(rule: ForwardRule, now: number): boolean {
    const guest = this.#neighbourOf(rule)
    return guest !== undefined && this.#options.neighbours.isUnanswered(guest, now)
  }

  /** The address that is asked for on the link. */
  #neighbourOf(rule: ForwardRule): Uint8Array | undefined {
    const guest = rule.guestAddress === undefined ? undefined : bytesOf(rule.guestAddress)
    // What only the guest itself reaches (RFC 1122, section 3.2.1.3) has no neighbour to be asked: it goes to the machine as it is.
    return guest === undefined || address.isLoopback(guest, 0, guest.length)
      ? this.#leased(this.#machineOf(rule))
      : guest
  }

  #machineOf({ machine }: ForwardRule): Machine | undefined {
    const { machines } = this.#options
    return machine === undefined ? firstOf(machines) : machines.get(machine)
  }

  #leased(machine: Machine | undefined): Uint8Array | undefined {
    const leased = machine === undefined ? undefined : this.#options.addressOf(machine)
    return leased === undefined ? undefined : this.#bytesOf(leased)
  }

  /** The same few texts are asked for with each client. */
  #bytesOf(text: string): Uint8Array | undefined {
    const known = this.#parsed.get(text)
    if (known !== undefined) return known
    if (this.#parsed.size >= PARSED_MAX) this.#parsed.clear()
    const bytes = bytesOf(text)
    this.#parsed.set(text, bytes)
    return bytes
  }

  #ask(guest: Uint8Array): void {
    const { neighbours, broadcast, driver } = this.#options
    const size = neighbours.ask(guest, driver.clock.now(), this.#out)
    if (size > 0) broadcast(this.#out, size)
  }
}

function firstOf(machines: Machines): Machine | undefined {
  for (const machine of machines) return machine
  return undefined
}

function addressOf(text: string): Uint8Array {
  const bytes = bytesOf(text)
  if (bytes === undefined)
    throw new SidecarError("bad-options", `Cannot listen on "${text}": it is no address`)
  return bytes
}

function bytesOf(text: string): Uint8Array | undefined {
  const bytes = address.parse(text)
  return typeof bytes === "string" ? undefined : bytes
}

/** The error of bind(2) and listen(2), by its name. */
function cannotListen(result: number): Error {
  const code = host.errorName(-result)
  return Object.assign(new Error(`listen: ${code}`), { code })
}
