/**
 * A guest's mount: requests in, answers out, over any file system and any transport. It never throws for what a guest sends.
 *
 * ```
 *            INIT                                    DESTROY
 *  begun ─────────► agreed ── any other request ──► agreed ──► agreed: a guest that mounts again says INIT
 *    └─ a memo that knows what a predecessor agreed upon ─► agreed
 * ```
 *
 * Linux, fs/fuse/dev.c and virtio_fs.c, are the other side.
 *
 * @module
 */
import type { Views } from "@skep/loop/memory"
import { EIO, ENOSYS } from "@skep/loop/sys"
import type { FileSystem } from "@skep/vfs"
import * as c from "../protocol/constants.ts"
import { emitOutHeader, IN_HEADER, OUT_HEADER, parseInHeader } from "../protocol/header.ts"
import { emitWriteOut, WRITE_OUT } from "../protocol/open.ts"
import { Exchange, type Transport } from "./exchange.ts"
import { LockWaiters } from "./lock-waiters.ts"
import { Forgetful, type Memo } from "./memo.ts"
import { CONSISTENT, type PolicyOf } from "./policy.ts"
import { repeat } from "./repeat.ts"
import { type Row, tableFor } from "./table.ts"
import { ANSWER_MAX, errorOf, LATER, NO_ANSWER, Work } from "./work.ts"

export interface FuseSessionOptions {
  /** Stays the caller's. */
  readonly fileSystem: FileSystem
  readonly transport: Transport
  /** Private memory where the transport puts header and arguments of a request, from its beginning on. */
  readonly request: Views
  /** How fresh things have to be; nothing is kept unless told. */
  readonly policyOf?: PolicyOf
  /** What a successor has to know; nothing unless told. */
  readonly memo?: Memo
  /**
   * Whose locks are: the "guest" keeps them among its own processes, or they are the "host"'s too. A process of Linux 6 waits for a lock of the host on
   * virtiofs without hearing of signals. "guest" unless told.
   */
  readonly locks?: "guest" | "host"
  /**
   * Whether the guest has extended attributes, which it has unless told. Where it has, Linux asks for `security.capability` before it writes to a file whose attributes it has just
   * read.
   */
  readonly xattrs?: boolean
  /** Whether the guest collects what it writes: only where nobody else changes the files. */
  readonly writeback?: boolean
  /** A guest began anew: nodes and handles of the last one are void. */
  readonly onInit?: () => void
}

export class FuseSession {
  readonly #work: Work
  readonly #out: Views
  readonly #memo: Memo
  readonly #waiters: LockWaiters
  readonly #transport: Transport
  readonly #onInit: (() => void) | undefined
  readonly #table: readonly (Row | undefined)[]
  readonly #counts: Float64Array = new Float64Array(c.OPCODES)
  #unknown = 0
  #failures = 0
  #repeats = 0
  #agreed: boolean

