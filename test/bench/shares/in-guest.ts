/**
 * The rows in a virtual machine: what people do with files, by each server in turn.
 *
 * @module
 */
import { mkdirSync } from "node:fs"
import { join } from "node:path"
import { Cleanup } from "@skep/runtime"
import { cpuOf } from "../network/process.ts"
import { type Row, rowOf } from "../row.ts"
import { buildTools } from "./guest-tools.ts"
import { bootGuest, type Guest, MOUNTS } from "./machine.ts"
import { OURS, oursNfs, oursVirtiofs } from "./ours.ts"
import { ganesha, virtiofsd, virtiofsdExtended } from "./peers.ts"
import type { Served, Server } from "./server.ts"
import { type Settings, SUITE, wordsOf } from "./settings.ts"
import { makeArchive, makeRepository } from "./source.ts"
import { type Load, loads, QUICK, WARM_UP, WHOLE, WORK } from "./workload.ts"

const SERVERS: readonly Server[] = [oursVirtiofs, virtiofsd, virtiofsdExtended, oursNfs, ganesha]
/** The guest's own ext4, the limit. */
const DISK = "ext4"
const FIRST_PORT = 20_490
/** A load that has taken so long has no further round. */
const LOAD_MS = 90_000

interface Contestant {
  readonly name: string
  /** The directory in the guest. */
  readonly at: string
  readonly cpu: () => number
}

/** Seconds or rates, and processor seconds, of one load by contestants' names. */
interface Taken {
  readonly load: Load
  readonly values: Record<string, number[]>
  readonly cpu: Record<string, number[]>
}

export async function inGuest(settings: Settings): Promise<readonly Row[]> {
  const size = settings.quick ? QUICK : WHOLE
  const wanted = loads(size).filter(({ name }) => settings.wanted(name))
  if (wanted.length === 0) return []
  const { directory, progress } = settings
  progress("  in a virtual machine")
  await using cleanup = new Cleanup()
  const tools = join(directory, "tools.erofs")
  const tree = join(directory, "tools")
  mkdirSync(tree)
  await makeArchive(join(directory, "archive"), join(tree, "archive.tar"), size.archiveFiles)
  await buildTools(tree, tools)
  const servers = await serveAll(settings, size.repositoryFiles, cleanup)
  const guest = await bootGuest(
    { directory, tools, servers, namespace: settings.namespace, progress },
    cleanup,
  )
  const contestants = await contestantsOf(guest, servers)
  await warmUp(guest, contestants, progress)
  const rows: Row[] = []
  for (const [turn, load] of wanted.entries())
    rows.push(...rowsOf(await takeAll(guest, rotated(contestants, turn), load, settings)))
  return rows
}

async function serveAll(
  { directory, namespace, progress }: Settings,
  files: number,
  cleanup: Cleanup,
): Promise<Readonly<Record<string, Served>>> {
  const served: Record<string, Served> = {}
  for (const [index, server] of SERVERS.entries()) {
    const why = server.missing()
    if (why !== undefined) {
      progress(`    without ${server.name}: ${why}`)
      continue
    }
    const own = join(directory, server.name)
    const source = join(own, "source")
    mkdirSync(source, { recursive: true, mode: 0o700 })
    await makeRepository(source, files)
    const log = join(own, "log")
    const port = FIRST_PORT + 2 * index
    try {
      const one = await server.serve({ source, directory: own, log, namespace, port })
      cleanup.use(one.program)
      served[server.name] = one
    } catch (error) {
      progress(`    without ${server.name}: ${wordsOf(error)}`)
    }
  }
  return served
}

async function contestantsOf(
  { shell, qemu }: Guest,
  servers: Readonly<Record<string, Served>>,
): Promise<readonly Contestant[]> {
  const disk = `/var/lib/docker/${DISK}`
  const first = Object.entries(servers)[0]
  if (first !== undefined)
    await shell.run(`mkdir -p ${disk} && cp -a ${MOUNTS}/${first[0]}/${first[1].within}/repository ${disk}/`)
  const remote = Object.entries(servers).map(([name, { program, within }]) => ({
    name,
    at: `${MOUNTS}/${name}/${within}`,
    cpu: () => cpuOf(program.pids()),
  }))
  return [...remote, { name: DISK, at: disk, cpu: () => cpuOf(qemu.pids()) }]
}

