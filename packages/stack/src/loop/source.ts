/**
 * Where the bytes of a host's socket wait for the guest's acknowledgement.
 *
 * ```
 *  kernel │ in the socket's receive queue: peeked at with an offset (SO_PEEK_OFF), thrown away unread (MSG_TRUNC), several at once
 *  ring   │ in memory of ours, read from the socket when the guest has a window for them
 * ```
 *
 * The kernel's way copies nothing twice and needs Linux 6.9 for TCP. Which one a host has is asked once.
 *
 * @module
 */
import type { Parts } from "@skep/link"
import type { Timer } from "@skep/loop"
import * as sys from "@skep/loop/sys"
import { Backlog, type BoundedMemory } from "../host/backlog.ts"
import type { HeapShare } from "../host/heap-share.ts"
import { EAGAIN } from "../host/host.ts"
import type { Leftovers } from "./leftovers.ts"
import type { Transfer } from "./transfer.ts"

/** Results are those of `HostStream`. */
export interface Source {
  /** Bytes that are not in the socket any more and were not discarded. */
  readonly keptBytes: number
  peek(into: Parts, offset: number): number
  discard(bytes: number): void
  /** The socket is about to be closed: one that has unread bytes would reset (RFC 2525, section 2.17). */
  settle(): void
  /** The socket is gone. */
  close(): void
}

/** Whether this kernel counts an offset for peeks at TCP, socket(7). */
export function kernelPeeksAtOffsets(): boolean {
  const fd = sys.socket(sys.AF_INET, sys.SOCK_STREAM)
  if (fd < 0) return false
  const result = sys.setOption(fd, sys.SOL_SOCKET, sys.SO_PEEK_OFF, 0)
  sys.close(fd)
  return result >= 0
}

/**
 * A socket whose reader seems to take little gets little room: the kernel cannot know that what we leave there is on its way to a guest (tcp(7),
 * "tcp_moderate_rcvbuf"). So where this much is, it is told to make room, by a low-water mark that no more than that is done with.
 */
const MUCH = 64 * 1024
const ROOM = 4 * 1024 * 1024

/**
 * What the guest has and the socket may still keep, so that small answers do not cost a system call each to be thrown away: of those only. One byte
 * that is left keeps the whole buffer that it came in, and all of the socket's room may be in two such.
 */
const KEPT_BYTES = 16 * 1024
const KEPT_PIECES = 16
const SMALL = 4096
/** Answers after which a connection is taken to go on, and its kernel told to count. Most are one question and one answer. */
const FEW = 3

/**
 * ```
 *  receive queue: │ done: the guest has it │ on its way │ not seen yet │
 *                                          └─ offset ──►└─ the kernel peeks here
 * ```
 */
export class KernelSource implements Source {
  readonly keptBytes = 0
  readonly #fd: number
  readonly #transfer: Transfer
  readonly #leftovers: Leftovers
  #isLeft = false
  /** Where the kernel peeks next; -1 before it was told to count: then it is always the first byte. */
  #peekAt = -1
  #hasRoom = false
  #done = 0
  #donePieces = 0
  #answers = 0
  /** Bytes behind `done` that were peeked at. */
  #seen = 0
  /** They may lie in large buffers. */
  #isMuch = false

  constructor(fd: number, transfer: Transfer, leftovers: Leftovers) {
    this.#fd = fd
    this.#transfer = transfer
    this.#leftovers = leftovers
  }

