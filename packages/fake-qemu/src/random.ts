/**
 * Numbers that look random and are the same for the same seed (mulberry32), for fuzzing that can be repeated.
 *
 * @module
 */

export interface Random {
  /** From 0 to `below` - 1. */
  int(below: number): number
  /** True in one of `times` cases. */
  oneIn(times: number): boolean
  pick<T>(items: readonly T[]): T
  bytes(length: number): Uint8Array
}

export function seeded(seed: number): Random {
  let state = seed >>> 0
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  const int = (below: number): number => Math.floor(next() * below)
  return {
    int,
    oneIn: (times) => int(times) === 0,
    pick: (items) => {
      const item = items[int(items.length)]
      if (item === undefined) throw new RangeError("there is nothing to pick from")
      return item
    },
    bytes: (length) => Uint8Array.from({ length }, () => int(256)),
  }
}

/** How long to fuzz, and from where: a few thousand steps unless SKEP_FUZZ_STEPS and SKEP_FUZZ_SEED say otherwise. */
export function fuzzing(steps: number): { readonly steps: number; readonly seed: number } {
  // oxlint-disable-next-line node/no-process-env -- for long runs by hand
  const { SKEP_FUZZ_STEPS, SKEP_FUZZ_SEED } = process.env
  return { steps: Number(SKEP_FUZZ_STEPS ?? steps), seed: Number(SKEP_FUZZ_SEED ?? 1) }
}
