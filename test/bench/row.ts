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
  /** Ours divided by the peer that the (first) bar is about, the first if it names none; 1 without a peer. */
  readonly ratio: number
  /** What the ratio, or without a peer our own number, must not pass. */
  readonly bar: number
  /** Where bars are about programs: the ratio to the best setting of each, and its bar. */
  readonly bars?: readonly Bar[]
  /** The bar is for our own number although there are peers. */
  readonly absolute?: boolean
  readonly ok: boolean
  /** Smallest and largest sample, ours first. */
  readonly spread: Readonly<Record<string, readonly [number, number]>>
}

export interface Bar {
  /** The peers whose names begin so; all of them if it is empty. */
  readonly program: string
  readonly bar: number
  /** NaN where there is no such peer: the bar is then missed. */
  readonly ratio: number
}

export interface Measured {
  readonly suite: string
  readonly name: string
  readonly unit: string
  readonly better: "higher" | "lower"
  readonly ours: readonly number[]
  readonly peers?: Readonly<Record<string, readonly number[]>>
  readonly bar: number
  /** Bars by program, instead of `bar`; "" is the best of all. */
  readonly bars?: Readonly<Record<string, number>>
  readonly absolute?: boolean
}

/** Medians, ratio and verdict of what was measured. */
export function rowOf(measured: Measured): Row {
  const { suite, name, unit, better, absolute = false } = measured
  const peers = Object.entries(measured.peers ?? {})
  const medians = Object.fromEntries(peers.map(([peer, values]) => [peer, median(values)]))
  const ours = median(measured.ours)
  const bars = Object.entries(measured.bars ?? {}).map(([program, bar]) => ({
    program,
    bar,
    ratio: ours / bestOf(medians, program, better),
  }))
  const first = peers[0] === undefined ? undefined : median(peers[0][1])
  const ratio = bars[0]?.ratio ?? (first === undefined ? 1 : ours / first)
  const bar = bars[0]?.bar ?? measured.bar
  const judged = first === undefined || absolute ? ours : ratio
  return {
    suite,
    name,
    unit,
    better,
    ours,
    peers: medians,
    ratio,
    bar,
    ...(measured.bars === undefined ? {} : { bars }),
    ...(absolute ? { absolute } : {}),
    ok:
      measured.bars === undefined
        ? clears(better, judged, bar)
        : bars.every((each) => clears(better, each.ratio, each.bar)),
    spread: Object.fromEntries(
      [["ours", measured.ours] as const, ...peers].map(([who, values]) => [
        who,
        [Math.min(...values), Math.max(...values)],
      ]),
    ),
  }
}

function clears(better: "higher" | "lower", value: number, limit: number): boolean {
  return better === "lower" ? value <= limit : value >= limit
}

/** The best median of the peers whose names begin so; NaN where there is none. */
export function bestOf(
  medians: Readonly<Record<string, number>>,
  program: string,
  better: "higher" | "lower",
): number {
  const values = Object.entries(medians).flatMap(([name, value]) => (name.startsWith(program) ? [value] : []))
  if (values.length === 0) return Number.NaN
  return better === "lower" ? Math.min(...values) : Math.max(...values)
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
