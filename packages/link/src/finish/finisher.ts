/**
 * Sends frames of one link on by another, and finishes in software what their sender left to the receiver and the other link does not take:
 * checksums, and segments to be cut.
 *
 * ```
 *  │ Ethernet │ IP │ TCP │ payload …………………………… │                        one frame with `gso`
 *  │ Ethernet │ IP, length, id + n │ TCP, sequence + n × size, flags, checksum │ size │   n frames; payload stays where it is
 * ```
 *
 * What is cut is as if TCP had sent segments of that size by itself: RFC 9293 section 3.7.1, RFC 6864 (identification), RFC 3168 section 6.1.2 (CWR
 * is for the first segment only).
 *
 * @module
 */
import { putU8, putU16, putU32 } from "@skep/wire/bytes"
import { append, finish, fold, pseudo, sum } from "@skep/wire/checksum"
import * as ip from "@skep/wire/ip"
import * as tcp from "@skep/wire/tcp"
import { FRAME_MIN, type Frame, HEAD } from "../frame.ts"
import type { Outlet } from "../link.ts"
import { copyBytes } from "../memory/element.ts"
import { GSO_NONE, GSO_TCP4 } from "../offload.ts"
import { Parts } from "../parts.ts"
import { finishChecksum, headOf, sumParts } from "./checksum.ts"

const IPV4_LENGTH = 2
const IPV4_IDENTIFICATION = 4
const IPV4_CHECKSUM = 10
const IPV6_LENGTH = 4
const IPV6_HEADER = 40
const TCP_SEQUENCE = 4
const TCP_FLAGS = 13
const TCP_CHECKSUM = 16
const TCP = 6
/** Linux sends no smaller segments (TCP_MIN_MSS): one frame shall not become a thousand. */
const SEGMENT_MIN = 88

/** What became of a frame: why not, in the words of counters. */
export type Forwarded = "sent" | "noRoom" | "tooLong" | "unfinished"

/** For one thread: it keeps nothing between calls but the places it writes to. */
export class Finisher {
  readonly #headers = new Uint8Array(HEAD)
  readonly #payload = new Parts()
  readonly #packet = ip.ipView()
  readonly #segment = tcp.view()

  /** Sends a frame that came from another link. The memory is one for both. */
  forward(frame: Frame, to: Outlet): Forwarded {
    const { offload } = frame
    if (offload.gso === GSO_NONE && frame.length - FRAME_MIN > to.mtu) return "tooLong"
    if (offload.gso === GSO_NONE && offload.checksumStart === 0) return this.#pass(frame, to, false)
    if (offload.gso === GSO_NONE)
      return to.offloads.checksum ? this.#pass(frame, to, true) : this.#finish(frame, to)
    const takes = offload.gso === GSO_TCP4 ? to.offloads.tcp4 : to.offloads.tcp6
    return this.#cut(frame, to, takes)
  }

  #pass(frame: Frame, to: Outlet, withOffload: boolean): Forwarded {
    this.#payload.clear()
    this.#payload.append(frame.parts, FRAME_MIN, frame.length - FRAME_MIN)
    const offload = withOffload ? frame.offload : undefined
    return to.send(frame.bytes, frame.at, FRAME_MIN, this.#payload, offload) ? "sent" : "noRoom"
  }

