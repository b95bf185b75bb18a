/**
 * Which address is behind which port: learned from the sources of frames, forgotten with age, bounded for each port. Whoever has one keeps it, unless
 * told otherwise: nobody takes the place of another who is there.
 *
 * @module
 */

/** What a table knows of an address. */
export interface Entry<Port> {
  readonly address: number
  /** Undefined once it was forgotten, or moved: then there is another entry. */
  port: Port | undefined
  /** When it was last the source of a frame, in milliseconds. */
  seen: number
}

export interface AddressesOptions {
  readonly ageMs: number
  /** For each port: the one learned first is forgotten for another. */
  readonly most: number
  /** An address goes with whoever used it last, as in IEEE 802.1D; else it stays where it is until it is forgotten. */
  readonly roaming: boolean
}

export class Addresses<Port extends object> {
  readonly #options: AddressesOptions
  readonly #entries = new Map<number, Entry<Port>>()
  readonly #ofPort = new Map<Port, Set<Entry<Port>>>()

  constructor(options: AddressesOptions) {
    this.#options = options
  }

  get size(): number {
    return this.#entries.size
  }

  /**
   * Learns, or moves, an address. The entry may be kept, and its `seen` renewed, as long as it has its port. Undefined where the address is another
   * port's.
   */
  learn(address: number, port: Port, now: number): Entry<Port> | undefined {
    const known = this.#entries.get(address)
    if (known?.port === port) {
      known.seen = now
      return known
    }
    if (known !== undefined) {
      if (!this.#options.roaming && now - known.seen <= this.#options.ageMs) return undefined
      this.#drop(known)
    }
    const entry: Entry<Port> = { address, port, seen: now }
    const own = this.#ofPort.get(port) ?? new Set()
    this.#ofPort.set(port, own)
    if (own.size >= this.#options.most) {
      const [oldest] = own
      if (oldest !== undefined) this.#drop(oldest)
    }
    own.add(entry)
    this.#entries.set(address, entry)
    return entry
  }

  /** The port that the address was last seen at; undefined where it is not known, or was not seen for too long. */
  lookup(address: number, now: number): Port | undefined {
    const entry = this.#entries.get(address)
    if (entry === undefined) return undefined
    if (now - entry.seen <= this.#options.ageMs) return entry.port
    this.#drop(entry)
    return undefined
  }

  /** Forgets one address, wherever it is. */
  release(address: number): void {
    const known = this.#entries.get(address)
    if (known !== undefined) this.#drop(known)
  }

  /** Forgets all that is behind a port. */
  forget(port: Port): void {
    for (const entry of this.#ofPort.get(port) ?? []) this.#drop(entry)
    this.#ofPort.delete(port)
  }

  #drop(entry: Entry<Port>): void {
    this.#entries.delete(entry.address)
    if (entry.port !== undefined) this.#ofPort.get(entry.port)?.delete(entry)
    entry.port = undefined
  }
}
