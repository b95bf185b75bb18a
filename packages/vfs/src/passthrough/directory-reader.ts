/**
 * Entries of open directories, getdents64(2). The kernel gives some hundred at a time, a client asks for fewer: what is left stays in one of a few buffers,
 * until another directory needs it or the client goes elsewhere.
 *
 * Cookies are the file system's own, `d_off`: they hold as long as the directory does.
 *
 * @module
 */
import { Scratch } from "@skep/loop/memory"
import * as sys from "@skep/loop/sys"
import type { DirectoryEntry, Visit } from "../filesystem.ts"
import { u8, u32 } from "./cells.ts"
import type { OpenFile } from "./handles.ts"
import { dots } from "./memory.ts"

const { DIRENT64 } = sys
const BUFFERS = 8
const LENGTH = 32 * 1024

export interface DirectoryBuffer {
  readonly address: number
  readonly bytes: Uint8Array
  readonly words: Uint32Array
  readonly cookies: BigUint64Array
  owner: OpenFile | undefined
  at: number
  end: number
}

/** Whose number `..` has where it must not be the host's. */
export interface Above {
  readonly inoLow: number
  readonly inoHigh: number
}

export class DirectoryReader implements Disposable {
  readonly #scratch = new Scratch(BUFFERS * LENGTH)
  /** Used last at the end. */
  readonly #buffers: DirectoryBuffer[]
  readonly #entry: DirectoryEntry = { name: new Uint8Array(0), cookie: 0n, type: 0, inoLow: 0, inoHigh: 0 }

  constructor() {
    this.#buffers = Array.from({ length: BUFFERS }, (_, index) => {
      const { address, bytes, u32: words } = this.#scratch.region(`entries ${index}`, LENGTH)
      const cookies = new BigUint64Array(bytes.buffer, bytes.byteOffset, LENGTH / 8)
      return { address, bytes, words, cookies, owner: undefined, at: 0, end: 0 }
    })
  }

  /** `above` is given for the root alone. */
  read(file: OpenFile, cookie: bigint, visit: Visit, above: Above | undefined): number {
    const buffer = this.#bufferOf(file)
    // The beginning is always read anew: that is what rewinding is for.
    if (file.buffer !== buffer || cookie === 0n || file.cookie !== cookie) {
      const position = sys.lseek(file.fd, cookie, sys.SEEK_SET)
      if (position < 0) return position
      file.buffer = buffer
      file.cookie = cookie
      buffer.at = 0
      buffer.end = 0
    }
    for (;;) {
      if (buffer.at >= buffer.end) {
        const read = sys.getdents64(file.fd, buffer.address, LENGTH)
        // A directory that was removed has no entries, and is one still.
        if (read <= 0) return read === -sys.ENOENT ? 0 : read
        buffer.at = 0
        buffer.end = read
      }
      const entry = this.#entryAt(buffer, above)
      if (!visit(entry)) return 0
      file.cookie = entry.cookie
      buffer.at +=
        u8(buffer.bytes, buffer.at + DIRENT64.length) |
        (u8(buffer.bytes, buffer.at + DIRENT64.length + 1) << 8)
    }
  }

  /** The directory is closed. */
  release(file: OpenFile): void {
    if (file.buffer?.owner === file) file.buffer.owner = undefined
    file.buffer = undefined
  }

  [Symbol.dispose](): void {
    this.#scratch[Symbol.dispose]()
  }

  #entryAt(buffer: DirectoryBuffer, above: Above | undefined): DirectoryEntry {
    const { bytes, words, at } = buffer
    const entry = this.#entry
    const start = at + DIRENT64.name
    const end = bytes.indexOf(0, start)
    entry.name = bytes.subarray(start, end)
    entry.type = u8(bytes, at + DIRENT64.type)
    entry.inoLow = u32(words, at >> 2)
    entry.inoHigh = u32(words, (at >> 2) + 1)
    // Reading a word of an array one knows to be long enough.
    entry.cookie = buffer.cookies[(at + DIRENT64.offset) >> 3] ?? 0n
    if (above !== undefined && dots(entry.name, end - start) === 2) {
      entry.inoLow = above.inoLow
      entry.inoHigh = above.inoHigh
    }
    return entry
  }

  #bufferOf(file: OpenFile): DirectoryBuffer {
    const index = Math.max(
      0,
      this.#buffers.findIndex(({ owner }) => owner === file),
    )
    const [buffer] = this.#buffers.splice(index, 1)
    if (buffer === undefined) throw new Error("unreachable")
    this.#buffers.push(buffer)
    if (buffer.owner !== file) {
      if (buffer.owner !== undefined) buffer.owner.buffer = undefined
      buffer.owner = file
      file.buffer = undefined
    }
    return buffer
  }
}
