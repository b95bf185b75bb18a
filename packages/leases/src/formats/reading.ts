/**
 * What is found while a file is read, until it is a document.
 *
 * @module
 */
import type { Document, Lease, Network, Problem } from "../model.ts"

/** Beyond it one more problem tells nobody anything. */
const PROBLEMS_MAX = 100

export class Reading {
  readonly path: string
  /** The same memory as the file's bytes. */
  readonly bytes: Buffer
  readonly leases: Lease[] = []
  readonly networks: Network[] = []
  readonly #format: string
  readonly #file: Uint8Array
  readonly #problems: Problem[] = []
  #complete = true

  constructor(format: string, bytes: Uint8Array, path: string) {
    this.#format = format
    this.#file = bytes
    this.path = path
    this.bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  /** Something that is not understood. Text of the file in it has been through `shown`. */
  problem(line: number, sentence: string): void {
    if (this.#problems.length < PROBLEMS_MAX) this.#problems.push({ line, sentence })
  }

  /** The file ends, or can be read, no further than this. */
  broken(line: number, sentence: string): void {
    this.#complete = false
    // Of this one somebody has to hear, however many there were before.
    if (this.#problems.length >= PROBLEMS_MAX) this.#problems.pop()
    this.#problems.push({ line, sentence })
  }

  document(): Document {
    return {
      format: this.#format,
      path: this.path,
      bytes: this.#file,
      leases: this.leases,
      networks: this.networks,
      problems: this.#problems.toSorted((one, other) => one.line - other.line),
      complete: this.#complete,
    }
  }
}
