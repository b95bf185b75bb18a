/**
 * What is in files: reads, writes, and all that may wait for a device.
 *
 * With a pool nothing here waits: what is in the page cache is read at once (RWF_NOWAIT) and the rest in the pool; writes go to the page cache at once unless
 * the device has made one wait lately, or is being waited for and they are large; everything that is about the device itself goes to the pool.
 *
 * @module
 */
import { type CallDone, monotonic, type SyscallPool } from "@skep/loop"
import { getU64, setU64 } from "@skep/loop/memory"
import * as sys from "@skep/loop/sys"
import type { Done, Pieces } from "../filesystem.ts"
import type { Handles, OpenFile } from "./handles.ts"
import type { Memory } from "./memory.ts"
import { SlowDevice } from "./slow-device.ts"

/** From this size on a write allocates so much that it may have to wait behind what the device does already. */
const LARGE = 256 * 1024
const TMPFS = 0x01021994
const RAMFS = 0x858458f6
const IOVEC_WORDS = 4

export class Data {
  readonly #memory: Memory
  readonly #handles: Handles
  readonly #pool: SyscallPool | undefined
  readonly #device = new SlowDevice(sys.waitsOfThread)
  #inFlight = 0
  /** Devices whose reads know no RWF_NOWAIT: whether they are memory, so that reading never waits. */
  readonly #waiting = new Map<number, boolean>()

  constructor(memory: Memory, handles: Handles, pool: SyscallPool | undefined) {
    this.#memory = memory
    this.#handles = handles
    this.#pool = pool
  }

  /** Waits until no call is under way. */
  drain(): void {
    if (this.#inFlight > 0) this.#pool?.drain()
  }

  /** `device` is that of the file. */
  read(file: OpenFile, device: number, offset: number, into: Pieces, done: Done): void {
    const pool = this.#pool
    const inMemory = pool === undefined ? true : this.#waiting.get(device)
    if (pool === undefined || inMemory === true) {
      done(sys.preadv(file.fd, into.address, into.count, offset))
      return
    }
    this.#got = 0
    const got = inMemory === undefined ? this.#readCached(file.fd, offset, into) : -sys.EAGAIN
    if (got === -sys.EOPNOTSUPP) {
      this.#waiting.set(device, this.#isMemory(file.fd))
      this.read(file, device, offset, into, done)
      return
    }
    if (got !== -sys.EAGAIN) {
      done(got)
      return
    }
    const start = this.#got
    const rest = this.#rest(into, start)
    // An error after the first bytes is told by the next read.
    const finish = this.#busy(file, (result) =>
      done(result < 0 && start > 0 ? start : result < 0 ? result : start + result),
    )
    if (pool.preadv(file.fd, rest.address, rest.count, offset + start, finish)) return
    finish(sys.preadv(file.fd, rest.address, rest.count, offset + start))
  }

  write(file: OpenFile, offset: number, from: Pieces, done: Done): void {
    const pool = this.#pool
    if (pool === undefined) {
      done(sys.pwritev(file.fd, from.address, from.count, offset))
      return
    }
    const now = monotonic.now()
    if (this.#device.isSlow(now) || (from.bytes >= LARGE && this.#inFlight > 0)) {
      const finish = this.#busy(file, done)
      if (pool.pwritev(file.fd, from.address, from.count, offset, finish)) return
      finish(sys.pwritev(file.fd, from.address, from.count, offset))
      return
    }
    this.#device.begin(now)
    const result = sys.pwritev(file.fd, from.address, from.count, offset)
    this.#device.end(monotonic.now())
    done(result)
  }

  sync(file: OpenFile, dataOnly: boolean, done: Done): void {
    const { fd } = file
    const finish = this.#busy(file, done)
    const taken = dataOnly ? this.#pool?.fdatasync(fd, finish) : this.#pool?.fsync(fd, finish)
    if (taken !== true) finish(dataOnly ? sys.fdatasync(fd) : sys.fsync(fd))
  }

  allocate(file: OpenFile, mode: number, range: { offset: number; length: number }, done: Done): void {
    const { offset, length } = range
    const finish = this.#busy(file, done)
    if (this.#pool?.fallocate(file.fd, mode, offset, length, finish) !== true)
      finish(sys.fallocate(file.fd, mode, offset, length))
  }

  copy(from: Position, to: Position, length: number, done: Done): void {
    // Both stay open for it.
    const finish = this.#busy(from.file, this.#busy(to.file, done))
    const source = { fd: from.file.fd, offset: from.offset }
    const target = { fd: to.file.fd, offset: to.offset }
    if (this.#pool?.copyFileRange(source, target, length, finish) === true) return
    const { address, u32: words } = this.#memory.offsets
    setU64(words, 0, from.offset)
    setU64(words, 2, to.offset)
    finish(sys.copyFileRange(source.fd, target.fd, address, length))
  }

  /** How many bytes `#readCached` had before it had to wait. */
  #got = 0

  /** Reads what is in the page cache: all, or what there is to the end of the file; -EAGAIN where the rest is not there. */
  #readCached(fd: number, offset: number, into: Pieces): number {
    let { address, count } = into
    for (;;) {
      const n = sys.preadv2(fd, address, count, offset + this.#got, sys.RWF_NOWAIT)
      if (n < 0) return n === -sys.EAGAIN || this.#got === 0 ? n : this.#got
      this.#got += n
      // Fewer bytes are the end of the file or of what is cached: only the next answer tells.
      if (n === 0 || this.#got >= into.bytes) return this.#got
      const rest = this.#rest(into, this.#got)
      address = rest.address
      count = rest.count
    }
  }

  /** The pieces without their first bytes, copied. */
  #rest(pieces: Pieces, skip: number): { readonly address: number; readonly count: number } {
    if (skip === 0) return pieces
    const { address, u32: words } = this.#memory.iovecs
    sys.copyMemory(address, pieces.address, pieces.count * IOVEC_WORDS * 4)
    let first = 0
    let left = skip
    for (;;) {
      const word = first * IOVEC_WORDS
      const length = getU64(words, word + 2)
      if (left < length || first + 1 >= pieces.count) {
        setU64(words, word, getU64(words, word) + left)
        setU64(words, word + 2, length - left)
        return { address: address + first * IOVEC_WORDS * 4, count: pieces.count - first }
      }
      left -= length
      first++
    }
  }

  /** Keeps the descriptor until the call has ended, even where the file is released meanwhile. */
  #busy(file: OpenFile, done: Done): CallDone {
    file.busy++
    this.#inFlight++
    return (result) => {
      file.busy--
      this.#inFlight--
      this.#handles.closeIfDone(file)
      done(result)
    }
  }

  #isMemory(fd: number): boolean {
    const { address, u32: words } = this.#memory.usage
    if (sys.fstatfs(fd, address) < 0) return false
    return words[0] === TMPFS || words[0] === RAMFS
  }
}

/** A place in an open file. */
export interface Position {
  readonly file: OpenFile
  readonly offset: number
}
