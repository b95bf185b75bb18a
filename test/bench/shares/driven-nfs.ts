/**
 * Requests a second of the NFS servers, driven by a C program with libnfs in place of the guest's kernel (nfs-driver.c).
 *
 * @module
 */
import { mkdirSync, rmSync } from "node:fs"
import { join } from "node:path"
import { run } from "../home.ts"
import { cpuOf, start } from "../network/process.ts"
import { median, type Row, rowOf } from "../row.ts"
import { DEPTHS, LOADS, makeSource, RUN_MS } from "./driven.ts"
import { oursNfs } from "./ours.ts"
import { ganesha } from "./peers.ts"
import type { Served, Server } from "./server.ts"
import { DRIVEN_SUITE, type Settings, wordsOf } from "./settings.ts"

const PORT = 20490

export async function drivenNfs(settings: Settings): Promise<readonly Row[]> {
  const { progress, wanted, directory } = settings
  const plans = LOADS.flatMap((load) =>
    DEPTHS.map((depth) => ({ load, depth, name: `NFS ${load}, ${depth} under way` })),
  ).filter(({ name }) => wanted(name))
  const missing = ganesha.missing()
  if (plans.length === 0) return []
  progress("  NFS without a guest")
  if (missing !== undefined) progress(`    ${missing}`)
  const program = join(directory, "nfs-driver")
  const source = join(import.meta.dirname, "nfs-driver.c")
  await run("gcc", ["-O2", "-Wall", "-Wextra", "-o", program, source, "-lnfs"], process.env)
  const rows: Row[] = []
  for (const plan of plans) {
    const rates: Record<string, number[]> = {}
    const costs: Record<string, number[]> = {}
    for (let round = 0; round < settings.rounds; round++) {
      for (const server of missing === undefined ? [oursNfs, ganesha] : [oursNfs]) {
        const taken = await once(server, program, plan, settings)
        progress(
          `    ${plan.name}: ${server.name} ${round + 1}/${settings.rounds}: ${taken.rate.toFixed(2)} k/s`,
        )
        ;(rates[server.name] ??= []).push(taken.rate)
        ;(costs[server.name] ??= []).push(taken.cost)
      }
    }
    const { [oursNfs.name]: ours = [], ...peers } = rates
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

/** A server of its own each time, at a port of its own. */
async function once(
  server: Server,
  program: string,
  { load, depth }: { readonly load: string; readonly depth: number },
  { directory, namespace, progress }: Settings,
): Promise<{ readonly rate: number; readonly cost: number }> {
  const own = join(directory, "driven-nfs", String(made++))
  const source = join(own, "source")
  mkdirSync(source, { recursive: true, mode: 0o700 })
  makeSource(source)
  const log = join(own, "log")
  let served: Served | undefined
  try {
    const port = PORT + 2 * (made % 1000)
    served = await server.serve({ source, directory: own, log, namespace, port })
    const before = cpuOf(served.program.pids())
    const words = [program, urlOf(served.mount), served.within, load, String(depth), String(RUN_MS)]
    await using driver = await start(words, { log, namespace, untilLine: true, readyMs: 60_000 })
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

/** libnfs's words for what the guest's `mount` is told. It cannot mount "/" by an empty path, so there are two slashes. */
function urlOf(mount: string): string {
  const port = /[ ,]port=(\d+)/.exec(mount)?.[1] ?? ""
  const mountPort = /mountport=(\d+)/.exec(mount)?.[1] ?? ""
  const path = /:(\/\S*)$/.exec(mount)?.[1] ?? "/"
  return `nfs://127.0.0.1${path === "/" ? "//" : path}?nfsport=${port}&mountport=${mountPort}&version=3`
}
