/**
 * The way from a driver to a session: messages in memory, as a kernel's own are.
 *
 * @module
 */
import type { Views } from "@skep/loop/memory"
import type { Pieces } from "@skep/vfs"
import { OUT_HEADER } from "../protocol/header.ts"
import { Exchange, type Transport } from "../session/exchange.ts"
import { FuseSession, type FuseSessionOptions } from "../session/session.ts"

/** What a request brings with it, and what there is for its answer. */
export interface Room {
  /** Bytes of the whole answer, its header too. 0 for requests that have none. */
  readonly writable: number
  /** Data of a WRITE, by address. */
  readonly data?: Pieces
  /** Where the data of a READ goes, by address. */
  readonly target?: Pieces
}

/** `answer` holds the header and what was not put by address; valid during the call. `total` is 0 where there is no answer. */
export type Answered = (answer: Views, total: number) => void

export interface Channel {
  /** Where a request is made: header and arguments. */
  readonly request: Views
  /** Sends the first `end` bytes of `request`, and the data. */
  send(end: number, room: Room, answered: Answered): void
}

export const REQUEST_MAX: number = 128 * 1024

export function newViews(bytes: number): Views {
  const buffer = new ArrayBuffer(Math.ceil(bytes / 8) * 8)
  return { bytes: new Uint8Array(buffer), u16: new Uint16Array(buffer), u32: new Uint32Array(buffer) }
}

interface Sent {
  readonly room: Room
  readonly answered: Answered
}

/** A session in the same process, whose requests come in memory. */
export class DirectChannel implements Channel, Transport {
  readonly request: Views = newViews(REQUEST_MAX)
  readonly session: FuseSession
  /** What a request says of itself beyond its bytes: see `Exchange`. Of the next one. */
  slot = -1
  again = false
  readonly #sent = new Map<Exchange, Sent>()
  readonly #free: Exchange[] = []
  #made = 0

  constructor(options: Omit<FuseSessionOptions, "transport" | "request">) {
    this.session = new FuseSession({ ...options, transport: this, request: this.request })
  }

  /** Requests that were not answered yet. */
  get pending(): number {
    return this.#sent.size
  }

  send(end: number, room: Room, answered: Answered): void {
    const exchange = this.#free.pop() ?? this.session.exchange(this.#made++)
    exchange.readable = end + (room.data?.bytes ?? 0)
    exchange.writable = room.writable
    exchange.slot = this.slot
    exchange.again = this.again
    this.#sent.set(exchange, { room, answered })
    this.session.handle(exchange, end)
  }

  source(exchange: Exchange, _skip: number, bytes: number): Pieces {
    return trimmed(this.#sent.get(exchange)?.room.data, bytes)
  }

  target(exchange: Exchange, _skip: number, bytes: number): Pieces {
    return trimmed(this.#sent.get(exchange)?.room.target, bytes)
  }

  reply(exchange: Exchange, head: Views, length: number, total: number): void {
    const sent = this.#sent.get(exchange)
    if (sent === undefined) throw new Error("a request was answered twice")
    if (total > 0 && (length < OUT_HEADER || total > exchange.writable))
      throw new Error(`an answer of ${length} of ${total} bytes does not fit into ${exchange.writable}`)
    this.#sent.delete(exchange)
    this.#free.push(exchange)
    sent.answered(head, total)
  }
}

const NONE: Pieces = { address: 0, count: 0, bytes: 0 }

/** The pieces of a driver are as long as it said; a request that says more than it has gets what there is. */
function trimmed(pieces: Pieces | undefined, bytes: number): Pieces {
  if (pieces === undefined) return NONE
  return pieces.bytes <= bytes ? pieces : NONE
}
