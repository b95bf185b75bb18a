/**
 * A small file of the host's, read again when it changed.
 *
 * It is looked at with every use, which costs microseconds: watching would miss links that are led elsewhere, as resolv.conf is on many hosts.
 *
 * @module
 */
import { readFileSync, statSync } from "node:fs"

/** Lists of blocked names make large hosts files; larger ones than this are not read. */
const SIZE_MAX = 16 * 1024 * 1024

export class WatchedFile<T> {
  readonly #path: string
  readonly #parse: (text: string) => T
  #stamp: string | undefined
  #value: T | undefined
  #version = 0

  constructor(path: string, parse: (text: string) => T) {
    this.#path = path
    this.#parse = parse
  }

  /** The file as it is now; of a file that is not there, cannot be read or is too large, what the empty text means. */
  get value(): T {
    const stamp = this.#look()
    if (this.#value === undefined || stamp !== this.#stamp) {
      this.#stamp = stamp
      this.#version++
      this.#value = this.#parse(stamp === "" ? "" : this.#read())
    }
    return this.#value
  }

  /** Another number when `value` is another. */
  get version(): number {
    void this.value
    return this.#version
  }

  #look(): string {
    const stat = statSync(this.#path, { throwIfNoEntry: false, bigint: true })
    if (stat === undefined || !stat.isFile() || stat.size > BigInt(SIZE_MAX)) return ""
    return `${stat.dev} ${stat.ino} ${stat.size} ${stat.mtimeNs} ${stat.ctimeNs}`
  }

  #read(): string {
    try {
      return readFileSync(this.#path, "utf8")
    } catch {
      return "" // gone, or not ours to read
    }
  }
}
