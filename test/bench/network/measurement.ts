/**
 * Measurements that several contestants go through in turn, and the rows they become.
 *
 * @module
 */
import { median, type Row, rowOf } from "../row.ts"
import type { Contestant } from "./contestant.ts"
import { OURS } from "./ours.ts"

const SUITE = "network"

/** How a run is done. */
export interface Settings {
  readonly rounds: number
  /** Of one throughput, and of one of the shorter loads. */
  readonly seconds: number
  readonly shortSeconds: number
  readonly floodSeconds: number
  /** Whether a row is asked for. */
  readonly wanted: (row: string) => boolean
  readonly progress: (text: string) => void
}

export interface RowPlan {
  readonly name: string
  readonly unit: string
  readonly better: "higher" | "lower"
  /** Against programs, or for our own number. */
  readonly bars: Readonly<Record<string, number>> | number
}

/** One load, and the rows that its numbers belong to, in order. */
export interface Measurement {
  readonly rows: readonly RowPlan[]
  readonly take: (who: Contestant, settings: Settings) => Promise<readonly number[]>
}

/** Those of which a row is asked for. */
export function wantedOf(measurements: readonly Measurement[], settings: Settings): readonly Measurement[] {
  return measurements.filter(({ rows }) => rows.some(({ name }) => settings.wanted(name)))
}

/** By contestant's label. */
export type Samples = Readonly<Record<string, readonly number[]>>

/** Lets each contestant take each measurement in turn, as many times as there are rounds. What fails counts as the worst there is. */
export async function measure(
  contestants: readonly Contestant[],
  measurements: readonly Measurement[],
  settings: Settings,
): Promise<readonly Row[]> {
  const rows: Row[] = []
  for (const { rows: plans, take } of measurements) {
    settings.progress(`  ${plans[0]?.name ?? ""}`)
    const samples = plans.map((): Record<string, number[]> => ({}))
    for (let round = 0; round < settings.rounds; round++) {
      for (const who of contestants) {
        const numbers = await taken(who, () => take(who, settings), plans, settings.progress)
        settings.progress(
          `    ${who.label} ${round + 1}/${settings.rounds}: ${numbers.map((value) => value.toFixed(3)).join(", ")}`,
        )
        for (const [index, value] of numbers.entries())
          ((samples[index] ??= {})[who.label] ??= []).push(value)
      }
    }
    rows.push(...plans.map((plan, index) => rowFrom(plan, samples[index] ?? {})))
  }
  return rows
}

async function taken(
  who: Contestant,
  take: () => Promise<readonly number[]>,
  plans: readonly RowPlan[],
  progress: (text: string) => void,
): Promise<readonly number[]> {
  try {
    return await take()
  } catch (error) {
    progress(`    ${who.label}: ${error instanceof Error ? error.message : String(error)}`)
    return plans.map(({ better }) => (better === "higher" ? 0 : Number.POSITIVE_INFINITY))
  }
}

/** Ours is the better of its settings; a peer that always failed stays, as the worst there is. */
export function rowFrom(plan: RowPlan, samples: Samples): Row {
  const { name, unit, better, bars } = plan
  const entries = Object.entries(samples)
  const ours = entries
    .filter(([label]) => label.startsWith(OURS))
    .toSorted(([, a], [, b]) => (better === "higher" ? median(b) - median(a) : median(a) - median(b)))[0]
  const peers = entries.filter(([label]) => !label.startsWith(OURS))
  return rowOf({
    suite: SUITE,
    name,
    unit,
    better,
    ours: ours?.[1] ?? [Number.NaN],
    peers: Object.fromEntries(peers),
    ...(typeof bars === "number" ? { bar: bars, absolute: true } : { bar: 1, bars }),
  })
}
