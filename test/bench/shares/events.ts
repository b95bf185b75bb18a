/**
 * Edits on the host, as inotify tells of them in a container of a machine: how long it takes, and whether one is lost.
 *
 * @module
 */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { setTimeout as delay } from "node:timers/promises"
import { benchHome, MACHINE } from "../home.ts"
import { cpuOf } from "../network/process.ts"
import { type Row, rowOf } from "../row.ts"
import { clock, makeImage, type Seen, type Watching, watch } from "./container.ts"
import { type Settings, SUITE } from "./settings.ts"

const EDITS = 10_000
const FILES = 100
/** A hundred files saved in a second. */
const SPACING_MS = 10
const PROMISED_MS = 50
/** Nothing has come for so long: nothing comes any more. */
const SILENCE_MS = 10_000
const POLL_MS = 1000
const PREFIX = "events:"
const ROWS = {
  median: `${PREFIX} host edit to inotify in a container, p50`,
  tail: `${PREFIX} host edit to inotify in a container, p99`,
  lostEdits: `${PREFIX} edits lost, of 100 files a hundred a second`,
  lostFiles: `${PREFIX} new files lost, all at once`,
}

interface Edit {
  readonly name: string
  /** Before it. */
  readonly at: number
}

export async function events({ directory, quick, wanted, progress }: Settings): Promise<readonly Row[]> {
  if (!Object.values(ROWS).some(wanted)) return []
  progress("  events in a container")
  const home = benchHome()
  const own = join(directory, "events")
  const shared = join(own, "shared")
  for (const name of ["edited", "made"]) mkdirSync(join(shared, name), { recursive: true })
  const size = ["--memory", "1g", "--cpus", "2", "--disk", "4g"]
  await home.skep("up", MACHINE, "--network", "restricted", ...size, "--no-home-share", "--share", shared)
  try {
    await home.skep("docker-cli")
    await makeImage(home, own)
    const edits = quick ? EDITS / 10 : EDITS
    const names = Array.from({ length: FILES }, (_, index) => `f${index}`)
    for (const name of names) writeFileSync(join(shared, "edited", name), "first\n")
    const costs = costsOf(home.directory, progress)
    await using watching = await watch(home, shared, ["edited", "made"])
    progress(`    clocks compared to ${(await watching.compare()).toFixed(1)} ms`)
    const edited = await costs("edits", edits, () => edit(watching, join(shared, "edited"), names, edits))
    await watching.reset()
    const made = await costs("new files", edits, () => make(watching, join(shared, "made"), edits, progress))
    return rows(edited, made)
  } finally {
    await home.skep("rm", "--force", MACHINE)
  }
}

interface Edited {
  readonly latencies: readonly number[]
  readonly lost: number
}

/** Saves files in turn, and finds for each time the event that it was. */
async function edit(
  watching: Watching,
  directory: string,
  names: readonly string[],
  count: number,
): Promise<Edited> {
  const edits: Edit[] = []
  const began = clock()
  for (let index = 0; index < count; index++) {
    const wait = began + index * SPACING_MS - clock()
    if (wait > 0) await delay(wait)
    const name = names[index % names.length] ?? ""
    edits.push({ name, at: clock() })
    writeFileSync(join(directory, name), `${index}\n`)
  }
  await quiet(watching, count)
  return latenciesOf(edits, await watching.dump())
}

/** Makes files as fast as it can; resolves with how many were not seen made and closed. */
async function make(
  watching: Watching,
  directory: string,
  count: number,
  progress: (text: string) => void,
): Promise<number> {
  const began = clock()
  for (let index = 0; index < count; index++) writeFileSync(join(directory, `n${index}`), "new\n")
  const made = clock() - began
  const overflows = await quiet(watching, count)
  const seen = await watching.dump()
  const last = (seen.at(-1)?.at ?? began) - began
  progress(
    `    made in ${(made / 1000).toFixed(1)} s, the last seen after ${(last / 1000).toFixed(1)} s, ${overflows} overflows of the container's queue`,
  )
  const names = (kind: Seen["kind"]): ReadonlySet<string> =>
    new Set(seen.flatMap((one) => (one.kind === kind ? [one.name] : [])))
  const [created, closed] = [names("created"), names("closed")]
  return Array.from({ length: count }, (_, index) => `n${index}`).filter(
    (name) => !created.has(name) || !closed.has(name),
  ).length
}

