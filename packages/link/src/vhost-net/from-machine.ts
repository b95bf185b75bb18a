/**
 * Frames from the machine: chains of a transmit queue become views, a turn at a time.
 *
 * ```
 *  chain   │ virtio header │ Ethernet, IP, TCP … │ payload … │           in any pieces
 *  bytes   └─ copied: ──────── HEAD bytes of it ─┘
 *  parts                   └─ by address ─────────────────────┘
 * ```
 *
 * Headers are copied out, because the guest can change its memory while they are looked at; payload is not touched. All chains of a turn go back
 * after it, in their order, so that nothing is in flight when this process is killed (see the keeper of @skep/vhost-user).
 *
 * @module
 */
import { type Chain, type Copy, newCopy, type Queue, SIZE_MAX, type Taken } from "@skep/vhost-user"
import { FRAME_MAX, FRAME_MIN, Frame, HEAD } from "../frame.ts"
import type { LinkCounters, Receiver } from "../link.ts"
import type { Dialect } from "./features.ts"
import { HEADER, type MalformedHeader, parse } from "./header.ts"

export type MalformedFrame = MalformedHeader | "truncated" | "too-long"

export type MalformedCounters = Record<MalformedFrame, number>

function malformedCounters(): MalformedCounters {
  return {
    truncated: 0,
    "too-long": 0,
    "checksum-not-offered": 0,
    "checksum-outside": 0,
    "gso-not-offered": 0,
    "gso-without-checksum": 0,
    "gso-segment-size": 0,
    "gso-header": 0,
  }
}

/** Addresses of guests are aligned to words in one of four ways; copies follow them. */
const ALIGNMENT = 4

export interface FromMachineOptions {
  readonly counters: LinkCounters
  /** Frames before others have their turn. */
  readonly turn: number
}

export class FromMachine {
  readonly malformed: MalformedCounters = malformedCounters()
  readonly #counters: LinkCounters
  readonly #turn: number
  readonly #frame = new Frame()
  readonly #copy: Copy = newCopy(ALIGNMENT + HEADER + HEAD)
  /** Chains of this turn, to be given back. */
  readonly #heads = new Uint16Array(SIZE_MAX)
  #count = 0
  /** Of this turn. */
  #queue: Queue | undefined
  #dialect: Dialect | undefined
  #receiver: Receiver | undefined

  constructor({ counters, turn }: FromMachineOptions) {
    this.#counters = counters
    this.#turn = Math.min(turn, SIZE_MAX)
    this.#frame.bytes = this.#copy.bytes
  }

  /** One turn. What the queue still holds comes with the next kick, which is asked for. */
  drain(queue: Queue, dialect: Dialect, receiver: Receiver): void {
    this.#queue = queue
    this.#dialect = dialect
    this.#receiver = receiver
    this.#count = 0
    queue.drain(this.#take, this.#turn)
    if (this.#count === 0) return
    receiver.onSettle()
    for (let index = 0; index < this.#count; index++) queue.give(this.#heads[index] ?? 0, 0)
  }

  /** A field, so that no turn makes a function. */
  readonly #take = (chain: Chain): Taken => {
    this.#heads[this.#count++] = chain.head
    const bad = this.#fill(chain)
    if (bad === undefined) {
      this.#counters.framesIn++
      this.#counters.bytesIn += this.#frame.length
      this.#receiver?.onFrame(this.#frame)
    } else {
      this.#counters.malformed++
      this.malformed[bad]++
    }
    return "taken"
  }

  #fill(chain: Chain): MalformedFrame | undefined {
    const dialect = this.#dialect
    const queue = this.#queue
    if (dialect === undefined || queue === undefined) return "truncated"
    const { header } = dialect
    const length = chain.readableBytes - header
    if (length < FRAME_MIN) return "truncated"
    if (length > FRAME_MAX) return "too-long"
    const frame = this.#frame
    const head = Math.min(length, HEAD)
    const at = (chain.guestAddresses[0] ?? 0) & (ALIGNMENT - 1)
    chain.readHead(queue.memory, this.#copy, header + head, at)
    frame.at = at + header
    frame.head = head
    frame.length = length
    const { parts } = frame
    parts.clear()
    let skip = header
    for (let piece = 0; piece < chain.readable; piece++) {
      const there = chain.lengthAt(piece)
      if (skip < there) parts.push(chain.addressAt(piece) + skip, there - skip)
      skip = Math.max(0, skip - there)
    }
    return parse(frame, at, dialect.ours)
  }
}