  peek(into: Parts, offset: number): number {
    if (this.#peekAt < 0 && this.#done > 0 && this.#answers <= FEW) this.#throwAway()
    const at = this.#done + offset
    if (this.#peekAt !== at && (this.#peekAt >= 0 || at > 0)) {
      const result = sys.setOption(this.#fd, sys.SOL_SOCKET, sys.SO_PEEK_OFF, at)
      if (result < 0) return result
      this.#peekAt = at
    }
    const read = this.#transfer.peek(this.#fd, into)
    if (read > 0) {
      if (this.#peekAt >= 0) this.#peekAt += read
      this.#seen = Math.max(this.#seen, offset + read)
      // What fills the room that was offered may be the beginning of more.
      if (read > SMALL || read === into.bytes) this.#isMuch = true
    }
    if (offset > MUCH && !this.#hasRoom) this.#makeRoom()
    return read
  }

  discard(bytes: number): void {
    this.#done += bytes
    this.#donePieces++
    this.#answers++
    this.#seen = Math.max(0, this.#seen - bytes)
    if (this.#isMuch || this.#done >= KEPT_BYTES || this.#donePieces >= KEPT_PIECES) this.#throwAway()
    else if (!this.#isLeft) {
      this.#isLeft = true
      this.#leftovers.add(this)
    }
  }

  settle(): void {
    this.#isLeft = false
    this.#throwAway()
  }

  #throwAway(): void {
    if (this.#done === 0) return
    // An error here shows at the next read.
    sys.receive(this.#fd, 0, this.#done, sys.MSG_TRUNC | sys.MSG_DONTWAIT)
    // The kernel counts from the new first byte, sk_peek_offset_bwd().
    if (this.#peekAt >= 0) this.#peekAt = Math.max(0, this.#peekAt - this.#done)
    this.#done = 0
    this.#donePieces = 0
    if (this.#seen === 0) this.#isMuch = false
  }

  #makeRoom(): void {
    this.#hasRoom = true
    // The kernel takes what it can of it, and only a smaller window comes of an error.
    sys.setOption(this.#fd, sys.SOL_SOCKET, sys.SO_RCVLOWAT, ROOM)
    sys.setOption(this.#fd, sys.SOL_SOCKET, sys.SO_RCVLOWAT, 1)
  }

  close(): void {
    this.#done = 0 // its number may be another socket's soon
  }
}

/** How long to wait for memory that others hold. */
const MEMORY_MS = 10

export interface RingSourceOptions {
  readonly fd: number
  readonly transfer: Transfer
  readonly memory: BoundedMemory
  readonly share: HeapShare | undefined
  /** There is to be another peek, not from within this call. */
  readonly again: () => void
  /** A timer that does so. */
  readonly timer: () => Timer
}

export class RingSource implements Source {
  readonly #options: RingSourceOptions
  readonly #backlog: Backlog
  #retry: Timer | undefined
  /** What the last read said, where that was not a number of bytes: 0 at the end, or `-errno`. */
  #last: number | undefined
  /** The bound was what ended the last read. */
  #full = false

  constructor(options: RingSourceOptions) {
    this.#options = options
    this.#backlog = new Backlog(options.memory, options.share)
  }

  get keptBytes(): number {
    return this.#backlog.bytes
  }

  peek(into: Parts, offset: number): number {
    const backlog = this.#backlog
    const missing = offset + into.bytes - backlog.bytes
    if (missing > 0 && this.#last === undefined) this.#read(missing)
    const count = backlog.copy(into, offset)
    if (count === 0) return this.#last ?? -EAGAIN
    // The edge that told of the end, or of an error, has gone by.
    if (count < into.bytes && this.#last !== undefined) this.#options.again()
    return count
  }

  discard(bytes: number): void {
    this.#backlog.discard(bytes)
    if (!this.#full) return
    this.#full = false
    this.#options.again()
  }

  settle(): void {
    // Everything that was read is here.
  }

  close(): void {
    this.#retry?.cancel()
    this.#backlog.clear()
  }

  #read(wanted: number): void {
    const backlog = this.#backlog
    const { fd, transfer } = this.#options
    const most = Math.min(wanted, backlog.room)
    const places = backlog.reserve(most)
    if (places.count === 0) {
      this.#wait()
      return
    }
    const read = transfer.read(fd, places)
    if (read <= 0 && read !== -EAGAIN) this.#last = read
    const all = places.bytes
    backlog.put(Math.max(0, read))
    // Less than it could have been for want of room: no edge will tell of the rest.
    if (read === all && all < wanted) this.#wait()
  }

  #wait(): void {
    this.#full = true
    if (this.#backlog.bytes > 0) return
    this.#retry ??= this.#options.timer()
    this.#retry.after(MEMORY_MS)
  }
}
