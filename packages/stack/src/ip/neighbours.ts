/**
 * The neighbours on the network: ARP and Neighbor Discovery in one. Learns who has which address, answers for ours, says what an IPv6 router says.
 *
 * ```
 *  ARP ─► arp-responder ─┐             ┌─► neighbour-table: address ─► MAC
 *                        ├─► learn ────┤
 *  NDP ─► ndp-responder ─┘             └─► questions: whom we asked
 *               │    └───► answers, router-advertiser ─► out
 *               └────────► probes: who is about to have an address
 * ```
 *
 * Deviation: no Neighbor Unreachability Detection (RFC 4861, section 7.3). A machine that is gone is known from its link: `forget`.
 *
 * Every function that takes `out` writes at most one frame there, which has room for `OUT_SIZE` bytes, and returns its size, or 0.
 *
 * @module
 */
import type { Frame } from "@skep/link"
import { contains, linkLocalOf, solicitedNode } from "@skep/wire/address"
import * as arp from "@skep/wire/arp"
import { same, u32 } from "@skep/wire/bytes"
import * as ethernet from "@skep/wire/ethernet"
import type { IpView } from "@skep/wire/ip"
import * as mac from "@skep/wire/mac"
import * as ndp from "@skep/wire/ndp"
import { arpVerdict, judgeArp } from "./arp-responder.ts"
import { Counts } from "./counts.ts"
import { type Gateway, isMachine, speaker } from "./gateway.ts"
import { judgeNdp, ndpVerdict } from "./ndp-responder.ts"
import { bytesOf, type Key, keyOf, NeighbourTable } from "./neighbour-table.ts"
import { payloadAt, sealIcmp, writeArp } from "./packet-writer.ts"
import { Probes } from "./probes.ts"
import { Questions } from "./questions.ts"
import { RouterAdvertiser, type RouterOptions } from "./router-advertiser.ts"

/** RFC 5227, section 2.4: DEFEND_INTERVAL. */
const DEFEND_MS = 10_000
const PER_MACHINE = 64
/** Where the interface identifier begins (RFC 4291, section 2.5.1). */
const IDENTIFIER = 8

const ALL_NODES = Uint8Array.from([0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1])
const ALL_NODES_MAC = mac.ofIpv6Group(1)

export interface NeighboursOptions extends RouterOptions {
  /** Addresses that one machine may have; its oldest goes. */
  readonly perMachine?: number
  /** Whether a machine may have the address of `length` bytes at `at`. Any, unless said. */
  readonly mayHave?: (machine: number, bytes: Uint8Array, at: number, length: number) => boolean
  /** An address that was asked for is known. */
  readonly onAnswer?: (bytes: Uint8Array, at: number, length: number) => void
  /** A machine has an address that it had not before, or has one no more. */
  readonly onChange?: (machine: number) => void
}

const COUNTERS = [
  "arp-in",
  "ndp-in",
  "answered",
  "advertised",
  "asked",
  "learnt",
  "moved",
  "defended",
  "not-theirs",
  "arp-truncated",
  "arp-bad-hardware",
  "arp-bad-protocol",
  "arp-bad-operation",
  "arp-other-station",
  "arp-claims-ours",
  "arp-bad-sender",
  "ndp-truncated",
  "ndp-bad-type",
  "ndp-bad-code",
  "ndp-bad-target",
  "ndp-bad-option",
  "ndp-hop-limit",
  "ndp-checksum",
  "ndp-rogue-router",
  "ndp-other-station",
  "ndp-claims-ours",
  "ndp-bad-sender",
] as const

export type NeighbourCounter = (typeof COUNTERS)[number]

export class Neighbours {
  readonly counts: Counts<NeighbourCounter> = new Counts(COUNTERS)
  readonly #gateway: Gateway
  readonly #options: NeighboursOptions
  readonly #table: NeighbourTable
  readonly #questions = new Questions()
  readonly #probes = new Probes()
  readonly #advertiser: RouterAdvertiser
  readonly #arp = arpVerdict()
  readonly #ndp = ndpVerdict()
  #defendedMs = Number.NEGATIVE_INFINITY

  constructor(gateway: Gateway, options: NeighboursOptions) {
    this.#gateway = gateway
    this.#options = options
    this.#table = new NeighbourTable(options.perMachine ?? PER_MACHINE)
    this.#advertiser = new RouterAdvertiser(gateway, options)
  }

  /** The MAC address of who has the IP address of `length` bytes at `at`, or -1: then `ask`. */
  lookup(bytes: Uint8Array, at: number, length: number): number {
    return this.#table.lookup(keyOf(bytes, at, length))
  }

  /** The machine that has the IP address, or -1. */
  holderOf(bytes: Uint8Array, at: number, length: number): number {
    return this.#table.holderOf(keyOf(bytes, at, length))
  }

