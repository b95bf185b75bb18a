/**
 * Forwards: listeners of the host whose clients are led to machines.
 *
 * The guest sees the gateway's address as the client's, with the client's port where that is free. A machine whose address or MAC is not known yet
 * is asked for, and the client waits a little.
 *
 * @module
 */

import type { ForwardRule } from "@skep/contract"
import type { Port } from "@skep/link"
import { type Scope, SystemError } from "@skep/loop"
import * as sys from "@skep/loop/sys"
import {
  type Ends,
  type Gateway,
  type Neighbours,
  OUT_SIZE,
  type SocketHost,
  TcpListener,
  UdpListener,
} from "@skep/stack"
import * as address from "@skep/wire/address"
import type { OpenForward } from "../forward/forward-table.ts"
import type { Flows } from "./flows.ts"
import type { Machine, Machines } from "./machines.ts"

/** How long a client waits for a machine that does not answer. */
const WAIT_MS = 3000
const RETRY_MS = 1000
/** Clients that wait at one time. */
const WAITING_MAX = 1024
/** RFC 6335, section 6. */
const EPHEMERAL_FIRST = 49_152
const EPHEMERAL = 65_536 - EPHEMERAL_FIRST

export interface ForwardsOptions {
  readonly scope: Scope
  readonly gateway: Gateway
  readonly machines: Machines
  readonly neighbours: Neighbours
  readonly flows: Flows
  readonly sockets: SocketHost
  readonly portOf: (mac: number) => Port | undefined
  readonly broadcast: (frame: Uint8Array, length: number) => void
  /** The address that a machine has by its lease. */
  readonly addressOf: (machine: Machine) => string | undefined
}

interface WaitingClient {
  readonly forward: OpenForward
  readonly fd: number
  readonly until: number
}

export class Forwards {
  /** Clients that gave up, or were given up, since there was no machine for them. */
  unanswered = 0
  readonly #options: ForwardsOptions
  readonly #out = new Uint8Array(OUT_SIZE)
  readonly #retry
  #waiting: WaitingClient[] = []
  #lastPort = 0

  constructor(options: ForwardsOptions) {
    this.#options = options
    this.#retry = options.scope.timer(() => this.onAnswer())
  }

  /** Listens for a rule. Throws the `SystemError` of bind(2) or listen(2). */
  open(forward: OpenForward): Disposable {
    const { scope, flows } = this.#options
    const { rule } = forward
    const at = { address: addressOf(rule.hostAddress), port: rule.hostPort }
    const listener =
      rule.transport === "tcp"
        ? TcpListener.open(scope, at, (fd) => this.#onClient(forward, fd))
        : UdpListener.open({
            scope,
            memory: flows.memory,
            at,
            buffer: flows.datagrams.buffer,
            onClient: (socket) => {
              const ends = this.#endsOf(rule)
              if (ends === undefined) {
                this.unanswered++
                return undefined
              }
              forward.accepted++
              return this.#withPort(ends.ends, (each) => flows.datagrams.call(ends.port, each, socket))
            },
          })
    if (typeof listener === "number") throw new SystemError("listen", -listener)
    return listener
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
    for (const { fd } of this.#waiting.splice(0)) sys.close(fd)
  }

  #onClient(forward: OpenForward, fd: number): void {
    forward.accepted++
    this.#lead({ forward, fd, until: this.#options.scope.loop.now + WAIT_MS })
  }

  #lead(client: WaitingClient): void {
    const { flows, sockets, scope } = this.#options
    const ends = this.#endsOf(client.forward.rule)
    if (ends === undefined) {
      if (scope.loop.now >= client.until || this.#waiting.length >= WAITING_MAX) {
        this.unanswered++
        sys.close(client.fd)
        return
      }
      this.#waiting.push(client)
      this.#retry.after(RETRY_MS)
      return
    }
    const flow = this.#withPort(ends.ends, (each) =>
      flows.tcp.call(ends.port, each, (events) => sockets.adopt(client.fd, events)),
    )
    if (flow === undefined) sys.close(client.fd)
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
    const guest = rule.guestAddress === undefined ? this.#leased(machine) : bytesOf(rule.guestAddress)
    if (guest === undefined) return undefined
    // What only the guest itself reaches (RFC 1122, section 3.2.1.3) has no neighbour to be asked: it goes to the machine as it is.
    const within = address.isLoopback(guest, 0, guest.length)
    const known = within ? this.#leased(machine) : guest
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

  #machineOf({ machine }: ForwardRule): Machine | undefined {
    const { machines } = this.#options
    return machine === undefined ? firstOf(machines) : machines.get(machine)
  }

  #leased(machine: Machine | undefined): Uint8Array | undefined {
    const leased = machine === undefined ? undefined : this.#options.addressOf(machine)
    return leased === undefined ? undefined : bytesOf(leased)
  }

  #ask(guest: Uint8Array): void {
    const { neighbours, broadcast, scope } = this.#options
    const size = neighbours.ask(guest, scope.loop.now, this.#out)
    if (size > 0) broadcast(this.#out, size)
  }
}

function firstOf(machines: Machines): Machine | undefined {
  for (const machine of machines) return machine
  return undefined
}

function addressOf(text: string): Uint8Array {
  const bytes = bytesOf(text)
  if (bytes === undefined) throw new SystemError("bind", sys.EINVAL)
  return bytes
}

function bytesOf(text: string): Uint8Array | undefined {
  const bytes = address.parse(text)
  return typeof bytes === "string" ? undefined : bytes
}
