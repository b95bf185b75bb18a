/**
 * Answers from outside, kept for as long as they say (RFC 1035 section 3.2.1, RFC 2308), within bounds of count and bytes.
 *
 * @module
 */
import { copyOf } from "./message/bytes.ts"
import type { ResourceRecord } from "./message/message.ts"
import { age } from "./message/reply.ts"

export interface Kept {
  /** A reply without OPT. Not to be changed. */
  readonly bytes: Uint8Array
  readonly records: readonly ResourceRecord[]
  readonly rcode: number
}

export interface CacheLimits {
  readonly entries: number
  readonly bytes: number
}

export const CACHE_LIMITS: CacheLimits = { entries: 4096, bytes: 4 * 1024 * 1024 }
/** What an entry costs beside its bytes, about. */
const ENTRY_COST = 512

interface Entry {
  readonly kept: Kept
  readonly since: number
  readonly until: number
  readonly cost: number
}

export class Cache {
  readonly #limits: CacheLimits
  /** The least recently used first. */
  readonly #entries = new Map<string, Entry>()
  #bytes = 0

  constructor(limits: CacheLimits) {
    this.#limits = limits
  }

  get entries(): number {
    return this.#entries.size
  }

  get bytes(): number {
    return this.#bytes
  }

  /** `now` in milliseconds. The reply is a copy, its times to live lowered by the time that went by. */
  get(key: string, now: number): Kept | undefined {
    const entry = this.#entries.get(key)
    if (entry === undefined) return undefined
    this.#entries.delete(key)
    if (now >= entry.until) {
      this.#bytes -= entry.cost
      return undefined
    }
    this.#entries.set(key, entry)
    const bytes = copyOf(entry.kept.bytes)
    age(bytes, entry.kept.records, Math.floor(Math.max(0, now - entry.since) / 1000))
    return { ...entry.kept, bytes }
  }

  /** Keeps it for `lifeMs` from `now` on; nothing for a life of 0. */
  put(key: string, kept: Kept, { now, lifeMs }: { readonly now: number; readonly lifeMs: number }): void {
    this.#delete(key)
    const cost = kept.bytes.length + ENTRY_COST
    if (lifeMs <= 0 || cost > this.#limits.bytes) return
    this.#entries.set(key, { kept, since: now, until: now + lifeMs, cost })
    this.#bytes += cost
    for (const oldest of this.#entries.keys()) {
      if (this.#entries.size <= this.#limits.entries && this.#bytes <= this.#limits.bytes) return
      this.#delete(oldest)
    }
  }

  clear(): void {
    this.#entries.clear()
    this.#bytes = 0
  }

  #delete(key: string): void {
    const entry = this.#entries.get(key)
    if (entry === undefined) return
    this.#entries.delete(key)
    this.#bytes -= entry.cost
  }
}
