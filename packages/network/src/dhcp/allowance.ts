/**
 * So many messages a second from one link, with a burst of as many: a token bucket for each.
 *
 * @module
 */

interface Bucket {
  tokens: number
  at: number
}

/** Links beyond it take the place of the ones that came first. */
const LINKS_MAX = 4096
const SECOND = 1000

export class Allowance {
  readonly #perSecond: number
  readonly #buckets: Map<string, Bucket> = new Map()

  constructor(perSecond: number) {
    this.#perSecond = perSecond
  }

  /** Whether one more message may be read at `now`. */
  take(link: string, now: number): boolean {
    const bucket = this.#buckets.get(link) ?? this.#add(link, now)
    const passed = Math.max(0, now - bucket.at)
    bucket.tokens = Math.min(this.#perSecond, bucket.tokens + (passed * this.#perSecond) / SECOND)
    bucket.at = now
    if (bucket.tokens < 1) return false
    bucket.tokens--
    return true
  }

  drop(link: string): void {
    this.#buckets.delete(link)
  }

  #add(link: string, now: number): Bucket {
    const [oldest] = this.#buckets.keys()
    if (this.#buckets.size >= LINKS_MAX && oldest !== undefined) this.#buckets.delete(oldest)
    const bucket = { tokens: this.#perSecond, at: now }
    this.#buckets.set(link, bucket)
    return bucket
  }
}
