/**
 * A log of bounded size: two files of half the bound, `console.log` and the older `console.log.1`.
 *
 * @module
 */
import { closeSync, fstatSync, openSync, renameSync, writeSync } from "node:fs"
import { describeFileError } from "@skep/runtime"

/** Writes synchronously: a console is slow, and the last line before a crash has to be there. */
export class LogFile implements Disposable {
  readonly path: string
  readonly #half: number
  #fd: number
  #size: number
  #errors = 0

  constructor(path: string, maxBytes: number) {
    this.path = path
    this.#half = Math.floor(maxBytes / 2)
    try {
      this.#fd = openSync(path, "a", 0o600)
    } catch (error) {
      throw describeFileError("write", path, error)
    }
    this.#size = fstatSync(this.#fd).size
  }

  /** Writes that the disk refused; the machine runs on without its log. */
  get errors(): number {
    return this.#errors
  }

  write(chunk: Uint8Array): void {
    if (this.#fd === -1) return
    try {
      for (let from = 0; from < chunk.length; ) {
        if (this.#size >= this.#half) this.rotate()
        from += this.#append(chunk.subarray(from, from + this.#half - this.#size))
      }
    } catch {
      this.#errors++
    }
  }

  /** Sets the current file aside, unless it is empty. */
  rotate(): void {
    if (this.#size === 0 || this.#fd === -1) return
    renameSync(this.path, `${this.path}.1`)
    const fd = openSync(this.path, "a", 0o600)
    closeSync(this.#fd)
    this.#fd = fd
    this.#size = 0
  }

  [Symbol.dispose](): void {
    if (this.#fd !== -1) closeSync(this.#fd)
    this.#fd = -1
  }

  #append(part: Uint8Array): number {
    const written = writeSync(this.#fd, part)
    this.#size += written
    return written
  }
}
