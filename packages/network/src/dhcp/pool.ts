/**
 * The addresses that nobody ever had, and which of them a client gets first.
 *
 * @module
 */

const WORD = 32

/** A bit for each address from `first` on. All are taken at the beginning. */
export class Pool {
  readonly #first: number
  readonly #size: number
  readonly #unused: Uint32Array
  #count = 0

  constructor(first: number, last: number) {
    this.#first = first
    this.#size = last - first + 1
    this.#unused = new Uint32Array(Math.ceil(this.#size / WORD))
  }

  get unused(): number {
    return this.#count
  }

  /** Of an address of the pool. */
  give(address: number): void {
    const index = address - this.#first
    const bit = 1 << (index % WORD)
    const word = index >>> 5
    const before = this.#unused[word] ?? 0
    if ((before & bit) === 0) this.#count++
    this.#unused[word] = before | bit
  }

  take(address: number): void {
    const index = address - this.#first
    if (index < 0 || index >= this.#size) return
    const bit = 1 << (index % WORD)
    const word = index >>> 5
    const before = this.#unused[word] ?? 0
    if ((before & bit) !== 0) this.#count--
    this.#unused[word] = before & ~bit
  }

  /** The unused address that `key` has first, by its hash: always the same one, unless it is taken; then the next. */
  first(key: string): number | undefined {
    if (this.#count === 0) return undefined
    const start = hash(key) % this.#size
    const words = this.#unused.length
    const from = start >>> 5
    // The first word is seen twice: from the start on, and at last whole.
    for (let step = 0; step <= words; step++) {
      const word = (from + step) % words
      const all = this.#unused[word] ?? 0
      const bits = step === 0 ? all & (-1 << (start % WORD)) : all
      if (bits !== 0) return this.#first + word * WORD + lowest(bits)
    }
    return undefined
  }
}

function lowest(bits: number): number {
  return 31 - Math.clz32(bits & -bits)
}

/** FNV-1a of 32 bits, stirred once more, since the low bits of similar names are similar. Addresses depend on it: it must not change. */
function hash(key: string): number {
  let value = 0x811c9dc5
  for (let index = 0; index < key.length; index++)
    value = Math.imul(value ^ key.charCodeAt(index), 0x01000193)
  value = Math.imul(value ^ (value >>> 16), 0x85ebca6b)
  value = Math.imul(value ^ (value >>> 13), 0xc2b2ae35)
  return (value ^ (value >>> 16)) >>> 0
}
