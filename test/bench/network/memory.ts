/**
 * The rows of memory: fresh processes for each, since none gives back what it has taken.
 *
 * @module
 */
import { setTimeout as delay } from "node:timers/promises"
import type { Row } from "../row.ts"
import { type Arena, type Contestant, contestant } from "./contestant.ts"
import { datagrams, peakResident, residentWithFlows, throughput, WAYS } from "./load.ts"
import { type RowPlan, rowFrom, type Settings } from "./measurement.ts"
import { ours } from "./ours.ts"
import { labelOf, type Peer } from "./peer.ts"
import { passt, pasta, slirp4netns } from "./peers.ts"
import { residentOf } from "./process.ts"

const FLOWS = 8
const OPEN_FLOWS = 5000
/** What the part of a flood before the first look takes is not growth. */
const FLOOD_BEGIN = 1 / 6
const SETTLE_MS = 1000
/** MB by which memory may be larger at the end of a flood, where it is to be flat. */
const FLAT = 5

const megabytes = { unit: "MB", better: "lower" } as const
const plans = {
  idle: { ...megabytes, name: "resident memory, idle", bars: 70 },
  full: { ...megabytes, name: `resident memory, ${FLOWS} full flows`, bars: 120 },
  open: { ...megabytes, name: `resident memory, ${OPEN_FLOWS} open flows`, bars: 250 },
  flood: { ...megabytes, name: "resident memory, growth in a flood of datagrams", bars: FLAT },
} satisfies Record<string, RowPlan>

const PEERS: readonly Peer[] = [ours("tap", 1500), pasta(65_520), slirp4netns(65_520), passt(65_520)]

const TAKES: Readonly<Record<keyof typeof plans, (who: Contestant, settings: Settings) => Promise<number>>> =
  {
    idle: async (who) => {
      await delay(SETTLE_MS)
      return residentOf(who.pids())
    },
    full: async (who, { seconds }) =>
      await peakResident(who, async () => {
        for (const way of WAYS) await throughput(who, way, FLOWS, seconds)
      }),
    open: async (who) => await residentWithFlows(who, OPEN_FLOWS),
    flood: async (who, { floodSeconds }) => {
      const flood = async (seconds: number): Promise<void> => {
        for (const way of WAYS) await datagrams(who, way, seconds / WAYS.length)
      }
      await flood(floodSeconds * FLOOD_BEGIN)
      const before = residentOf(who.pids())
      return (await peakResident(who, () => flood(floodSeconds * (1 - FLOOD_BEGIN)))) - before
    },
  }

export async function memory(arena: Arena, settings: Settings): Promise<readonly Row[]> {
  const rows: Row[] = []
  for (const key of ["idle", "full", "open", "flood"] as const) {
    const plan = plans[key]
    if (!settings.wanted(plan.name)) continue
    settings.progress(`  ${plan.name}`)
    const samples: Record<string, number[]> = {}
    for (const peer of PEERS) {
      const value = await taken(arena, peer, (who) => TAKES[key](who, settings), settings)
      if (value === undefined) continue
      settings.progress(`    ${labelOf(peer)}: ${value.toFixed(1)}`)
      samples[labelOf(peer)] = [value]
    }
    rows.push(rowFrom(plan, samples))
  }
  return rows
}

async function taken(
  arena: Arena,
  peer: Peer,
  take: (who: Contestant) => Promise<number>,
  { progress }: Settings,
): Promise<number | undefined> {
  const missing = peer.missing()
  if (missing !== undefined) {
    progress(`    without ${labelOf(peer)}: ${missing}`)
    return undefined
  }
  try {
    await using who = await contestant(arena, peer)
    return await take(who)
  } catch (error) {
    progress(`    without ${labelOf(peer)}: ${error instanceof Error ? error.message : String(error)}`)
    return undefined
  }
}
