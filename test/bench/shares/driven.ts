/**
 * Requests a second of the FUSE servers, driven by a C program that stands for the guest's kernel (fuse-driver.c).
 *
 * @module
 */
import { closeSync, ftruncateSync, mkdirSync, openSync, rmSync, writeFileSync, writeSync } from "node:fs"
import { join } from "node:path"
import { run } from "../home.ts"
import { cpuOf, start } from "../network/process.ts"
import { median, type Row, rowOf } from "../row.ts"
import { OURS, oursVirtiofs } from "./ours.ts"
import { virtiofsd } from "./peers.ts"
import type { Served, Server } from "./server.ts"
import { DRIVEN_SUITE, type Settings, wordsOf } from "./settings.ts"

export const LOADS = [
  "read-4k",
  "read-1m",
  "write-4k",
  "write-1m",
  "getattr",
  "lookup",
  "create",
  "list",
] as const
export const DEPTHS = [1, 16] as const
export const RUN_MS = 1000
const FILES = 1000
const BIG = 64 * 2 ** 20
const PERIOD = 251

export async function driven(settings: Settings): Promise<readonly Row[]> {
  const { progress, wanted, directory } = settings
  const plans = LOADS.flatMap((load) =>
    DEPTHS.map((depth) => ({ load, depth, name: `FUSE ${load}, ${depth} under way` })),
  ).filter(({ name }) => wanted(name))
  if (plans.length === 0) return []
  progress("  FUSE without a guest")
  const program = join(directory, "fuse-driver")
  await run(
    "gcc",
    ["-O2", "-Wall", "-Wextra", "-o", program, join(import.meta.dirname, "fuse-driver.c")],
    process.env,
  )
  const rows: Row[] = []
  for (const plan of plans) {
    const rates: Record<string, number[]> = {}
    const costs: Record<string, number[]> = {}
    for (let round = 0; round < settings.rounds; round++) {
      for (const server of [oursVirtiofs, virtiofsd]) {
        const taken = await once(server, program, plan, settings)
        progress(
          `    ${plan.name}: ${server.name} ${round + 1}/${settings.rounds}: ${taken.rate.toFixed(2)} k/s`,
        )
        ;(rates[server.name] ??= []).push(taken.rate)
        ;(costs[server.name] ??= []).push(taken.cost)
      }
    }
    const { [OURS]: ours = [], ...peers } = rates
    rows.push(
      rowOf({ suite: DRIVEN_SUITE, name: plan.name, unit: "k/s", better: "higher", ours, peers, bar: 1 }),
    )
    progress(
      `    processor us a request: ${Object.entries(costs)
        .map(([who, all]) => `${who} ${median(all).toFixed(2)}`)
        .join(", ")}`,
    )
  }
  return rows
}

let made = 0

/** A server of its own each time: what one load leaves in its tables is not the next one's. */
async function once(
  server: Server,
  program: string,
  { load, depth }: { readonly load: string; readonly depth: number },
  { directory, namespace, progress }: Settings,
): Promise<{ readonly rate: number; readonly cost: number }> {
  const own = join(directory, "driven", String(made++))
  const source = join(own, "source")
  mkdirSync(source, { recursive: true, mode: 0o700 })
  makeSource(source)
  const log = join(own, "log")
  let served: Served | undefined
  try {
    served = await server.serve({ source, directory: own, log, namespace, port: 0 })
    const before = cpuOf(served.program.pids())
    const words = [program, served.socket ?? "", served.within, load, String(depth), String(RUN_MS)]
    await using driver = await start(words, { log, untilLine: true, readyMs: 60_000 })
    const said = JSON.parse(driver.said) as { requests: number; all: number; seconds: number }
    const cpu = cpuOf(served.program.pids()) - before
    return { rate: said.requests / said.seconds / 1000, cost: (cpu / said.all) * 1e6 }
  } catch (error) {
    progress(`    ${server.name}: ${wordsOf(error)}`)
    return { rate: 0, cost: Number.NaN }
  } finally {
    await served?.program[Symbol.asyncDispose]()
    rmSync(own, { recursive: true, force: true })
  }
}

/** What drivers work on. */
export function makeSource(directory: string): void {
  const period = Uint8Array.from({ length: PERIOD }, (_, index) => (index * 31) % PERIOD)
  const piece = new Uint8Array(PERIOD * 4096)
  for (let at = 0; at < piece.length; at += PERIOD) piece.set(period, at)
  const big = openSync(join(directory, "big"), "w")
  for (let at = 0; at < BIG; at += piece.length) writeSync(big, piece)
  ftruncateSync(big, BIG)
  closeSync(big)
  const scratch = openSync(join(directory, "scratch"), "w")
  ftruncateSync(scratch, BIG)
  closeSync(scratch)
  mkdirSync(join(directory, "tree"))
  for (let file = 0; file < FILES; file++) writeFileSync(join(directory, "tree", `f${file}`), "x".repeat(100))
}
