/**
 * The addresses that nobody has, and which of them is given first.
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

  /** The lowest unused address: what was given back is the next to be given. */
  first(): number | undefined {
    if (this.#count === 0) return undefined
    const word = this.#unused.findIndex((bits) => bits !== 0)
    return word === -1 ? undefined : this.#first + word * WORD + lowest(this.#unused[word] ?? 0)
  }
}

function lowest(bits: number): number {
  return 31 - Math.clz32(bits & -bits)
}
