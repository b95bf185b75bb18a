/**
 * One promised number: ours beside the peers of the same run, and the bar it has to clear.
 *
 * @module
 */

export interface Samples {
  readonly values: readonly number[]
}

export interface Row {
  readonly suite: string
  readonly name: string
  readonly unit: string
  readonly better: "higher" | "lower"
  /** The median of our samples. */
  readonly ours: number
  /** Medians of the peers, by name. */
  readonly peers: Readonly<Record<string, number>>
  /** Ours divided by the first peer; 1 without a peer. */
  readonly ratio: number
  /** What the ratio, or without a peer our own number, must not pass. */
  readonly bar: number
  readonly ok: boolean
  /** Smallest and largest sample, ours first. */
  readonly spread: Readonly<Record<string, readonly [number, number]>>
}

export interface Measured {
  readonly suite: string
  readonly name: string
  readonly unit: string
  readonly better: "higher" | "lower"
  readonly ours: readonly number[]
  readonly peers?: Readonly<Record<string, readonly number[]>>
  readonly bar: number
}

/** Medians, ratio and verdict of what was measured. */
export function rowOf(measured: Measured): Row {
  const { suite, name, unit, better, bar } = measured
  const peers = Object.entries(measured.peers ?? {})
  const ours = median(measured.ours)
  const first = peers[0] === undefined ? undefined : median(peers[0][1])
  const ratio = first === undefined ? 1 : ours / first
  const judged = first === undefined ? ours : ratio
  return {
    suite,
    name,
    unit,
    better,
    ours,
    peers: Object.fromEntries(peers.map(([peer, values]) => [peer, median(values)])),
    ratio,
    bar,
    ok: better === "lower" ? judged <= bar : judged >= bar,
    spread: Object.fromEntries(
      [["ours", measured.ours] as const, ...peers].map(([who, values]) => [
        who,
        [Math.min(...values), Math.max(...values)],
      ]),
    ),
  }
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  const upper = sorted[middle] ?? Number.NaN
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? Number.NaN)) / 2
}

/** Runs each contestant in turn, `rounds` times, so that a drift of the machine meets all alike. */
export async function alternate<Name extends string>(
  rounds: number,
  contestants: Readonly<Record<Name, () => Promise<number>>>,
  progress: (text: string) => void,
): Promise<Record<Name, number[]>> {
  const names = Object.keys(contestants) as Name[]
  const samples = Object.fromEntries(names.map((name) => [name, [] as number[]])) as Record<Name, number[]>
  for (let round = 0; round < rounds; round++) {
    for (const name of names) {
      const value = await contestants[name]()
      samples[name].push(value)
      progress(`  ${name} ${round + 1}/${rounds}: ${value.toFixed(3)}`)
    }
  }
  return samples
}