  /**
   * The IPv6 address of our network by which a machine, or what uses this MAC address at its link, is reached: the one made of the MAC address (RFC
   * 4291, appendix A), else that which came first, since those that come and go (RFC 8981) come after.
   */
  addressOf(machine: number, station: number): Uint8Array | undefined {
    const { ipv6 } = this.#gateway
    let first: Uint8Array | undefined
    for (const key of this.#table.of(machine, station)) {
      if (ipv6 === undefined || typeof key === "number") continue
      const address = bytesOf(key)
      if (!contains(ipv6.prefix, address)) continue
      if (same(address, IDENTIFIER, linkLocalOf(station), IDENTIFIER, IDENTIFIER)) return address
      first ??= address
    }
    return first
  }

  /** Asks all machines who has an address; at most once a second, three times. Addresses that no machine can have are not asked for. */
  ask(address: Uint8Array, nowMs: number, out: Uint8Array): number {
    const source = speaker(this.#gateway, address.length)
    if (source === undefined || !isMachine(this.#gateway, address, 0, address.length)) return 0
    if (!this.#questions.ask(keyOf(address, 0, address.length), nowMs)) return 0
    this.counts.add("asked")
    return address.length === 4 ? this.#askArp(address, source, out) : this.#askNdp(address, source, out)
  }

  /** Whether an address was asked for and nobody answered: the destination is unreachable. */
  isUnanswered(address: Uint8Array, nowMs: number): boolean {
    return this.#questions.isUnanswered(keyOf(address, 0, address.length), nowMs)
  }

  /** Takes the ARP packet in a frame of a machine. */
  onArp(frame: Frame, machine: number, nowMs: number, out: Uint8Array): number {
    this.counts.add("arp-in")
    const station = stationOf(frame)
    const verdict = judgeArp(this.#gateway, frame, station, this.#arp)
    if (verdict.refusal !== undefined) {
      this.counts.add(verdict.refusal)
      if (verdict.refusal !== "arp-claims-ours") return 0
      return this.#defend(frame.bytes, verdict.packet.senderAt, 4, nowMs, out)
    }
    if (verdict.learnAt !== -1) this.learn(frame, verdict.learnAt, 4, machine)
    if (verdict.askedAt === -1) return 0
    this.counts.add("answered")
    const { bytes } = frame
    return writeArp(out, station, {
      operation: arp.REPLY,
      senderMac: this.#gateway.mac,
      sender: bytes.subarray(verdict.askedAt, verdict.askedAt + 4),
      targetMac: station,
      target: bytes.subarray(verdict.packet.senderAt, verdict.packet.senderAt + 4),
    })
  }

  /** Takes the ICMPv6 message of `packet`, for which `isNdp` is true. */
  onNdp(frame: Frame, packet: Readonly<IpView>, machine: number, nowMs: number, out: Uint8Array): number {
    this.counts.add("ndp-in")
    const { bytes } = frame
    const station = stationOf(frame)
    const verdict = judgeNdp(this.#gateway, frame, packet, station, this.#ndp)
    if (verdict.refusal !== undefined) {
      this.counts.add(verdict.refusal)
      const claimedAt =
        verdict.message.type === ndp.ADVERTISEMENT ? verdict.message.targetAt : packet.sourceAt
      return verdict.refusal === "ndp-claims-ours" ? this.#defend(bytes, claimedAt, 16, nowMs, out) : 0
    }
    if (verdict.learnAt !== -1) this.learn(frame, verdict.learnAt, 16, machine)
    else if (verdict.anonymous && !verdict.askedRouter)
      this.#expect(bytes, verdict.message.targetAt, machine, nowMs)
    const asker = verdict.anonymous ? undefined : bytes.subarray(packet.sourceAt, packet.sourceAt + 16)
    if (verdict.askedRouter) {
      this.counts.add("advertised")
      return this.#advertiser.answer(asker, station, machine, out)
    }
    if (verdict.askedAt === -1) return 0
    this.counts.add("answered")
    return this.#advertise(bytes.subarray(verdict.askedAt, verdict.askedAt + 16), asker, station, out)
  }

  /** Remembers that the sender of `frame`, a machine, has the address of `length` bytes at `at`. Others than machines' are passed over. */
  learn(frame: Frame, at: number, length: number, machine: number): void {
    const { bytes } = frame
    const station = stationOf(frame)
    if (station === this.#gateway.mac || mac.isGroup(station)) return
    if (!isMachine(this.#gateway, bytes, at, length)) return
    const key = keyOf(bytes, at, length)
    if (!this.#table.has(key, station, machine)) {
      if (this.#options.mayHave?.(machine, bytes, at, length) === false) {
        this.counts.add("not-theirs")
        return
      }
      this.counts.add(this.#table.learn(key, station, machine))
      this.#options.onChange?.(machine)
    }
    this.#probes.settle(key)
    if (this.#questions.answer(key)) this.#options.onAnswer?.(bytes, at, length)
  }

  /** The machine is gone. */
  forget(machine: number): void {
    this.#table.forget(machine)
    this.#probes.forget(machine)
  }

  /** A machine may have started anew: it is asked for the IPv6 addresses that it had, and those of which it says nothing are forgotten. */
  recheck(machine: number, nowMs: number): void {
    for (const key of this.#table.all(machine))
      if (typeof key === "string") this.#probes.note({ key, address: bytesOf(key), machine }, nowMs)
  }

  /** Says to all that an address of ours is ours (RFC 5227, section 2.3; RFC 4861, section 7.2.6). */
  announce(own: Uint8Array, out: Uint8Array): number {
    if (own.length === 16) return this.#advertise(own, undefined, ALL_NODES_MAC, out)
    const fields = { senderMac: this.#gateway.mac, sender: own, targetMac: 0, target: own }
    return writeArp(out, mac.BROADCAST, { operation: arp.REQUEST, ...fields })
  }

  /** When `dispatch` or `probe` next has something to say. */
  pollAt(): number {
    return Math.min(this.#advertiser.pollAt(), this.#probes.pollAt())
  }

  /** Asks a machine for an address that it is about to have. `send` is called for one frame at most, which goes to that machine alone. */
  probe(nowMs: number, out: Uint8Array, send: (machine: number, size: number) => void): void {
    const probe = this.#probes.next(nowMs, ({ key, machine }) => this.#drop(key, machine))
    const source = speaker(this.#gateway, 16)
    if (probe === undefined || source === undefined) return
    this.counts.add("asked")
    send(probe.machine, this.#askNdp(probe.address, source, out))
  }

  /** What is due to all machines. Where their links have MTUs of their own, each is told by `advertise` instead. */
  dispatch(nowMs: number, out: Uint8Array): number {
    return this.#advertiser.dispatch(nowMs, out)
  }

  /** What a machine is told of us as a router, with the MTU of its own link. */
  advertise(machine: number, out: Uint8Array): number {
    return this.#advertiser.advertise(machine, out)
  }

  #drop(key: Key, machine: number): void {
    this.#table.drop(key, machine)
    this.#options.onChange?.(machine)
  }

  #expect(bytes: Uint8Array, at: number, machine: number, nowMs: number): void {
    const { ipv6 } = this.#gateway
    if (ipv6 === undefined || !contains(ipv6.prefix, bytes, at, 16)) return
    if (!isMachine(this.#gateway, bytes, at, 16)) return
    const key = keyOf(bytes, at, 16)
    if (this.#table.holderOf(key) === -1)
      this.#probes.note({ key, address: bytes.slice(at, at + 16), machine }, nowMs)
  }

  #defend(bytes: Uint8Array, at: number, length: number, nowMs: number, out: Uint8Array): number {
    if (nowMs - this.#defendedMs < DEFEND_MS) return 0
    this.#defendedMs = nowMs
    this.counts.add("defended")
    return this.announce(bytes.subarray(at, at + length), out)
  }

  #askArp(target: Uint8Array, sender: Uint8Array, out: Uint8Array): number {
    const fields = { senderMac: this.#gateway.mac, sender, targetMac: 0, target }
    return writeArp(out, mac.BROADCAST, { operation: arp.REQUEST, ...fields })
  }

  #askNdp(target: Uint8Array, source: Uint8Array, out: Uint8Array): number {
    const length = ndp.emitSolicitation(out, payloadAt(16), target, this.#gateway.mac)
    const destination = solicitedNode(target, 0)
    const toMac = mac.ofIpv6Group(u32(destination, 12))
    const { mac: fromMac } = this.#gateway
    return sealIcmp(out, { fromMac, toMac, source, destination, hopLimit: ndp.HOP_LIMIT }, length)
  }

  /** To who asked, or to all, though perhaps only one station is to hear it. */
  #advertise(own: Uint8Array, asker: Uint8Array | undefined, toMac: number, out: Uint8Array): number {
    const { mac: fromMac } = this.#gateway
    const length = ndp.emitAdvertisement(out, payloadAt(16), {
      target: own,
      linkAddress: fromMac,
      router: true,
      solicited: asker !== undefined,
      override: true,
    })
    const envelope = { fromMac, toMac, source: own, destination: asker ?? ALL_NODES }
    return sealIcmp(out, { ...envelope, hopLimit: ndp.HOP_LIMIT }, length)
  }
}

function stationOf(frame: Frame): number {
  return ethernet.sourceOf(frame.bytes, frame.at)
}
