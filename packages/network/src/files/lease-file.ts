/**
 * The lease file: read once at the start, then written whole whenever the leases changed.
 *
 * @module
 */
import { readFile } from "node:fs/promises"
import type { Log } from "@skep/contract"
import { describeFileError, errnoOf, writeFileWhole } from "@skep/runtime"

/** Nothing of ours is longer; what is, was not written by us. */
const FILE_BYTES_MAX = 16 << 20

/** Undefined where there is none. Throws what the world refuses, as a SidecarError. */
export async function readLeaseFile(path: string): Promise<string | undefined> {
  try {
    const text = await readFile(path, "utf8")
    return text.length > FILE_BYTES_MAX ? undefined : text
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return undefined
    throw describeFileError("read", path, error)
  }
}

/** Writes the latest content, one write at a time. Disposing waits for the last. */
export class LeaseFile implements AsyncDisposable {
  readonly #path: string
  readonly #log: Log
  #next: string | undefined
  #writing: Promise<void> | undefined
  #failures = 0

  constructor(path: string, log: Log) {
    this.#path = path
    this.#log = log
  }

  /** Writes that failed; the leases themselves are safe in the thread until the next. */
  get failures(): number {
    return this.#failures
  }

  /** Never throws; a content that came meanwhile takes the place of this one. */
  write(content: string): void {
    this.#next = content
    this.#writing ??= this.#run()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#writing
  }

  async #run(): Promise<void> {
    for (let content = this.#next; content !== undefined; content = this.#next) {
      this.#next = undefined
      try {
        await writeFileWhole(this.#path, content)
      } catch (error) {
        this.#failures++
        this.#log.info("cannot write the leases", { path: this.#path, reason: String(error) })
      }
    }
    this.#writing = undefined
  }
}
