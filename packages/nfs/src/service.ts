/**
 * What all connections of a server share: volumes, memory, the cache of duplicates, the write verifier.
 *
 * @module
 */
import { randomBytes } from "node:crypto"
import { type NfsCounters, newCounters } from "./counters.ts"
import type { Volume } from "./files/volume.ts"
import type { Key } from "./handle/siphash.ts"
import { Memory, type MemoryLimits } from "./memory/pool.ts"
import { Mounts } from "./mount/mounts.ts"
import { Duplicates } from "./rpc/duplicates.ts"

const VERIFIER_SIZE = 8

export class Service implements Disposable {
  readonly key: Key
  readonly memory: Memory
  readonly duplicates: Duplicates
  readonly mounts: Mounts = new Mounts()
  readonly counters: NfsCounters = newCounters()
  /** Of TCP, for the port mapper; 0 where there is none. */
  port = 0
  readonly #byId = new Map<number, Volume>()
  readonly #byName = new Map<string, Volume>()
  #verifier: Uint8Array = randomBytes(VERIFIER_SIZE)

  constructor(key: Key, memory: MemoryLimits, duplicates: number) {
    this.key = key
    this.memory = new Memory(memory)
    this.duplicates = new Duplicates(duplicates)
  }

  /** RFC 1813 §3.3.7: the same as long as nothing that was written can have been lost. */
  get verifier(): Uint8Array {
    return this.#verifier
  }

  /** Something may have been lost: clients are to write again what they did not see committed. */
  renewVerifier(): void {
    this.#verifier = randomBytes(VERIFIER_SIZE)
  }

  get volumes(): Iterable<Volume> {
    return this.#byName.values()
  }

  volumeById(id: number): Volume | undefined {
    return this.#byId.get(id)
  }

  volumeByName(name: string): Volume | undefined {
    return this.#byName.get(name)
  }

  add(volume: Volume): void {
    const other = this.#byId.get(volume.id)
    if (other !== undefined)
      throw new Error(`Cannot export "${volume.name}": "${other.name}" has its number or is the same`)
    this.#byId.set(volume.id, volume)
    this.#byName.set(volume.name, volume)
  }

  remove(volume: Volume): void {
    this.#byId.delete(volume.id)
    this.#byName.delete(volume.name)
    volume.close()
  }

  [Symbol.dispose](): void {
    for (const volume of this.#byName.values()) this.remove(volume)
    this.memory[Symbol.dispose]()
  }
}
