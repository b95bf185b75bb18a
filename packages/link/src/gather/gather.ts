/**
 * Segments of one TCP connection that come one behind the other, as one: where a machine's link carries frames of the wire only, the sender has cut
 * its stream into them just before. Whoever takes the stream then does once what it would do for each.
 *
 * ```
 *  │ headers │ payload │   │ headers │ payload │   │ headers │ payload │
 *       └────────┴──────────────────────┴──────────────────────┴─────► │ headers, a new length │ payload │ payload │ payload │
 * ```
 *
 * Only what says nothing but "more of the same" is joined: same addresses, acknowledgement and window, no options, no flags but ACK and a last PSH, the
 * next sequence number, and checksums that are right. All else goes on as it came and in its order. Nothing is copied but the first headers.
 *
 * @module
 */
import { putU8, putU16, u8, u16, u32 } from "@skep/wire/bytes"
import { fold, pseudo, sum, update } from "@skep/wire/checksum"
import { sumParts } from "../finish/checksum.ts"
import { FRAME_MIN, Frame, HEAD } from "../frame.ts"
import { copyBytes } from "../memory/element.ts"
import type { Memory } from "../memory.ts"
import { GSO_NONE } from "../offload.ts"

const TYPE = 12
const TYPE_IPV4 = 0x0800
const TYPE_IPV6 = 0x86dd
/** Version 4 and a header without options. */
const IPV4_PLAIN = 0x45
const IPV4_LENGTH = 2
const IPV4_FRAGMENT = 6
/** More fragments, or not the first one. */
const IPV4_IS_FRAGMENT = 0x3fff
const IPV4_PROTOCOL = 9
const IPV4_CHECKSUM = 10
const IPV4_SOURCE = 12
const IPV4_HEADER = 20
const IPV6_LENGTH = 4
const IPV6_NEXT = 6
const IPV6_SOURCE = 8
const IPV6_HEADER = 40
const TCP = 6
const TCP_SEQUENCE = 4
const TCP_OFFSET = 12
const TCP_FLAGS = 13
const TCP_CHECKSUM = 16
const TCP_HEADER = 20
/** A header without options. */
const TCP_PLAIN = 0x50
const PSH = 0x08
const ACK = 0x10
const PACKET_MOST = 65_535
/** What one writev(2) takes comes from several of these. */
const PARTS_MOST = 128

/** Which bytes of two headers have to be the same: 1 each. */
const SAME4 = sameBut(IPV4_HEADER, [IPV4_LENGTH, 2], [4, 2], [IPV4_CHECKSUM, 2])
const SAME6 = sameBut(IPV6_HEADER, [IPV6_LENGTH, 2])

/** For the frames of one turn, of one machine. */
export class Gather {
  readonly #frame = new Frame()
  readonly #bytes = new Uint8Array(HEAD)
  #count = 0
  /** Offset of the TCP header, and of the payload. */
  #tcpAt = 0
  #header = 0
  /** The sum of the pseudo-header without its length. */
  #pseudo = 0
  #next = 0
  #ended = false

  constructor() {
    this.#frame.bytes = this.#bytes
    this.#frame.trusted = true
  }

