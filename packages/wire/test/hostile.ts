// Bytes as somebody hostile sends them. For a long run by hand, from another seed:
// SKEP_FUZZ_STEPS=1000000 SKEP_FUZZ_SEED=7 npx vitest run --project unit packages/wire
import fc from "fast-check"

/** What a parser is given. Of `bytes` only those below `head` are for reading. */
export interface Hostile {
  readonly bytes: Uint8Array
  readonly at: number
  readonly head: number
  readonly end: number
}

/** How many cases a property is tried with. */
export function runs(count: number): { readonly numRuns: number; readonly seed?: number } {
  // oxlint-disable-next-line node/no-process-env -- for long runs by hand
  const { SKEP_FUZZ_STEPS, SKEP_FUZZ_SEED } = process.env
  const numRuns = Number(SKEP_FUZZ_STEPS ?? count)
  return SKEP_FUZZ_SEED === undefined ? { numRuns } : { numRuns, seed: Number(SKEP_FUZZ_SEED) }
}

/** Noise, and sound packets with some bytes changed; cut anywhere, in the midst of other bytes. */
function hostile(sound: readonly Uint8Array[]): fc.Arbitrary<Hostile> {
  const change = fc.tuple(fc.nat(1000), fc.oneof(fc.nat(255), fc.constantFrom(0, 1, 0xff)))
  const changed = fc
    .tuple(fc.constantFrom(...sound), fc.array(change, { maxLength: 4 }))
    .map(([bytes, changes]) => {
      const copy = Uint8Array.from(bytes)
      for (const [at, value] of changes) copy[at % copy.length] = value
      return copy
    })
  const packets = fc.oneof({ weight: 3, arbitrary: changed }, fc.uint8Array({ maxLength: 120 }))
  return fc
    .tuple(
      packets,
      fc.nat(9),
      fc.nat(9),
      fc.integer({ min: -60, max: 40 }),
      fc.integer({ min: -60, max: 40 }),
    )
    .map(([packet, at, after, head, end]) => {
      const bytes = new Uint8Array(at + packet.length + after).fill(0xa5)
      bytes.set(packet, at)
      const sound = at + packet.length
      return { bytes, at, head: head > 9 ? sound : sound + head, end: end > 9 ? sound : sound + end }
    })
}

/** Runs `use` with bytes that tell which of them was read; returns the place of the last one, or -1, and the first one, or Infinity. */
function placesRead(bytes: Uint8Array, use: (watched: Uint8Array) => void): [number, number] {
  let first = Number.POSITIVE_INFINITY
  let last = -1
  use(
    new Proxy(bytes, {
      get: (target, key) => {
        if (typeof key === "string" && /^-?\d+$/.test(key)) {
          first = Math.min(first, Number(key))
          last = Math.max(last, Number(key))
        }
        const value: unknown = Reflect.get(target, key, target)
        return value
      },
    }),
  )
  return [first, last]
}

/** Checks that a parser neither throws nor reads what is not for reading, and gives what it read to `judge`. */
export function surviving<View>(
  sound: readonly Uint8Array[],
  parse: (bytes: Uint8Array, at: number, head: number, end: number) => View | string,
  judge: (view: View, input: Hostile) => void,
): void {
  let read = 0
  fc.assert(
    fc.property(hostile(sound), (input) => {
      const { bytes, at, head, end } = input
      const [first, last] = placesRead(bytes, (watched) => {
        const view = parse(watched, at, head, end)
        if (typeof view === "string") return
        read++
        judge(view, input)
      })
      if (last !== -1 && (first < at || last >= Math.min(head, end, bytes.length))) {
        throw new Error(`read ${first} to ${last} of ${at} to ${head}, ${end}`)
      }
    }),
    runs(1000),
  )
  if (read === 0) throw new Error("nothing was ever sound")
}
