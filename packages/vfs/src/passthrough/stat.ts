/**
 * What the kernel says of a file, statx(2): asked for by name below a directory, or of a descriptor.
 *
 * @module
 */
import type { Region } from "@skep/loop/memory"
import * as sys from "@skep/loop/sys"
import type { Attributes } from "../filesystem.ts"
import { u32 } from "./cells.ts"
import type { Memory } from "./memory.ts"

const { STATX } = sys
const MASK = sys.STATX_BASIC_STATS | sys.STATX_BTIME
const BY_NAME = sys.AT_SYMLINK_NOFOLLOW | sys.AT_NO_AUTOMOUNT
const HIGH = 2 ** 32

/** What was asked last. */
export class Stat {
  device = 0
  inoLow = 0
  inoHigh = 0
  mode = 0
  links = 0
  /** When the file was made; both 0 on file systems that do not say. */
  bornSeconds = 0
  bornNanoseconds = 0
  readonly #empty: number
  readonly #address: number
  readonly #words: Uint32Array

  /** Has the kernel write to `region`, which is `memory`'s: that of operations unless told. */
  constructor(memory: Memory, region: Region = memory.stat) {
    this.#empty = memory.empty
    this.#address = region.address
    this.#words = region.u32
  }

  /** `name` is an address. Never follows a link. */
  ofName(directory: number, name: number): number {
    return this.#read(sys.statxAt(directory, name, BY_NAME, MASK, this.#address))
  }

  ofDescriptor(fd: number): number {
    return this.#read(sys.statxAt(fd, this.#empty, sys.AT_EMPTY_PATH, MASK, this.#address))
  }

  get type(): number {
    return this.mode & sys.S_IFMT
  }

  /** Shows all of it. */
  fill(into: Attributes): void {
    const words = this.#words
    into.inoLow = this.inoLow
    into.inoHigh = this.inoHigh
    into.device = this.device
    into.mode = this.mode
    into.links = this.links
    into.uid = u32(words, STATX.uid >> 2)
    into.gid = u32(words, STATX.gid >> 2)
    into.rdev = encode(u32(words, STATX.rdevMajor >> 2), u32(words, STATX.rdevMinor >> 2))
    into.size = word64(words, STATX.bytes >> 2)
    into.blocks = word64(words, STATX.blocks >> 2)
    into.blockSize = u32(words, STATX.blockSize >> 2)
    into.accessSeconds = signed64(words, STATX.accessed >> 2)
    into.accessNanoseconds = u32(words, (STATX.accessed >> 2) + 2)
    into.modifySeconds = signed64(words, STATX.modified >> 2)
    into.modifyNanoseconds = u32(words, (STATX.modified >> 2) + 2)
    into.changeSeconds = signed64(words, STATX.changed >> 2)
    into.changeNanoseconds = u32(words, (STATX.changed >> 2) + 2)
  }

  #read(result: number): number {
    if (result < 0) return result
    const words = this.#words
    this.device = encode(u32(words, STATX.deviceMajor >> 2), u32(words, STATX.deviceMinor >> 2))
    this.inoLow = u32(words, STATX.inode >> 2)
    this.inoHigh = u32(words, (STATX.inode >> 2) + 1)
    this.mode = u32(words, STATX.mode >> 2) & 0xffff
    this.links = u32(words, STATX.links >> 2)
    const born = (u32(words, STATX.mask >> 2) & sys.STATX_BTIME) !== 0
    this.bornSeconds = born ? u32(words, STATX.born >> 2) : 0
    this.bornNanoseconds = born ? u32(words, (STATX.born >> 2) + 2) : 0
    return 0
  }
}

/** `new_encode_dev` of the kernel. */
function encode(major: number, minor: number): number {
  return ((minor & 0xff) | (major << 8) | ((minor & ~0xff) << 12)) >>> 0
}

function word64(words: Uint32Array, index: number): number {
  return u32(words, index) + u32(words, index + 1) * HIGH
}

function signed64(words: Uint32Array, index: number): number {
  return u32(words, index) + (u32(words, index + 1) | 0) * HIGH
}