/** Not counted: a server lives for days, and compiles what it does often at its beginning. */
async function warmUp(
  { shell }: Guest,
  contestants: readonly Contestant[],
  progress: (text: string) => void,
): Promise<void> {
  progress("    warming up")
  for (const { name, at } of contestants) {
    if (name === DISK) continue
    await shell.run(`mount --bind ${at} ${WORK}`)
    await shell.run(WARM_UP)
    await shell.run(`umount ${WORK}`)
  }
}

/** Nobody is always the first. */
function rotated<T>(items: readonly T[], by: number): readonly T[] {
  const from = by % items.length
  return [...items.slice(from), ...items.slice(0, from)]
}

async function takeAll(
  guest: Guest,
  contestants: readonly Contestant[],
  load: Load,
  { rounds, progress }: Settings,
): Promise<Taken> {
  const taken: Taken = { load, values: {}, cpu: {} }
  progress(`  ${load.name}`)
  const enough = performance.now() + LOAD_MS
  for (let round = 0; round < rounds && (round === 0 || performance.now() < enough); round++) {
    for (const who of rotated(contestants, round)) {
      const { value, cpu } = await takeOne(guest, who, load, progress)
      ;(taken.values[who.name] ??= []).push(value)
      ;(taken.cpu[who.name] ??= []).push(cpu)
      progress(
        `    ${who.name} ${round + 1}/${rounds}: ${value.toFixed(2)} ${load.unit}, ${cpu.toFixed(2)} s of processor`,
      )
    }
  }
  return taken
}

async function takeOne(
  { shell }: Guest,
  { name, at, cpu }: Contestant,
  { before, command, after, unit, value }: Load,
  progress: (text: string) => void,
): Promise<{ readonly value: number; readonly cpu: number }> {
  try {
    await shell.run(`mount --bind ${at} ${WORK}`)
    try {
      if (before !== undefined) await shell.run(before)
      const cpuBefore = cpu()
      const began = performance.now()
      const output = await shell.run(command)
      const seconds = (performance.now() - began) / 1000
      const used = cpu() - cpuBefore
      if (after !== undefined) await shell.run(after)
      return { value: value(seconds, output), cpu: used }
    } finally {
      await shell.run(`umount ${WORK}`)
    }
  } catch (error) {
    progress(`    ${name}: ${wordsOf(error)}`)
    return { value: unit === "s" ? Number.POSITIVE_INFINITY : 0, cpu: Number.POSITIVE_INFINITY }
  }
}

/** virtiofs beside virtiofsd, with its processor time; NFS beside nfs-ganesha; the guest's disk with both. */
function rowsOf({ load, values, cpu }: Taken): readonly Row[] {
  const better = load.unit === "s" ? "lower" : "higher"
  const limit = values[DISK] ?? []
  const row = (protocol: string, ours: string, peer: string, ...others: readonly string[]): Row =>
    rowOf({
      suite: SUITE,
      name: `${protocol}: ${load.name}`,
      unit: load.unit,
      better,
      ours: values[ours] ?? [Number.NaN],
      peers: {
        [peer]: values[peer] ?? [Number.NaN],
        ...Object.fromEntries(others.map((other) => [other, values[other] ?? [Number.NaN]])),
        [DISK]: limit,
      },
      bar: 1,
      bars: { [peer]: 1 },
    })
  const cost = rowOf({
    suite: SUITE,
    name: `virtiofs: ${load.name}, processor`,
    unit: "s",
    better: "lower",
    ours: cpu[OURS] ?? [Number.NaN],
    peers: { virtiofsd: cpu["virtiofsd"] ?? [Number.NaN] },
    bar: 1.1,
  })
  return [
    row("virtiofs", OURS, "virtiofsd", virtiofsdExtended.name),
    cost,
    row("NFS", `${OURS}-nfs`, "ganesha"),
  ]
}
