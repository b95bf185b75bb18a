/**
 * What a soak has to show, and how it is shown.
 *
 * @module
 */
import type { Tallies } from "./exchange.ts"
import type { SoakResult } from "./soak.ts"

/** The share of a soak after which memory has to stay. */
const WARM = 0.4
const GROWTH = 1.15
const GROWTH_MB = 20
const MOST_MB = 400
/** Memory that a network without machines may hold: what is allocated once and stays. */
const HELD_BYTES = 1 << 20
const KINDS = ["TCP out", "TCP in", "UDP out", "DNS", "DHCP"]
/** Each has to have counted something. */
const REASONS = [
  /malformed/i,
  /checksum/i,
  /spoof/i,
  /source/i,
  /fragment|reassembl/i,
  /dhcp/i,
  /dns/i,
  /over-limit/i,
]

/** What went wrong, one line each. */
export function complaints(result: SoakResult): readonly string[] {
  if (result.crashed) return ["the network has ended"]
  const { descriptors, left, counters, pressure } = result
  const [early, late] = memory(result.resident)
  const lines: string[] = [...flowComplaints(result.good, ""), ...flowComplaints(result.after, " afterwards")]
  if (late > early * GROWTH + GROWTH_MB) lines.push(`memory grew from ${early} to ${late} MB`)
  if (Math.max(...result.resident) > MOST_MB) lines.push(`memory was ${Math.max(...result.resident)} MB`)
  if (descriptors.after > descriptors.before)
    lines.push(`${descriptors.after} descriptors are open, ${descriptors.before} were before`)
  if (left.flows > 0 || left.heldBytes > HELD_BYTES)
    lines.push(`${left.flows} flows and ${left.heldBytes} bytes are left without machines`)
  for (const reason of REASONS)
    if (!Object.keys(counters).some((name) => reason.test(name)))
      lines.push(`no counter tells of ${reason.source}`)
  if (pressure.foe.sent < 1000 || pressure.broken < 3) lines.push("too little was sent")
  return lines
}

function flowComplaints(tallies: Tallies, when: string): readonly string[] {
  return KINDS.flatMap((name) => {
    const tally = tallies[name]
    if (tally === undefined || tally.ok === 0)
      return [`${name}: nothing went through${when} ${tally?.why ?? ""}`]
    return tally.failed === 0
      ? []
      : [`${name}: ${tally.failed} of ${tally.ok + tally.failed} failed${when}, as ${tally.why}`]
  })
}

/** The median after the warm-up, of its first and its last third. */
function memory(resident: readonly number[]): readonly [number, number] {
  const warm = resident.slice(Math.floor(resident.length * WARM))
  const third = Math.max(1, Math.floor(warm.length / 3))
  return [median(warm.slice(0, third)), median(warm.slice(-third))]
}

function median(values: readonly number[]): number {
  return Math.round(values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0)
}

export function table(result: SoakResult): string {
  const { good, after, pressure, descriptors, left, resident, counters } = result
  const [early, late] = memory(resident)
  const flows = KINDS.map((name) => {
    const { ok = 0, failed = 0, worstMs = 0 } = good[name] ?? {}
    return `  ${name.padEnd(8)} ${ok} well, ${failed} not, ${worstMs} ms at worst; afterwards ${after[name]?.ok ?? 0} well`
  })
  const counted = Object.entries(counters).map(([name, count]) => `  ${name.padEnd(40)} ${count}`)
  return [
    "the machine that behaves",
    ...flows,
    "the others",
    `  foe      ${pressure.foe.sent} frames, ${pressure.foe.received} back, ${pressure.foe.tinyWindows} windows of one byte, ${pressure.foe.connections} connections`,
    `  broken   ${pressure.broken} streams`,
    `  wild     ${Object.entries(pressure.wild)
      .map(([name, count]) => `${name} ${count}`)
      .join(", ")}`,
    "the program",
    `  memory       ${early} MB after the warm-up, ${late} MB at the end, ${Math.round(Math.max(...resident))} MB at most`,
    `  descriptors  ${descriptors.before} before, ${descriptors.most} at most, ${descriptors.after} after`,
    `  left         ${left.flows} flows, ${left.heldBytes} bytes`,
    ...counted,
    "",
  ].join("\n")
}