  constructor(options: FuseSessionOptions) {
    const { fileSystem, transport, request } = options
    this.#memo = options.memo ?? new Forgetful()
    this.#waiters = new LockWaiters(fileSystem)
    this.#transport = transport
    this.#onInit = options.onInit
    this.#table = tableFor(options.xattrs !== false)
    const bytes = new ArrayBuffer(ANSWER_MAX)
    const out = { bytes: new Uint8Array(bytes), u16: new Uint16Array(bytes), u32: new Uint32Array(bytes) }
    this.#out = out
    this.#work = new Work({
      fileSystem,
      transport,
      request,
      out,
      memo: this.#memo,
      waiters: this.#waiters,
      policyOf: options.policyOf ?? (() => CONSISTENT),
      locks: options.locks === "host",
      writeback: options.writeback === true,
    })
    const { negotiated } = this.#memo
    this.#agreed = negotiated !== undefined
    this.#work.flags = negotiated?.flags ?? 0
    this.#work.maxWrite = negotiated?.maxWrite ?? 0
  }

  /** Whether there was an INIT. */
  get agreed(): boolean {
    return this.#agreed
  }

  /** Requests that wait for a lock: while there are any, call `retryLocks` from time to time. */
  get waiting(): number {
    return this.#waiters.size
  }

  /** A request's place for this session, to be used again and again. */
  exchange(index: number): Exchange {
    return new Exchange(index, (exchange, result) => this.#settle(exchange, result))
  }

  /** Handles a request of which the first `end` bytes are in private memory: all of it, but for the data of a WRITE. */
  handle(exchange: Exchange, end: number): void {
    const work = this.#work
    const { header } = work
    header.uniqueLow = 0
    header.uniqueHigh = 0
    const bad = parseInHeader(work.words, 0, exchange.readable, header)
    exchange.uniqueLow = header.uniqueLow
    exchange.uniqueHigh = header.uniqueHigh
    const { opcode } = header
    exchange.opcode = opcode
    exchange.asked = 0
    if (bad !== undefined) return this.#finish(exchange, work.malformed(bad))
    const row = this.#table[opcode]
    if (row === undefined) {
      this.#unknown++
      return this.#finish(exchange, -ENOSYS)
    }
    this.#counts[opcode] = (this.#counts[opcode] ?? 0) + 1
    this.#finish(exchange, this.#run(row, exchange, end))
  }

  /** Tries again what waits for locks. */
  retryLocks(): void {
    this.#waiters.retry()
  }

  /** Forgets a request that waits, without an answer. Returns whether it did; what the file system has cannot be taken back. */
  abandon(exchange: Exchange): boolean {
    return this.#waiters.abandon(exchange)
  }

  /** The machine is gone: its handles are closed, and the next one begins with INIT. */
  reset(): void {
    this.#work.clear()
    this.#memo.setNegotiated(undefined)
    this.#agreed = false
  }

  /** How often what was asked, by "lookup" and the like; what was malformed, by its reason; and what became of it. */
  counts(): Record<string, number> {
    const counts: Record<string, number> = {
      unknown: this.#unknown,
      failures: this.#failures,
      repeats: this.#repeats,
      waiting: this.#waiters.size,
      openFiles: this.#work.files.size,
      openDirectories: this.#work.directories.size,
    }
    for (const [opcode, count] of this.#counts.entries())
      if (count > 0) counts[c.nameOfOpcode(opcode).toLowerCase()] = count
    for (const [why, count] of this.#work.malformations) counts[`malformed-${why}`] = count
    return counts
  }

  #run(row: Row, exchange: Exchange, end: number): number {
    const work = this.#work
    const { header, caller } = work
    const { opcode } = header
    work.end = end - header.extensions
    if (work.end < IN_HEADER) return work.malformed("extensions")
    if (work.end - IN_HEADER < row.least) return work.malformed("arguments-truncated")
    if (opcode !== c.WRITE && end !== header.length) return work.malformed("bad-length")
    if (!row.silent && exchange.writable < OUT_HEADER) return work.malformed("no-room")
    if (!this.#agreed && opcode !== c.INIT) return work.malformed("not-begun", EIO)
    work.room = Math.min(exchange.writable, ANSWER_MAX) - OUT_HEADER
    work.node = work.translate(header.node)
    work.madeNode = 0
    work.madeHandle = -1
    caller.uid = header.uid
    caller.gid = header.gid
    caller.pid = header.pid
    if (!row.once || exchange.slot < 0) return this.#first(row, exchange)
    return this.#once(row, exchange)
  }

  #first(row: Row, exchange: Exchange): number {
    const result = row.run(this.#work, exchange)
    if (exchange.opcode === c.INIT && result > 0) this.#begin()
    return result
  }

  #begin(): void {
    this.#agreed = this.#memo.negotiated !== undefined
    this.#onInit?.()
  }

  /** What may be done only once is written down before and after. */
  #once(row: Row, exchange: Exchange): number {
    const work = this.#work
    const { slot, uniqueLow, uniqueHigh } = exchange
    let result: number
    if (exchange.again) {
      this.#repeats++
      const outcome = this.#memo.recall(slot, uniqueLow, uniqueHigh)
      this.#memo.begin(slot, uniqueLow, uniqueHigh)
      result = repeat(work, exchange, row.run, outcome)
    } else {
      this.#memo.begin(slot, uniqueLow, uniqueHigh)
      result = row.run(work, exchange)
    }
    if (result !== LATER) this.#memo.end(slot, Math.min(result, 0), work.madeNode, work.madeHandle)
    return result
  }

  /** The file system has done what it was asked for. */
  #settle(exchange: Exchange, result: number): void {
    const { opcode, slot } = exchange
    if (slot >= 0 && this.#table[opcode]?.once === true) this.#memo.end(slot, result, 0, -1)
    if (result < 0) return this.#finish(exchange, result)
    const work = this.#work
    if (opcode === c.READ) return this.#answer(exchange, 0, OUT_HEADER, OUT_HEADER + result)
    if (opcode !== c.WRITE && opcode !== c.COPY_FILE_RANGE) return this.#finish(exchange, 0)
    emitWriteOut(result, work.outWords, OUT_HEADER)
    this.#finish(exchange, WRITE_OUT)
  }

  #finish(exchange: Exchange, result: number): void {
    if (result === LATER) return
    if (result === NO_ANSWER || exchange.writable < OUT_HEADER) {
      this.#transport.reply(exchange, this.#out, 0, 0)
      return
    }
    if (result >= 0 && OUT_HEADER + result <= exchange.writable) {
      const length = OUT_HEADER + result
      return this.#answer(exchange, 0, length, length)
    }
    const error = result >= 0 ? this.#work.malformed("no-room", EIO) : errorOf(result)
    this.#failures++
    this.#answer(exchange, error, OUT_HEADER, OUT_HEADER)
  }

  #answer(exchange: Exchange, error: number, head: number, total: number): void {
    const { uniqueLow, uniqueHigh } = exchange
    // The one thing that is the same in all: written last, as some operations fill all of the memory.
    emitOutHeader({ length: total, error, uniqueLow, uniqueHigh }, this.#out.u32, 0)
    this.#transport.reply(exchange, this.#out, head, total)
  }
}
