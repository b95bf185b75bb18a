/**
 * Addresses held for a while: offered and not yet asked for, or declined because somebody else answers for them.
 *
 * Each link holds so many at most; one more lets its oldest go. All are held equally long, so the oldest is the first that is over.
 *
 * @module
 */

export interface Hold {
  readonly address: number
  readonly link: string
  /** Who it is held for. */
  readonly key: string
  readonly until: number
}

export interface HoldLimits {
  readonly forMs: number
  readonly perLink: number
}

export class Holds {
  readonly #limits: HoldLimits
  readonly #ended: (hold: Hold) => void
  readonly #byAddress: Map<number, Hold> = new Map()
  readonly #byKey: Map<string, Hold> = new Map()
  /** In the order they were made. */
  readonly #byLink: Map<string, Set<Hold>> = new Map()

  /** `ended` is called after a hold is gone, whatever the reason. */
  constructor(limits: HoldLimits, ended: (hold: Hold) => void) {
    this.#limits = limits
    this.#ended = ended
  }

  get size(): number {
    return this.#byAddress.size
  }

  at(address: number): Hold | undefined {
    return this.#byAddress.get(address)
  }

  /** The last one made for it. */
  of(key: string): Hold | undefined {
    return this.#byKey.get(key)
  }

  add(address: number, key: string, link: string, now: number): void {
    const before = this.#byAddress.get(address)
    if (before !== undefined) this.#forget(before)
    const hold = { address, link, key, until: now + this.#limits.forMs }
    this.#byAddress.set(address, hold)
    this.#byKey.set(key, hold)
    const others = this.#byLink.get(link) ?? new Set()
    this.#byLink.set(link, others.add(hold))
    const [oldest] = others
    if (others.size > this.#limits.perLink && oldest !== undefined) this.end(oldest)
  }

  end(hold: Hold): void {
    this.#forget(hold)
    this.#ended(hold)
  }

  endLink(link: string): void {
    for (const hold of this.#byLink.get(link) ?? []) this.end(hold)
  }

  /** Ends what is over at `now`; also what would last longer than it may, which is what a clock that was set back looks like. */
  expire(now: number): void {
    for (const hold of this.#byAddress.values()) {
      if (hold.until > now && hold.until <= now + this.#limits.forMs) return
      this.end(hold)
    }
  }

  #forget(hold: Hold): void {
    this.#byAddress.delete(hold.address)
    if (this.#byKey.get(hold.key) === hold) this.#byKey.delete(hold.key)
    const others = this.#byLink.get(hold.link)
    others?.delete(hold)
    if (others?.size === 0) this.#byLink.delete(hold.link)
  }
}
