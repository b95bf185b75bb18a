/**
 * What the guest believes: which file a name in a directory was when the guest last asked. The guest's kernel acts on that when a change of the
 * host is repeated in it, while the truth on the host has moved on.
 *
 * An open-addressing table of hashes, 17 bytes an entry: every lookup passes here. It is a memory of what is likely, not of what is certain: it
 * forgets all when it is full, and two names of one hash are one (once in 2^63). Whoever asks checks the file.
 *
 * @module
 */

const SMALLEST = 1024
const FULL = 0.7
const FNV_PRIME = 0x01000193
const FNV_BASIS = 0x811c9dc5
/** Any other odd multiplier, for the second half. */
const SECOND_PRIME = 0x85ebca6b
const HIGH = 2 ** 32

export interface Believed {
  /** 0 where nothing is known. */
  node: number
  /** `DT_…` of dirent.h: the mode's type. */
  type: number
}

export class GuestView {
  readonly #most: number
  #capacity = SMALLEST
  #size = 0
  #low = new Uint32Array(SMALLEST)
  /** Never 0 for a place that is taken. */
  #high = new Uint32Array(SMALLEST)
  #nodes = new Float64Array(SMALLEST)
  #types = new Uint8Array(SMALLEST)
  /** The hash of the last name. */
  #hashLow = 0
  #hashHigh = 0

  /** `most` entries are kept. */
  constructor(most: number) {
    this.#most = most
  }

  get size(): number {
    return this.#size
  }

  get(parent: number, name: Uint8Array, into: Believed): boolean {
    this.#hash(parent, name)
    const at = this.#find()
    into.node = this.#nodes[at] ?? 0
    into.type = this.#types[at] ?? 0
    return this.#high[at] !== 0
  }

  nodeOf(parent: number, name: Uint8Array): number {
    this.#hash(parent, name)
    return this.#nodes[this.#find()] ?? 0
  }

  set(parent: number, name: Uint8Array, node: number, type: number): void {
    this.#hash(parent, name)
    let at = this.#find()
    if (this.#high[at] === 0) {
      if (this.#size + 1 > this.#capacity * FULL) {
        this.#grow()
        at = this.#find()
      }
      this.#low[at] = this.#hashLow
      this.#high[at] = this.#hashHigh
      this.#size++
    }
    this.#nodes[at] = node
    this.#types[at] = type
  }

  delete(parent: number, name: Uint8Array): void {
    this.#hash(parent, name)
    let hole = this.#find()
    if (this.#high[hole] === 0) return
    this.#size--
    const mask = this.#capacity - 1
    // Who comes after the hole and would have liked to be before it moves up: no tombstones.
    for (let at = (hole + 1) & mask; this.#high[at] !== 0; at = (at + 1) & mask) {
      const wanted = (this.#low[at] ?? 0) & mask
      if (((at - wanted) & mask) < ((at - hole) & mask)) continue
      this.#move(at, hole)
      hole = at
    }
    this.#high[hole] = 0
    this.#nodes[hole] = 0
    this.#types[hole] = 0
  }

  #move(from: number, to: number): void {
    this.#low[to] = this.#low[from] ?? 0
    this.#high[to] = this.#high[from] ?? 0
    this.#nodes[to] = this.#nodes[from] ?? 0
    this.#types[to] = this.#types[from] ?? 0
  }

  #hash(parent: number, name: Uint8Array): void {
    let low = Math.imul(FNV_BASIS ^ (parent | 0), FNV_PRIME) ^ Math.floor(parent / HIGH)
    let high = Math.imul(low ^ FNV_BASIS, SECOND_PRIME)
    for (const byte of name) {
      low = Math.imul(low ^ byte, FNV_PRIME)
      high = Math.imul(high ^ byte, SECOND_PRIME) ^ (high >>> 15)
    }
    // The lower bits choose the place.
    this.#hashLow = (low ^ (low >>> 15)) >>> 0
    this.#hashHigh = (high | 1) >>> 0
  }

  /** Where the hash is, or where it would go. */
  #find(): number {
    const mask = this.#capacity - 1
    let at = this.#hashLow & mask
    while (this.#high[at] !== 0 && (this.#low[at] !== this.#hashLow || this.#high[at] !== this.#hashHigh))
      at = (at + 1) & mask
    return at
  }

  #grow(): void {
    const [low, high, nodes, types] = [this.#low, this.#high, this.#nodes, this.#types]
    const forget = this.#size >= this.#most
    this.#capacity = forget ? SMALLEST : this.#capacity * 2
    this.#low = new Uint32Array(this.#capacity)
    this.#high = new Uint32Array(this.#capacity)
    this.#nodes = new Float64Array(this.#capacity)
    this.#types = new Uint8Array(this.#capacity)
    const [wantedLow, wantedHigh] = [this.#hashLow, this.#hashHigh]
    if (forget) this.#size = 0
    else
      for (let at = 0; at < high.length; at++) {
        if (high[at] === 0) continue
        this.#hashLow = low[at] ?? 0
        this.#hashHigh = high[at] ?? 0
        const to = this.#find()
        this.#low[to] = this.#hashLow
        this.#high[to] = this.#hashHigh
        this.#nodes[to] = nodes[at] ?? 0
        this.#types[to] = types[at] ?? 0
      }
    this.#hashLow = wantedLow
    this.#hashHigh = wantedHigh
  }
}
