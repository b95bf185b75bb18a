/**
 * Which chains of a ring were taken and not given back, in memory that outlives the process: so that a successor does again exactly those, in
 * whatever order the others were given back. Without one the successor goes on at the used index, which is right only where chains are given back
 * in their order.
 *
 * ```
 * | used index u32 | count u32 | { state u32, order u32 } for each head |
 * state: 0 free, 1 taken, 2 given back and not yet published
 * ```
 *
 * The steps are those of docs/interop/vhost-user.rst, "Inflight I/O tracking", for split rings: the used index that is written down tells, beside
 * the guest's, whether the last batch was published before the process ended.
 *
 * @module
 */
import { at } from "@skep/loop/memory"
import { SIZE_MAX } from "./split-ring.ts"

const USED = 0
const COUNT = 1
const FIRST = 2
const FREE = 0
const TAKEN = 1
const GIVEN = 2
const MASK16 = 0xffff

/** Words of a ledger. */
export const LEDGER_WORDS: number = FIRST + 2 * SIZE_MAX

/** What a ring tells of itself when it opens. */
export interface OpenedRing {
  readonly size: number
  /** The guest's used index: chains that were given back. */
  readonly usedIndex: number
  /** Where the front end says the ring goes on. */
  readonly base: number
  /** The head that is offered at an index. */
  readonly offeredAt: (index: number) => number
  /** Where the guest's offers end. */
  readonly availableIndex: number
}

export class Ledger {
  readonly #words: Uint32Array
  /** Heads of the batch that was not published yet. */
  readonly #batch: number[] = []

  /** `words` are `LEDGER_WORDS`, zeros at the very beginning. */
  constructor(words: Uint32Array) {
    if (words.length < LEDGER_WORDS) throw new RangeError(`A ledger has ${LEDGER_WORDS} words`)
    this.#words = words
  }

  /**
   * Returns the heads that a predecessor had and did not give back, in the order it took them; none where the ledger is not of this ring as it
   * is now, as when the guest began anew.
   */
  open(ring: OpenedRing): readonly number[] {
    const { usedIndex } = ring
    this.#batch.length = 0
    const published = this.#published(usedIndex)
    const heads: number[] = []
    for (let head = 0; head < SIZE_MAX; head++) {
      const state = at(this.#words, FIRST + 2 * head)
      if (state === FREE) continue
      if (state === GIVEN && published) this.#set(head, FREE)
      else {
        this.#set(head, TAKEN)
        heads.push(head)
      }
    }
    heads.sort((a, b) => this.#orderOf(a) - this.#orderOf(b))
    this.#words[USED] = usedIndex
    if (published !== undefined && this.#fits(heads, ring)) return heads
    for (const head of heads) this.#set(head, FREE)
    return []
  }

  took(head: number): void {
    this.#words[COUNT] = at(this.#words, COUNT) + 1
    this.#words[FIRST + 2 * head + 1] = at(this.#words, COUNT)
    this.#set(head, TAKEN)
  }

  untook(head: number): void {
    this.#set(head, FREE)
  }

  /** Before the used ring has it. */
  gave(head: number): void {
    this.#set(head, GIVEN)
    this.#batch.push(head)
  }

  /** The guest sees all that was given back. */
  published(usedIndex: number): void {
    for (const head of this.#batch) this.#set(head, FREE)
    this.#batch.length = 0
    Atomics.store(this.#words, USED, usedIndex)
  }

  /** Whether the last batch was published; undefined where the guest's index tells that this is not its ledger. */
  #published(usedIndex: number): boolean | undefined {
    const ahead = (usedIndex - at(this.#words, USED)) & MASK16
    if (ahead === 0) return false
    return ahead <= SIZE_MAX ? true : undefined
  }

  /** What was taken is what the guest has offered, up to where the front end says, if it does. */
  #fits(heads: readonly number[], { size, usedIndex, base, offeredAt, availableIndex }: OpenedRing): boolean {
    const next = (usedIndex + heads.length) & MASK16
    if (heads.length > size || (base !== usedIndex && base !== next)) return false
    if (((availableIndex - usedIndex) & MASK16) < heads.length) return false
    // Offers are never farther back than the ring is long; where it has just begun there are no more than these.
    const known = new Set<number>()
    const window = usedIndex === 0 && base === 0 ? heads.length : size
    for (let back = 1; back <= window; back++) known.add(offeredAt((next - back) & MASK16))
    return heads.every((head) => known.has(head))
  }

  #orderOf(head: number): number {
    return at(this.#words, FIRST + 2 * head + 1)
  }

  #set(head: number, state: number): void {
    // With a barrier: what was stored before is there when this is.
    Atomics.store(this.#words, FIRST + 2 * head, state)
  }
}
