/**
 * Memory of a test: one buffer, given out by size and taken back.
 *
 * @module
 */
import type { Memory } from "@skep/link"
import { sum } from "@skep/wire/checksum"

export class FlatMemory implements Memory {
  readonly bytes: Uint8Array
  /** What is given out and not yet back: 0 at the end of a test that leaks nothing. */
  inUse = 0
  #top = 16
  readonly #free = new Map<number, number[]>()

  constructor(size: number) {
    this.bytes = new Uint8Array(size)
  }

  copy(from: number, to: number, length: number): void {
    this.bytes.copyWithin(to, from, from + length)
  }

  read(from: number, length: number, into: Uint8Array, at: number): void {
    into.set(this.bytes.subarray(from, from + length), at)
  }

  write(from: Uint8Array, at: number, length: number, to: number): void {
    this.bytes.set(from.subarray(at, at + length), to)
  }

  sum(address: number, length: number, seed: number): number {
    return sum(this.bytes, address, address + length, seed)
  }

  allocate(length: number): number {
    const again = this.#free.get(length)?.pop()
    if (again === undefined && this.#top + length > this.bytes.length) return 0
    this.inUse += length
    if (again !== undefined) return again
    const address = this.#top
    this.#top += length
    return address
  }

  free(address: number, length: number): void {
    this.inUse -= length
    const list = this.#free.get(length)
    if (list === undefined) this.#free.set(length, [address])
    else list.push(address)
  }
}
