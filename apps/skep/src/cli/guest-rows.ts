/**
 * What `skep status` shows of the inside of a machine, as its guest's agent told it.
 *
 * @module
 */
import type { GuestView } from "../backend/vm/guest-agent.ts"
import { formatBytes, formatDuration } from "./output.ts"

export type Row = readonly [string, string]

/** What a guest told longer ago than it takes to ask may no longer be so. */
const FRESH_MS = 5000

/** Beyond this, builds and certificates begin to go wrong. */
const SKEW_MAX_MS = 1000

/** `nowMs`: milliseconds since 1970, by the host's clock. */
export function guestRows(guest: GuestView | undefined, nowMs: number): readonly Row[] {
  if (guest === undefined) return []
  const { skewMs, facts, factsAtMs = nowMs } = guest
  const rows: Row[] = skewMs === undefined ? [] : [clockRow(skewMs)]
  if (facts === undefined) return rows
  const { memory, memoryPressure, dataDisk, addresses, listeners } = facts
  const used = formatBytes(memory.totalBytes - memory.availableBytes)
  const stalledPercent = memoryPressure?.some.avg10Percent ?? 0
  const stalled = stalledPercent === 0 ? "" : `, short of it ${stalledPercent} % of the last 10 s`
  rows.push(["memory", `${used} of ${formatBytes(memory.totalBytes)} used${stalled}`])
  if (dataDisk !== undefined)
    rows.push([
      "data disk",
      `${formatBytes(dataDisk.usedBytes)} of ${formatBytes(dataDisk.totalBytes)} used inside`,
    ])
  const global = addresses.filter(({ scope }) => scope === "global")
  if (global.length > 0)
    rows.push(["addresses", global.map((each) => `${each.address} (${each.interface})`).join(", ")])
  const ports = [...new Set(listeners.map(({ transport, port }) => `${port}/${transport}`))]
  if (ports.length > 0) rows.push(["listens", shortened(ports)])
  const ageMs = nowMs - factsAtMs
  if (ageMs > FRESH_MS)
    rows.push(["warning", `the guest does not answer: its inside is as of ${formatDuration(ageMs)} ago`])
  return rows
}

function clockRow(skewMs: number): Row {
  const size = Math.abs(skewMs)
  const off =
    size < 1
      ? "right to a millisecond"
      : `${Math.round(size)} ms ${skewMs > 0 ? "ahead of" : "behind"} the host`
  return size > SKEW_MAX_MS ? ["warning", `the guest's clock is ${off}`] : ["clock", off]
}

const PORTS_SHOWN = 12

function shortened(ports: readonly string[]): string {
  const more = ports.length - PORTS_SHOWN
  return more > 0 ? `${ports.slice(0, PORTS_SHOWN).join(", ")} and ${more} more` : ports.join(", ")
}