  /** Adds a segment to the one that is kept. False where it does not continue that, or none is. Its parts lie in `memory`. */
  join(frame: Frame, memory: Memory): boolean {
    if (this.#count === 0 || this.#ended) return false
    const { bytes, at, length } = frame
    const kept = this.#frame
    const header = this.#header
    const payload = length - header
    if (payload <= 0 || kept.length + payload > FRAME_MIN + PACKET_MOST) return false
    if (kept.parts.count + frame.parts.count > PARTS_MOST || !isPlain(frame, header)) return false
    if (u32(bytes, at + this.#tcpAt + TCP_SEQUENCE) !== this.#next || !this.#isAlike(bytes, at)) return false
    if (!this.#isIntact(frame, memory)) return false
    kept.parts.append(frame.parts, header, payload)
    kept.length += payload
    this.#count++
    this.#goesOn(bytes, at, payload)
    return true
  }

  /** Keeps a segment that others may follow. False where it is none; or something is kept already. Its parts lie in `memory`. */
  keep(frame: Frame, memory: Memory): boolean {
    if (this.#count !== 0 || frame.length <= FRAME_MIN + IPV4_HEADER + TCP_HEADER) return false
    const { bytes, at, length } = frame
    const isIpv4 = u16(bytes, at + TYPE) === TYPE_IPV4
    if (!isIpv4 && u16(bytes, at + TYPE) !== TYPE_IPV6) return false
    this.#tcpAt = FRAME_MIN + (isIpv4 ? IPV4_HEADER : IPV6_HEADER)
    this.#header = this.#tcpAt + TCP_HEADER
    if (length <= this.#header || length > FRAME_MIN + PACKET_MOST || !isPlain(frame, this.#header))
      return false
    if (!(isIpv4 ? isPlain4(bytes, at + FRAME_MIN) : isPlain6(bytes, at + FRAME_MIN))) return false
    const tcpAt = at + this.#tcpAt
    if (u8(bytes, tcpAt + TCP_OFFSET) !== TCP_PLAIN || (u8(bytes, tcpAt + TCP_FLAGS) & ~PSH) !== ACK)
      return false
    this.#pseudo = isIpv4
      ? pseudo(bytes, at + FRAME_MIN + IPV4_SOURCE, 4, TCP, 0)
      : pseudo(bytes, at + FRAME_MIN + IPV6_SOURCE, 16, TCP, 0)
    if (!this.#isIntact(frame, memory)) return false
    const kept = this.#frame
    kept.head = Math.min(frame.head, HEAD)
    copyBytes(bytes, at, kept.head, this.#bytes, 0)
    kept.length = length
    kept.parts.clear()
    kept.parts.append(frame.parts, 0, length)
    this.#count = 1
    this.#next = u32(bytes, tcpAt + TCP_SEQUENCE)
    this.#goesOn(bytes, at, length - this.#header)
    return true
  }

  /**
   * What was kept, which is not any more; undefined where nothing was. Valid until something is kept again. The headers to read are in its `bytes`:
   * its `parts` have those of the first segment as they came. Its sender's checksums were right.
   */
  take(): Frame | undefined {
    if (this.#count === 0) return undefined
    if (this.#count > 1) this.#putLength()
    this.#count = 0
    return this.#frame
  }

  /** Forgets what was kept. */
  clear(): void {
    this.#count = 0
  }

  #goesOn(bytes: Uint8Array, at: number, payload: number): void {
    this.#next = (this.#next + payload) >>> 0
    const flags = u8(bytes, at + this.#tcpAt + TCP_FLAGS)
    this.#ended = (flags & PSH) !== 0
    if (this.#ended) putU8(this.#bytes, this.#tcpAt + TCP_FLAGS, flags)
  }

  /** Whether the headers are those of the first segment, as far as they may not differ. */
  #isAlike(bytes: Uint8Array, at: number): boolean {
    const kept = this.#bytes
    const header = this.#header
    const same = this.#tcpAt === FRAME_MIN + IPV4_HEADER ? SAME4 : SAME6
    for (let index = 0; index < header; index++) {
      if (u8(same, index) !== 0 && u8(bytes, at + index) !== u8(kept, index)) return false
    }
    return (u8(bytes, at + this.#tcpAt + TCP_FLAGS) & ~PSH) === ACK
  }

  /** Whether the lengths are the frame's own and the checksums are right, where nobody vouches for them. */
  #isIntact(frame: Frame, memory: Memory): boolean {
    const { bytes, at, length } = frame
    const ipAt = at + FRAME_MIN
    const tcpAt = this.#tcpAt
    if (tcpAt === FRAME_MIN + IPV4_HEADER) {
      if (u16(bytes, ipAt + IPV4_LENGTH) !== length - FRAME_MIN) return false
      if (sum(bytes, ipAt, ipAt + IPV4_HEADER) !== 0xffff) return false
    } else if (u16(bytes, ipAt + IPV6_LENGTH) !== length - tcpAt) return false
    if (frame.trusted) return true
    return (
      sumParts(memory, frame.parts, tcpAt, length - tcpAt, fold(this.#pseudo + length - tcpAt)) === 0xffff
    )
  }

  #putLength(): void {
    const bytes = this.#bytes
    const { length } = this.#frame
    if (this.#tcpAt !== FRAME_MIN + IPV4_HEADER) {
      putU16(bytes, FRAME_MIN + IPV6_LENGTH, length - this.#tcpAt)
      return
    }
    const before = u16(bytes, FRAME_MIN + IPV4_LENGTH)
    const checksum = u16(bytes, FRAME_MIN + IPV4_CHECKSUM)
    putU16(bytes, FRAME_MIN + IPV4_LENGTH, length - FRAME_MIN)
    putU16(bytes, FRAME_MIN + IPV4_CHECKSUM, update(checksum, before, length - FRAME_MIN))
  }
}

/** Whether its sender has left nothing to be done, and its headers are at hand. */
function isPlain({ offload, head }: Frame, header: number): boolean {
  return head >= header && offload.gso === GSO_NONE && offload.checksumStart === 0
}

function isPlain4(bytes: Uint8Array, ipAt: number): boolean {
  return (
    u8(bytes, ipAt) === IPV4_PLAIN &&
    u8(bytes, ipAt + IPV4_PROTOCOL) === TCP &&
    (u16(bytes, ipAt + IPV4_FRAGMENT) & IPV4_IS_FRAGMENT) === 0
  )
}

function isPlain6(bytes: Uint8Array, ipAt: number): boolean {
  return u8(bytes, ipAt) >> 4 === 6 && u8(bytes, ipAt + IPV6_NEXT) === TCP
}

/** For headers whose IP part has `size` bytes, with these fields that may differ; and those of TCP. */
function sameBut(size: number, ...fields: readonly (readonly [at: number, length: number])[]): Uint8Array {
  const same = new Uint8Array(FRAME_MIN + size + TCP_HEADER).fill(1)
  for (const [at, length] of fields) same.fill(0, FRAME_MIN + at, FRAME_MIN + at + length)
  const tcpAt = FRAME_MIN + size
  same.fill(0, tcpAt + TCP_SEQUENCE, tcpAt + TCP_SEQUENCE + 4)
  same.fill(0, tcpAt + TCP_FLAGS, tcpAt + TCP_FLAGS + 1)
  same.fill(0, tcpAt + TCP_CHECKSUM, tcpAt + TCP_CHECKSUM + 2)
  return same
}
