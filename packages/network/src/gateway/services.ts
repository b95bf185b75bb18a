/**
 * What the gateway itself answers over UDP: DHCP, and DNS by way of the main thread.
 *
 * RFC 2131, section 4.1, for where a DHCP message goes; RFC 1035, section 4.2.1, for DNS over UDP.
 *
 * @module
 */
import { type Frame, Parts, type Port } from "@skep/link"
import { DatagramHeaders, type Ends, type Gateway, isForMany, owns } from "@skep/stack"
import * as ethernet from "@skep/wire/ethernet"
import * as ip from "@skep/wire/ip"
import * as udp from "@skep/wire/udp"
import type { DhcpServer, Reply } from "../dhcp/index.ts"
import { DNS_WAITING_MACHINE_MAX, DNS_WAITING_MAX } from "../thread/calls.ts"
import type { Flows } from "./flows.ts"
import type { Machines } from "./machines.ts"

const DHCP_SERVER = 67
const DNS = 53
/** Longer than any DHCP message or DNS question over UDP has to be. */
const MESSAGE_MAX = 4096

export interface ServicesOptions {
  readonly gateway: Gateway
  readonly dhcp: DhcpServer
  readonly machines: Machines
  readonly flows: Flows
  readonly onQuestion: (id: number, machine: string, bytes: Uint8Array) => boolean
  /** Sends the reply when the leases of now are kept. */
  readonly whenKept: (port: Port, send: () => void) => void
  /** Something about leases may have changed. */
  readonly onLease: () => void
}

interface Waiting {
  readonly port: Port
  readonly machine: string
  readonly ends: Ends
}

export class Services {
  /** Questions that were dropped since too many wait. */
  dropped = 0
  /** Messages that are too long to be any. */
  malformed = 0
  badChecksum = 0
  readonly #options: ServicesOptions
  readonly #view = udp.view()
  readonly #payload = new Parts()
  readonly #questions = new Map<number, Waiting>()
  readonly #waitingOf = new Map<string, number>()
  #lastId = 0

  constructor(options: ServicesOptions) {
    this.#options = options
  }

  /** Returns whether the datagram was for the gateway. */
  onUdp(port: Port, frame: Frame, packet: ip.IpView): boolean {
    const { bytes } = frame
    const view = udp.parse(bytes, packet.payloadAt, frame.at + frame.head, packet.payloadEnd, this.#view)
    if (typeof view === "string") return false
    const { gateway, flows } = this.#options
    const { destinationAt, addressLength } = packet
    const own = owns(gateway, bytes, destinationAt, addressLength)
    const isDhcp =
      packet.version === 4 &&
      view.destination === DHCP_SERVER &&
      (own || isForMany(gateway, bytes, destinationAt, 4))
    if (!isDhcp && !(own && view.destination === DNS)) return false
    // RFC 1122, section 4.1.3.4: MUST silently discard.
    if (!flows.intact(frame, packet)) this.badChecksum++
    else if (isDhcp) this.#onDhcp(port, frame)
    else this.#onQuestion(port, frame, packet)
    return true
  }

  /** Sends the answer to a question; without bytes it is forgotten. */
  answer(id: number, bytes: Uint8Array | undefined): void {
    const waiting = this.#questions.get(id)
    if (waiting === undefined) return
    this.#forget(id, waiting)
    if (bytes !== undefined) this.#send(waiting.port, waiting.ends, bytes)
  }

  detach(port: Port): void {
    for (const [id, waiting] of this.#questions) if (waiting.port === port) this.#forget(id, waiting)
  }

  #onDhcp(port: Port, frame: Frame): void {
    const { dhcp, machines, onLease } = this.#options
    const machine = machines.at(port)?.name
    const message = this.#message(frame)
    if (message === undefined) return
    const reply = dhcp.receive(message, {
      now: Date.now(),
      mtu: port.mtu,
      ...(machine === undefined ? {} : { machine }),
    })
    onLease()
    if (reply !== undefined) this.#sendDhcp(port, frame, reply)
  }

  #sendDhcp(port: Port, frame: Frame, reply: Reply): void {
    const { gateway, whenKept } = this.#options
    const own = gateway.ipv4?.addresses[0]
    if (own === undefined) return
    const ends = {
      // A relay is on the same link: its frame brought the message.
      guestMac: reply.mac ?? ethernet.sourceOf(frame.bytes, frame.at),
      gatewayMac: gateway.mac,
      guest: reply.address,
      guestPort: reply.port,
      other: own,
      otherPort: DHCP_SERVER,
    }
    const send = (): void => this.#send(port, ends, reply.bytes)
    if (reply.binds) whenKept(port, send)
    else send()
  }

  #onQuestion(port: Port, frame: Frame, packet: ip.IpView): void {
    const { bytes } = frame
    const machine = this.#options.machines.at(port)?.name
    const message = this.#message(frame)
    if (machine === undefined || message === undefined) return
    const waiting = this.#waitingOf.get(machine) ?? 0
    if (this.#questions.size >= DNS_WAITING_MAX || waiting >= DNS_WAITING_MACHINE_MAX) {
      this.dropped++
      return
    }
    const id = ++this.#lastId
    const ends = {
      guestMac: ethernet.sourceOf(bytes, frame.at),
      gatewayMac: this.#options.gateway.mac,
      guest: bytes.slice(packet.sourceAt, packet.sourceAt + packet.addressLength),
      guestPort: this.#view.source,
      other: bytes.slice(packet.destinationAt, packet.destinationAt + packet.addressLength),
      otherPort: DNS,
    }
    if (!this.#options.onQuestion(id, machine, message)) {
      this.dropped++
      return
    }
    this.#questions.set(id, { port, machine, ends })
    this.#waitingOf.set(machine, waiting + 1)
  }

  #forget(id: number, { machine }: Waiting): void {
    this.#questions.delete(id)
    const left = (this.#waitingOf.get(machine) ?? 1) - 1
    if (left > 0) this.#waitingOf.set(machine, left)
    else this.#waitingOf.delete(machine)
  }

  /** A copy of the payload; undefined where it is no message of ours. */
  #message(frame: Frame): Uint8Array | undefined {
    const { payloadAt, payloadEnd } = this.#view
    const length = payloadEnd - payloadAt
    if (length > MESSAGE_MAX || payloadEnd > frame.at + frame.length) {
      this.malformed++
      return undefined
    }
    const { memory } = this.#options.flows
    const message = new Uint8Array(length)
    this.#payload.clear()
    this.#payload.append(frame.parts, payloadAt - frame.at, length)
    let at = 0
    for (let index = 0; index < this.#payload.count; index++) {
      memory.read(this.#payload.addressAt(index), this.#payload.lengthAt(index), message, at)
      at += this.#payload.lengthAt(index)
    }
    return message
  }

  #send(port: Port, ends: Ends, bytes: Uint8Array): void {
    const { flows } = this.#options
    const headers = new DatagramHeaders(ends, ip.PROTOCOL_UDP)
    flows.sendCopy(port, headers, bytes)
  }
}
