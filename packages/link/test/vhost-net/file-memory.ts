/**
 * Memory by address with nothing but files: what is copied goes through a memfd. Slow and right.
 *
 * @module
 */
import { readSync, writeSync } from "node:fs"
import { check } from "@skep/loop"
import * as sys from "@skep/loop/sys"
import type { Memory } from "../../src/index.ts"

export class FileMemory implements Memory, Disposable {
  readonly #fd = check(sys.memfdCreate("copies"), "memfd_create")

  copy(from: number, to: number, length: number): void {
    check(sys.pwrite(this.#fd, from, length, 0), "pwrite")
    check(sys.pread(this.#fd, to, length, 0), "pread")
  }

  read(from: number, length: number, into: Uint8Array, at: number): void {
    if (length === 0) return
    check(sys.pwrite(this.#fd, from, length, 0), "pwrite")
    readSync(this.#fd, into, at, length, 0)
  }

  write(from: Uint8Array, at: number, length: number, to: number): void {
    if (length === 0) return
    writeSync(this.#fd, from, at, length, 0)
    check(sys.pread(this.#fd, to, length, 0), "pread")
  }

  sum(): number {
    throw new Error("no link needs a sum")
  }

  allocate(): number {
    return 0
  }

  free(): void {
    throw new Error("nothing was allocated")
  }

  [Symbol.dispose](): void {
    sys.close(this.#fd)
  }
}
