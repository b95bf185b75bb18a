/**
 * Memory by offsets into one buffer: for Node's own sockets, which take views of it. No system call by address, so it works everywhere.
 *
 * @module
 */
import { Arena, type ArenaMemory, type ArenaOptions } from "./arena.ts"
import { copyBytes } from "./element.ts"

/** An address is an offset into `bytes`. */
export class PoolMemory implements ArenaMemory {
  readonly arena: Arena
  readonly bytes: Uint8Array
  /** As that of a `SystemMemory`: what to take from an address to have an offset. */
  readonly base = 0

  constructor(options: ArenaOptions = {}) {
    this.arena = new Arena(options)
    this.bytes = this.arena.bytes
  }

  copy(from: number, to: number, length: number): void {
    this.bytes.copyWithin(to, from, from + length)
  }

  read(from: number, length: number, into: Uint8Array, at: number): void {
    copyBytes(this.bytes, from, length, into, at)
  }

  write(from: Uint8Array, at: number, length: number, to: number): void {
    copyBytes(from, at, length, this.bytes, to)
  }

  sum(address: number, length: number, seed: number): number {
    return this.arena.sum(address, length, seed)
  }

  allocate(length: number): number {
    const offset = this.arena.heap.allocate(length)
    return offset < 0 ? 0 : this.arena.heapAt + offset
  }

  free(address: number, length: number): void {
    this.arena.heap.free(address - this.arena.heapAt, length)
  }
}