  #finish(frame: Frame, to: Outlet): Forwarded {
    const head = headOf(frame.offload)
    if (head > frame.head || head > HEAD) return "unfinished"
    copyBytes(frame.bytes, frame.at, head, this.#headers, 0)
    this.#payload.clear()
    this.#payload.append(frame.parts, head, frame.length - head)
    finishChecksum(this.#headers, 0, head, sumParts(to.memory, this.#payload), frame.offload)
    return to.send(this.#headers, 0, head, this.#payload) ? "sent" : "noRoom"
  }

  /** Cuts it, or only looks whether it could be cut, where `to` does that itself. */
  #cut(frame: Frame, to: Outlet, takes: boolean): Forwarded {
    if (!this.#parse(frame)) return "unfinished"
    const header = this.#segment.payloadAt - frame.at
    const { segmentSize } = frame.offload
    if (header - FRAME_MIN + segmentSize > to.mtu) return "tooLong"
    if (takes) return this.#pass(frame, to, true)
    copyBytes(frame.bytes, frame.at, header, this.#headers, 0)
    const length = this.#segment.payloadEnd - this.#segment.payloadAt
    let result: Forwarded = "sent"
    for (let done = 0, count = 0; done < length || count === 0; done += segmentSize, count++) {
      const size = Math.min(segmentSize, length - done)
      this.#payload.clear()
      this.#payload.append(frame.parts, header + done, size)
      this.#rewrite(frame.at, done, count, done + size === length)
      this.#seal(to, frame.at, header)
      // The rest is tried all the same: what is lost is sent again, and less of it.
      if (!to.send(this.#headers, 0, header, this.#payload)) result = "noRoom"
    }
    return result
  }

  /** Whether it is what its sender says: a whole TCP segment whose headers are all at hand. */
  #parse(frame: Frame): boolean {
    const { at, bytes, offload } = frame
    const head = at + Math.min(frame.head, HEAD)
    const packet = ip.parse(bytes, at + FRAME_MIN, head, at + frame.length, this.#packet)
    if (typeof packet === "string") return false
    if (packet.version !== (offload.gso === GSO_TCP4 ? 4 : 6) || packet.protocol !== TCP) return false
    if (packet.moreFragments || packet.fragmentOffset !== 0 || packet.fragmentHeaderAt >= 0) return false
    const segment = tcp.parse(bytes, packet.payloadAt, head, packet.payloadEnd, this.#segment)
    if (typeof segment === "string" || (segment.flags & (tcp.SYN | tcp.RST)) !== 0) return false
    return offload.checksumStart === packet.payloadAt - at && offload.segmentSize >= SEGMENT_MIN
  }

  /** Makes the headers those of the segment that begins `done` bytes into the payload. */
  #rewrite(at: number, done: number, count: number, last: boolean): void {
    const headers = this.#headers
    const packet = this.#packet
    const segment = this.#segment
    const ipAt = packet.headerAt - at
    const tcpAt = packet.payloadAt - at
    const total = segment.payloadAt - packet.headerAt + this.#payload.bytes
    if (packet.version === 4) {
      putU16(headers, ipAt + IPV4_LENGTH, total)
      putU16(headers, ipAt + IPV4_IDENTIFICATION, packet.identification + count)
      putU16(headers, ipAt + IPV4_CHECKSUM, 0)
      putU16(headers, ipAt + IPV4_CHECKSUM, finish(sum(headers, ipAt, tcpAt)))
    } else putU16(headers, ipAt + IPV6_LENGTH, total - IPV6_HEADER)
    putU32(headers, tcpAt + TCP_SEQUENCE, segment.sequence + done)
    let { flags } = segment
    if (!last) flags &= ~(tcp.FIN | tcp.PSH)
    if (count > 0) flags &= ~tcp.CWR
    putU8(headers, tcpAt + TCP_FLAGS, flags)
  }

  /** Puts the checksum. */
  #seal(to: Outlet, at: number, header: number): void {
    const headers = this.#headers
    const packet = this.#packet
    const tcpAt = packet.payloadAt - at
    const length = header - tcpAt + this.#payload.bytes
    putU16(headers, tcpAt + TCP_CHECKSUM, 0)
    const seed = pseudo(headers, packet.sourceAt - at, packet.addressLength, TCP, length)
    const own = sum(headers, tcpAt, header, seed)
    const total = append(own, sumParts(to.memory, this.#payload), header - tcpAt)
    putU16(headers, tcpAt + TCP_CHECKSUM, finish(fold(total)))
  }
}
