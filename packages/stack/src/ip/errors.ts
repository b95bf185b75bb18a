/**
 * ICMP and ICMPv6 errors to a machine about a packet of its own: RFC 792, RFC 1122 section 3.2.2, RFC 1812 section 4.3, RFC 1191, RFC 4443.
 *
 * Deviation: what is quoted ends with the bytes at hand (at most `QUOTE_MAX`), where RFC 4443 wants as much as fits into the minimum MTU.
 *
 * @module
 */
import type { Frame } from "@skep/link"
import { isLoopback, isUnspecified } from "@skep/wire/address"
import { copy, u8 } from "@skep/wire/bytes"
import * as icmp from "@skep/wire/icmp"
import * as icmpv6 from "@skep/wire/icmpv6"
import * as ip from "@skep/wire/ip"
import { Counts } from "./counts.ts"
import { type Gateway, isForMany, speaker } from "./gateway.ts"
import { payloadAt, sealIcmp } from "./packet-writer.ts"
import { TokenBuckets } from "./token-bucket.ts"

export type ProblemKind =
  | "no-route"
  | "host-unreachable"
  | "port-unreachable"
  | "protocol-unreachable"
  | "prohibited"
  /** `value` is the MTU. */
  | "too-big"
  | "hops-exceeded"
  | "reassembly-exceeded"
  /** The option that `IpView.problemAt` points at. */
  | "unknown-option"
  | "unknown-routing"

export interface Problem {
  readonly kind: ProblemKind
  /** The MTU, of "too-big". */
  readonly value?: number
}

/** The packet in question, or the beginning of it. */
export interface Original {
  readonly bytes: Uint8Array
  /** Where its IP header begins. */
  readonly at: number
  /** How far it can be read. */
  readonly head: number
  /** The MAC address of the machine that sent it. */
  readonly mac: number
}

/** So much is quoted at most: with all headers not more than the 576 bytes that RFC 1812, section 4.3.2.3 wants. */
const QUOTE_MAX = 512

const HOP_LIMIT = 64
/** Longer than any packet says it is. */
const LENGTH_MAX = 0x2_0000
const BURST = 100
const PER_SECOND = 100
/** RFC 791 and RFC 8200: every link takes so much. */
const MTU_MIN = { 4: 68, 6: 1280 } as const

/** Type and code; "pointer" for an ICMPv6 parameter problem. */
interface Code {
  readonly type: number
  readonly code: number
}

const CODES: Readonly<Record<ProblemKind, { readonly 4: Code | undefined; readonly 6: Code }>> = {
  "no-route": {
    4: { type: icmp.UNREACHABLE, code: icmp.NET_UNREACHABLE },
    6: { type: icmpv6.UNREACHABLE, code: icmpv6.NO_ROUTE },
  },
  "host-unreachable": {
    4: { type: icmp.UNREACHABLE, code: icmp.HOST_UNREACHABLE },
    6: { type: icmpv6.UNREACHABLE, code: icmpv6.ADDRESS_UNREACHABLE },
  },
  "port-unreachable": {
    4: { type: icmp.UNREACHABLE, code: icmp.PORT_UNREACHABLE },
    6: { type: icmpv6.UNREACHABLE, code: icmpv6.PORT_UNREACHABLE },
  },
  "protocol-unreachable": {
    4: { type: icmp.UNREACHABLE, code: icmp.PROTOCOL_UNREACHABLE },
    6: { type: icmpv6.PARAMETER_PROBLEM, code: icmpv6.UNKNOWN_NEXT_HEADER },
  },
  prohibited: {
    4: { type: icmp.UNREACHABLE, code: icmp.PROHIBITED },
    6: { type: icmpv6.UNREACHABLE, code: icmpv6.PROHIBITED },
  },
  "too-big": {
    4: { type: icmp.UNREACHABLE, code: icmp.FRAGMENTATION_NEEDED },
    6: { type: icmpv6.PACKET_TOO_BIG, code: 0 },
  },
  "hops-exceeded": {
    4: { type: icmp.TIME_EXCEEDED, code: icmp.HOPS_EXCEEDED },
    6: { type: icmpv6.TIME_EXCEEDED, code: icmpv6.HOPS_EXCEEDED },
  },
  "reassembly-exceeded": {
    4: { type: icmp.TIME_EXCEEDED, code: icmp.REASSEMBLY_EXCEEDED },
    6: { type: icmpv6.TIME_EXCEEDED, code: icmpv6.REASSEMBLY_EXCEEDED },
  },
  "unknown-option": { 4: undefined, 6: { type: icmpv6.PARAMETER_PROBLEM, code: icmpv6.UNKNOWN_OPTION } },
  "unknown-routing": { 4: undefined, 6: { type: icmpv6.PARAMETER_PROBLEM, code: icmpv6.BAD_FIELD } },
}

