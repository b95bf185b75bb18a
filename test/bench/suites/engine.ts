/**
 * Our vhost-user back end in its loop thread beside a small one in C, both driven by the same driver program, without a VM.
 *
 * The C programs are compiled here, from `../engine`. Driver and back end have a processor each, so that the scheduler does not decide.
 *
 * @module
 */
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, rmSync } from "node:fs"
import { cpus, tmpdir } from "node:os"
import { join } from "node:path"
import { startLoop } from "@skep/loop"
import { run } from "../home.ts"
import { alternate, type Row, rowOf } from "../row.ts"

const SUITE = "engine"
const SOURCES = join(import.meta.dirname, "../engine")
const ROUNDS = 5
/** Long enough for the compilers of V8 to have seen the load. */
const WARM_MS = 500
const RUN_MS = 1000
const BAR = 0.7
/** The driver may not be at work for more of the time than this: else it is what is measured. */
const DRIVER_BAR = 0.5
const DRIVER_CPU = 0
const BACKEND_CPU = 1
const KIB = 1024

interface Load {
  readonly name: string
  readonly unit: "k/s" | "MiB/s"
  /** Descriptors of the ring, and chains on their way at most. */
  readonly size: number
  readonly chains: number
  /** Pieces on each side of a chain, and their length. */
  readonly readable: number
  readonly writable: number
  readonly bytes: number
  readonly indirect?: boolean
}

const LOADS: readonly Load[] = [
  {
    name: "chains given back, 256 a batch",
    unit: "k/s",
    size: 256,
    chains: 256,
    readable: 1,
    writable: 0,
    bytes: 64,
  },
  {
    name: "64-byte echoes, 128 a batch",
    unit: "k/s",
    size: 256,
    chains: 128,
    readable: 1,
    writable: 1,
    bytes: 64,
  },
  {
    name: "64-byte echoes, one at a time",
    unit: "k/s",
    size: 256,
    chains: 1,
    readable: 1,
    writable: 1,
    bytes: 64,
  },
  {
    name: "64 KiB through a socket, in one piece",
    unit: "MiB/s",
    size: 256,
    chains: 64,
    readable: 1,
    writable: 1,
    bytes: 64 * KIB,
  },
  {
    name: "64 KiB through a socket, in 16 pieces, indirect",
    unit: "MiB/s",
    size: 256,
    chains: 64,
    readable: 16,
    writable: 16,
    bytes: 4 * KIB,
    indirect: true,
  },
]

interface DriverReport {
  readonly chains: number
  readonly seconds: number
  readonly waitSeconds: number
}

export async function engine(progress: (text: string) => void): Promise<readonly Row[]> {
  const directory = mkdtempSync(join(tmpdir(), "skep-engine-"))
  const ours = join(directory, "ours.sock")
  const peer = join(directory, "c.sock")
  let backend: ChildProcess | undefined
  try {
    await Promise.all(["driver", "backend"].map((name) => compile(name, directory)))
    backend = await startBackend(join(directory, "backend"), peer)
    await using thread = await startLoop<object, string>(new URL("../engine/device.ts", import.meta.url), {
      data: { socket: ours },
      onNotice: (reason) => progress(`  ${reason}`),
    })
    await pin(thread.threadId)
    const drive = (socket: string) => (load: Load) => driven(join(directory, "driver"), socket, load)
    return await measured({ ours: drive(ours), C: drive(peer) }, progress)
  } finally {
    await ended(backend)
    rmSync(directory, { recursive: true, force: true })
  }
}

type Drive = (load: Load) => Promise<DriverReport>

async function measured(
  drivers: Readonly<Record<"ours" | "C", Drive>>,
  progress: (text: string) => void,
): Promise<readonly Row[]> {
  const rows: Row[] = []
  let busiest = 0
  for (const load of LOADS) {
    progress(`  ${load.name}`)
    const rate = (drive: Drive) => async (): Promise<number> => {
      const report = await drive(load)
      busiest = Math.max(busiest, 1 - report.waitSeconds / report.seconds)
      return rateOf(load, report)
    }
    const { ours, C } = await alternate(ROUNDS, { ours: rate(drivers.ours), C: rate(drivers.C) }, progress)
    const { name, unit } = load
    rows.push(rowOf({ suite: SUITE, name, unit, better: "higher", ours, peers: { C }, bar: BAR }))
  }
  const name = "the driver at work, of its time, at most"
  rows.push(rowOf({ suite: SUITE, name, unit: "", better: "lower", ours: [busiest], bar: DRIVER_BAR }))
  return rows
}

function rateOf({ unit, readable, bytes }: Load, { chains, seconds }: DriverReport): number {
  const perSecond = chains / seconds
  return unit === "k/s" ? perSecond / 1000 : (perSecond * readable * bytes) / KIB / KIB
}

async function compile(name: string, directory: string): Promise<void> {
  const flags = ["-O2", "-Wall", "-Wextra", "-o", join(directory, name)]
  await run("gcc", [...flags, join(SOURCES, `${name}.c`)], process.env)
}

async function startBackend(program: string, socket: string): Promise<ChildProcess> {
  const child = spawn(program, [socket], { stdio: ["ignore", "pipe", "inherit"] })
  await Promise.race([once(child.stdout, "data"), once(child, "exit").then(failedToStart)])
  await pin(child.pid ?? 0)
  return child
}

function failedToStart(): never {
  throw new Error("the back end in C did not start")
}

/** Gives a thread the processor of the back ends, where there are two to choose from. */
async function pin(threadId: number): Promise<void> {
  if (cpus().length > 1)
    await run("taskset", ["--cpu-list", "--pid", String(BACKEND_CPU), String(threadId)], process.env)
}

async function driven(program: string, socket: string, load: Load): Promise<DriverReport> {
  const { size, chains, readable, writable, bytes, indirect = false } = load
  const words = [size, chains, readable, writable, bytes, indirect ? 1 : 0, WARM_MS, RUN_MS].map(String)
  const command = [program, socket, ...words]
  const pinned = cpus().length > 1 ? ["taskset", "--cpu-list", String(DRIVER_CPU), ...command] : command
  const [file = program, ...args] = pinned
  return JSON.parse(await run(file, args, process.env)) as DriverReport
}

async function ended(child: ChildProcess | undefined): Promise<void> {
  if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
  const gone = once(child, "exit")
  child.kill("SIGTERM")
  await gone
}
