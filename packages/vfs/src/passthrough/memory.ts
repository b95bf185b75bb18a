/**
 * What the kernel is told by address: names, paths of descriptors, structures. Private to this process, so that nobody changes a name between
 * its check and its use.
 *
 * @module
 */
import { type Region, Scratch } from "@skep/loop/memory"
import * as sys from "@skep/loop/sys"
import type { Name } from "../filesystem.ts"
import { u8 } from "./cells.ts"

export const NAME_MAX = 255
const PATH_MAX = 4096
const XATTR_MAX = 65536
const SLASH = 0x2f
const DOT = 0x2e
const ZERO = 0x30
const DESCRIPTORS = "/proc/self/fd/"
/** One reading of a directory. */
export const ENTRIES: number = 32 * 1024
const SIZE = 256 * 1024

export class Memory implements Disposable {
  readonly #scratch = new Scratch(SIZE)
  /** The name an operation is about, with NUL behind it. */
  readonly name: Region = this.#scratch.region("name", NAME_MAX + 1)
  /** The second name of a rename, and those of walks. */
  readonly other: Region = this.#scratch.region("other", NAME_MAX + 1)
  readonly walked: Region = this.#scratch.region("walked", NAME_MAX + 1)
  readonly target: Region = this.#scratch.region("target", PATH_MAX)
  readonly stat: Region = this.#scratch.region("stat", 256)
  readonly walkedStat: Region = this.#scratch.region("stat of walks", 256)
  readonly entries: Region = this.#scratch.region("entries", ENTRIES)
  readonly times: Region = this.#scratch.region("times", 32)
  readonly lock: Region = this.#scratch.region("lock", 32)
  readonly offsets: Region = this.#scratch.region("offsets", 16)
  readonly usage: Region = this.#scratch.region("usage", 128)
  readonly iovecs: Region = this.#scratch.region("iovecs", sys.IOV_MAX * 16)
  readonly attribute: Region = this.#scratch.region("attribute", NAME_MAX + 1)
  readonly value: Region = this.#scratch.region("value", XATTR_MAX)
  readonly list: Region = this.#scratch.region("list", XATTR_MAX)
  /** The address of no name at all. */
  readonly empty: number = this.#scratch.region("empty", 16).address
  readonly dot: number
  readonly #path: Region = this.#scratch.region("path", 32 + NAME_MAX + 1)

  constructor() {
    const dot = this.#scratch.region("dot", 16)
    dot.bytes[0] = DOT
    this.dot = dot.address
    this.#path.bytes.set(Buffer.from(DESCRIPTORS))
  }

  /** Copies a name and checks the copy. Returns its length, or what is wrong with it. */
  takeName(name: Name, into: Region = this.name): number {
    const { length } = name
    if (length > NAME_MAX) return -sys.ENAMETOOLONG
    const { bytes } = into
    bytes.set(name)
    bytes[length] = 0
    return checkName(bytes, length)
  }

  /** Copies a link's target. */
  takeTarget(target: Name): number {
    const { length } = target
    if (length === 0) return -sys.ENOENT
    if (length >= PATH_MAX) return -sys.ENAMETOOLONG
    const { bytes } = this.target
    bytes.set(target)
    bytes[length] = 0
    return bytes.indexOf(0) === length ? length : -sys.EINVAL
  }

  /** The address of "/proc/self/fd/N". */
  descriptorPath(fd: number): number {
    this.#digits(fd)
    return this.#path.address
  }

  /** The address of "/proc/self/fd/N/NAME": a name below the directory of a descriptor. `name` ends with NUL. */
  namePath(directory: number, name: Uint8Array, length: number): number {
    this.#digits(directory)
    const { bytes, address } = this.#path
    let at = bytes.indexOf(0)
    bytes[at++] = SLASH
    for (let index = 0; index <= length; index++) bytes[at++] = u8(name, index)
    return address
  }

  /** The address of "N", for calls below a descriptor of /proc/self/fd. */
  descriptorName(fd: number): number {
    this.#digits(fd)
    return this.#path.address + DESCRIPTORS.length
  }

  [Symbol.dispose](): void {
    this.#scratch[Symbol.dispose]()
  }

  #digits(fd: number): void {
    const { bytes } = this.#path
    let count = 1
    for (let rest = fd; rest >= 10; rest = Math.floor(rest / 10)) count++
    let rest = fd
    for (let index = DESCRIPTORS.length + count - 1; index >= DESCRIPTORS.length; index--) {
      bytes[index] = ZERO + (rest % 10)
      rest = Math.floor(rest / 10)
    }
    bytes[DESCRIPTORS.length + count] = 0
  }
}

/** The length of a name that may be given to the kernel, or EINVAL: no NUL, no slash, not nothing, neither `.` nor `..`. */
export function checkName(bytes: Uint8Array, length: number): number {
  if (length === 0 || dots(bytes, length) > 0) return -sys.EINVAL
  for (let index = 0; index < length; index++) {
    const byte = u8(bytes, index)
    if (byte === 0 || byte === SLASH) return -sys.EINVAL
  }
  return length
}

/** 1 for ".", 2 for "..", 0 for every other name. */
export function dots(bytes: Uint8Array, length: number): number {
  if (length === 1) return u8(bytes, 0) === DOT ? 1 : 0
  return length === 2 && u8(bytes, 0) === DOT && u8(bytes, 1) === DOT ? 2 : 0
}