const COUNTERS = ["sent", "limited", "unfit"] as const

export class Errors {
  /** "unfit": the packet was of a kind that is never answered by an error. */
  readonly counts: Counts<(typeof COUNTERS)[number]> = new Counts(COUNTERS)
  readonly #gateway: Gateway
  readonly #buckets = new TokenBuckets(BURST, PER_SECOND)
  readonly #packet = ip.ipView()

  constructor(gateway: Gateway) {
    this.#gateway = gateway
  }

  /** Writes the frame that tells a machine of a problem with its packet. Returns its size, or 0 where it is not to be told. */
  write(problem: Problem, original: Original, machine: number, nowMs: number, out: Uint8Array): number {
    const packet = this.#packet
    const end = original.at + LENGTH_MAX
    // An option that is not known ends the reading, and is just what is to be told.
    const read = ip.parse(original.bytes, original.at, original.head, end, packet)
    if (typeof read === "string" && read !== problem.kind) return this.#drop("unfit")
    const code = CODES[problem.kind][packet.version]
    const source = this.#source(problem.kind, original)
    const pointer = packet.problemAt === -1 ? packet.protocolAt : packet.problemAt
    if (code === undefined || source === undefined || (typeof read === "string" && packet.problemAt === -1)) {
      return this.#drop("unfit")
    }
    if (!this.#isFit(original)) return this.#drop("unfit")
    if (!this.#buckets.take(machine, nowMs)) return this.#drop("limited")
    this.counts.add("sent")
    const at = payloadAt(source.length)
    const rest = restOf(problem, packet, pointer - original.at)
    if (packet.version === 4) icmp.emit(out, at, code.type, code.code, rest)
    else icmpv6.emit(out, at, code.type, code.code, rest)
    const quoted = Math.min(QUOTE_MAX, Math.min(original.head, packet.payloadEnd) - original.at)
    copy(original.bytes, original.at, quoted, out, at + icmp.HEADER)
    const destination = original.bytes.subarray(packet.sourceAt, packet.destinationAt)
    const envelope = { fromMac: this.#gateway.mac, toMac: original.mac, source, destination }
    return sealIcmp(out, { ...envelope, hopLimit: HOP_LIMIT }, icmp.HEADER + quoted)
  }

  forget(machine: number): void {
    this.#buckets.forget(machine)
  }

  #drop(reason: "limited" | "unfit"): number {
    this.counts.add(reason)
    return 0
  }

  /** A host says itself that a port or a protocol is not served; all else is said by the router. */
  #source(kind: ProblemKind, original: Original): Uint8Array | undefined {
    const { destinationAt, addressLength } = this.#packet
    const isOfHost = kind === "port-unreachable" || kind === "protocol-unreachable"
    if (!isOfHost) return speaker(this.#gateway, addressLength)
    return original.bytes.subarray(destinationAt, destinationAt + addressLength)
  }

  /** RFC 1122, section 3.2.2, and RFC 4443, section 2.4 (e): never about an error, nor to many, nor about what was for many, nor about a later fragment. */
  #isFit(original: Original): boolean {
    const { bytes } = original
    const { sourceAt, destinationAt, addressLength, protocol, payloadAt: at } = this.#packet
    if (this.#packet.fragmentOffset > 0) return false
    if (isForMany(this.#gateway, bytes, destinationAt, addressLength)) return false
    if (isForMany(this.#gateway, bytes, sourceAt, addressLength)) return false
    if (isUnspecified(bytes, sourceAt, addressLength) || isLoopback(bytes, sourceAt, addressLength))
      return false
    const isIcmp = protocol === ip.PROTOCOL_ICMP || protocol === ip.PROTOCOL_ICMPV6
    if (!isIcmp) return true
    if (at >= original.head) return false
    const type = u8(bytes, at)
    return !(protocol === ip.PROTOCOL_ICMP ? icmp.isError(type) : icmpv6.isError(type))
  }
}

/** The packet in a frame of a machine. */
export function originalOf(frame: Frame, packet: Readonly<ip.IpView>, mac: number): Original {
  const head = Math.min(frame.at + frame.head, packet.payloadEnd)
  return { bytes: frame.bytes, at: packet.headerAt, head, mac }
}

function restOf(problem: Problem, packet: Readonly<ip.IpView>, pointer: number): number {
  if (problem.kind === "too-big") return Math.max(MTU_MIN[packet.version], problem.value ?? 0)
  const isPointed = packet.version === 6 && POINTED.has(problem.kind)
  return isPointed ? pointer : 0
}

const POINTED: ReadonlySet<ProblemKind> = new Set([
  "protocol-unreachable",
  "unknown-option",
  "unknown-routing",
])
