/**
 * A reply, RFC 5531 §9: written where it will be sent from, finished now or later.
 *
 * ```
 *  mark │ xid │ REPLY │ accepted │ verifier 0, 0 │ accept_stat │ results …
 *  mark │ xid │ REPLY │ denied │ reject_stat │ …
 * ```
 *
 * @module
 */
import type { Chunk, Memory } from "../memory/pool.ts"
import { Writer } from "../xdr/writer.ts"

/** Bytes before the results, with the mark. */
export const REPLY_HEADER = 28

const LAST = 0x8000_0000
const REPLY = 1
const ACCEPTED = 0
const DENIED = 1
const RPC_MISMATCH = 0
const AUTH_ERROR = 1
const RPC_VERSION = 2

/** accept_stat. */
export const PROG_UNAVAIL = 1
export const PROG_MISMATCH = 2
export const PROC_UNAVAIL = 3
export const GARBAGE_ARGS = 4
export const SYSTEM_ERR = 5

/** What takes finished replies: the connection that they came by. */
export interface Outlet {
  /** Owns the reference to the chunk from now on. Nothing is sent where `end` is `start`. */
  finish(reply: Reply, start: number, end: number): void
}

export class Reply {
  /** Where results go. */
  readonly out: Writer
  readonly chunk: Chunk
  readonly xid: number
  /** Whether its procedure has returned without it. */
  later = false
  readonly #outlet: Outlet
  readonly #start: number

  /** Takes `bytes` of the chunk, header and all, and a reference to it. */
  constructor(
    outlet: Outlet,
    memory: Memory,
    place: { readonly chunk: Chunk; readonly bytes: number; readonly xid: number },
  ) {
    const { chunk } = place
    this.#outlet = outlet
    this.chunk = chunk
    this.xid = place.xid
    this.#start = chunk.used
    chunk.used += place.bytes
    chunk.hold()
    const out = new Writer(memory, this.#start, chunk.used)
    this.out = out
    out.u32(0)
    out.u32(place.xid)
    out.u32(REPLY)
    out.u32(ACCEPTED)
    out.pair(0, 0)
    out.u32(0)
  }

  /** Where the results begin. */
  get results(): number {
    return this.#start + REPLY_HEADER
  }

  /** Takes back all results that were written. */
  rewind(): void {
    this.out.at = this.results
  }

  /** The call was understood and cannot be carried out: one of accept_stat. */
  refuse(stat: number, low = 0, high = 0): void {
    this.out.at = this.results - 4
    this.out.u32(stat)
    if (stat === PROG_MISMATCH) this.out.pair(low, high)
  }

  /** RFC 5531 §9: another version of RPC than 2. */
  denyVersion(): void {
    this.#deny(RPC_MISMATCH)
    this.out.pair(RPC_VERSION, RPC_VERSION)
  }

  /** One of auth_stat. */
  denyCaller(stat: number): void {
    this.#deny(AUTH_ERROR)
    this.out.u32(stat)
  }

  /** Gives it to be sent. Once. */
  finish(): void {
    const { at } = this.out
    this.out.patch(this.#start, (LAST | (at - this.#start - 4)) >>> 0)
    this.#outlet.finish(this, this.#start, at)
  }

  /** Nothing is to be sent. Instead of `finish`. */
  cancel(): void {
    this.#outlet.finish(this, this.#start, this.#start)
  }

  #deny(stat: number): void {
    this.out.at = this.#start + 12
    this.out.u32(DENIED)
    this.out.u32(stat)
  }
}