/** Resolves when `count` files were closed, or when nothing has happened for a while. */
async function quiet(watching: Watching, count: number): Promise<number> {
  let before = -1
  let since = clock()
  for (;;) {
    const [closed, overflows] = await watching.count()
    if (closed !== before) since = clock()
    if (closed >= count || clock() - since > SILENCE_MS) return overflows
    before = closed
    await delay(POLL_MS)
  }
}

/**
 * Each edit's event is the next of its file after those of the edits before it. Where edits of a file were told of as one, it is the first that came
 * after the edit: then one event may stand for several, but none that came before it was made.
 */
function latenciesOf(edits: readonly Edit[], seen: readonly Seen[]): Edited {
  const events = new Map<string, number[]>()
  for (const { name, kind, at } of seen) {
    if (kind !== "closed") continue
    const times = events.get(name)
    if (times === undefined) events.set(name, [at])
    else times.push(at)
  }
  const counts = new Map<string, number>()
  for (const { name } of edits) counts.set(name, (counts.get(name) ?? 0) + 1)
  const turns = new Map<string, number>()
  const latencies: number[] = []
  for (const { name, at } of edits) {
    const turn = turns.get(name) ?? 0
    turns.set(name, turn + 1)
    const times = events.get(name) ?? []
    const isOneEach = times.length === counts.get(name)
    const time = isOneEach ? times[turn] : times.find((one) => one >= at)
    if (time !== undefined) latencies.push(time - at)
  }
  return { latencies: latencies.toSorted((a, b) => a - b), lost: edits.length - latencies.length }
}

/** Says what it cost the share manager and the guest, and what was asked. */
function costsOf(home: string, progress: (text: string) => void) {
  const programs = { "share manager": "/shares.js", QEMU: "qemu-system" }
  const spent = (): Readonly<Record<string, number>> =>
    Object.fromEntries(Object.entries(programs).map(([name, word]) => [name, cpuOf(pidsOf(home, word))]))
  return async <Result>(what: string, count: number, work: () => Promise<Result>): Promise<Result> => {
    const before = spent()
    const result = await work()
    const words = Object.entries(spent()).map(
      ([name, after]) => `${name} ${(((after - (before[name] ?? 0)) / count) * 1e6).toFixed(0)} µs`,
    )
    progress(`    processor for each of ${count} ${what}: ${words.join(", ")}`)
    return result
  }
}

function pidsOf(home: string, word: string): readonly number[] {
  return readdirSync("/proc").flatMap((pid) => {
    if (!/^\d+$/.test(pid)) return []
    try {
      const command = readFileSync(join("/proc", pid, "cmdline"), "latin1")
      return command.includes(home) && command.includes(word) ? [Number(pid)] : []
    } catch {
      return [] // gone since
    }
  })
}

function rows({ latencies, lost }: Edited, lostFiles: number): readonly Row[] {
  const at = (share: number): number =>
    latencies[Math.min(latencies.length - 1, Math.floor(latencies.length * share))] ?? Number.NaN
  const row = (name: string, unit: string, value: number, bar: number): Row =>
    rowOf({ suite: SUITE, name, unit, better: "lower", ours: [value], bar })
  return [
    row(ROWS.median, "ms", at(0.5), PROMISED_MS),
    row(ROWS.tail, "ms", at(0.99), PROMISED_MS),
    row(ROWS.lostEdits, "edits", lost, 0),
    row(ROWS.lostFiles, "files", lostFiles, 0),
  ]
}
