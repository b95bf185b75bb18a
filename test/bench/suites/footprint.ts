/**
 * What an idle machine costs beside QEMU, and what the command and the proxy cost.
 *
 * @module
 */
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { setTimeout as delay } from "node:timers/promises"
import { importBusybox } from "../../e2e/busybox.ts"
import { skepIn } from "../../e2e/skep.ts"
import { type BenchHome, benchHome, MACHINE, run, seconds } from "../home.ts"
import { alternate, type Row, rowOf } from "../row.ts"

const IDLE_MS = 60_000
const CLOCK_TICKS = 100
const SUITE = "footprint"
/** One backend; one launcher, keeper and skep-vsock of the one machine. */
const PROCESSES = 4

export async function footprint(progress: (text: string) => void): Promise<readonly Row[]> {
  const home = benchHome()
  await home.skep("up", MACHINE, "--network", "restricted", "--memory", "1g", "--cpus", "2", "--disk", "4g")
  await home.skep("docker-cli")
  try {
    return [
      ...(await command(home, progress)),
      ...(await container(home, progress)),
      ...(await idle(home, progress)),
    ]
  } finally {
    await home.skep("rm", "--force", MACHINE)
  }
}

async function command(home: BenchHome, progress: (text: string) => void): Promise<readonly Row[]> {
  const contestants = {
    ours: () => seconds(() => home.skep("status", MACHINE)),
    "node -e 0": () => seconds(() => run(process.execPath, ["-e", "0"], home.env)),
  }
  const samples = await alternate(15, contestants, progress)
  const peers = { "node -e 0": samples["node -e 0"] }
  return [
    rowOf({
      suite: SUITE,
      name: "skep status, whole process",
      unit: "s",
      better: "lower",
      ours: samples.ours,
      peers,
      bar: 3,
    }),
  ]
}

async function container(home: BenchHome, progress: (text: string) => void): Promise<readonly Row[]> {
  const context = `skep-${MACHINE}`
  const skep = skepIn(home.directory)
  await importBusybox({ ...skep, docker: (args, options) => skep.docker(args.with(1, context), options) })
  const inside = "time -p docker run --rm busybox true"
  const contestants = {
    ours: () =>
      seconds(() => run("docker", ["--context", context, "run", "--rm", "busybox", "true"], home.env)),
    "inside the guest": async () => {
      const text = await home.skep("shell", "-m", MACHINE, "--", `{ ${inside}; } 2>&1`)
      return Number(/real\s+([\d.]+)/.exec(text)?.[1])
    },
  }
  await verifyContainers(home, context)
  const samples = await alternate(7, contestants, progress)
  const peers = { "inside the guest": samples["inside the guest"] }
  return [
    rowOf({
      suite: SUITE,
      name: "docker run --rm busybox true",
      unit: "s",
      better: "lower",
      ours: samples.ours,
      peers,
      bar: 1.1,
    }),
  ]
}

/** What is measured does what it says: the container's words and its exit code arrive, from both sides. */
async function verifyContainers(home: BenchHome, context: string): Promise<void> {
  const words = "echo said; exit 7"
  const script = `docker run --rm busybox sh -c '${words}'; echo code $?`
  const expected = "said\ncode 7\n"
  const answers = {
    ours: await run("sh", ["-c", script], { ...home.env, DOCKER_CONTEXT: context, DOCKER_HOST: undefined }),
    "inside the guest": await home.skep("shell", "-m", MACHINE, "--", script),
  }
  for (const [who, answer] of Object.entries(answers))
    if (answer !== expected) throw new Error(`${who}: a container answered ${JSON.stringify(answer)}`)
}

async function idle(home: BenchHome, progress: (text: string) => void): Promise<readonly Row[]> {
  const pids = ourProcesses(home.directory)
  if (pids.length !== PROCESSES)
    throw new Error(
      `an idle machine has ${pids.length} processes of Skep instead of a backend, and a launcher, a keeper and a skep-vsock`,
    )
  progress(`  idle for ${IDLE_MS / 1000} s: ${pids.length} processes`)
  const before = cpuSeconds(pids)
  await delay(IDLE_MS)
  const percent = ((cpuSeconds(pids) - before) / (IDLE_MS / 1000)) * 100
  const megabytes = pids.reduce((sum, pid) => sum + pssBytes(pid), 0) / 1e6
  return [
    rowOf({
      suite: SUITE,
      name: "memory of Skep's processes, PSS",
      unit: "MB",
      better: "lower",
      ours: [megabytes],
      bar: 150,
    }),
    rowOf({
      suite: SUITE,
      name: "processor of Skep's processes, idle",
      unit: "%",
      better: "lower",
      ours: [percent],
      bar: 0.5,
    }),
  ]
}

/** Node processes whose command line names this home: the backend and the machines' sidecars, not QEMU. */
function ourProcesses(home: string): readonly string[] {
  return readdirSync("/proc").filter((pid) => {
    if (!/^\d+$/.test(pid)) return false
    const words = read(pid, "cmdline").split("\0")
    return words[0]?.endsWith("node") === true && words.some((word) => word.startsWith(join(home, "r")))
  })
}

function cpuSeconds(pids: readonly string[]): number {
  return pids.reduce((sum, pid) => {
    const fields = read(pid, "stat").split(") ")[1]?.split(" ") ?? []
    return sum + (Number(fields[11]) + Number(fields[12])) / CLOCK_TICKS
  }, 0)
}

function pssBytes(pid: string): number {
  const kib = /^Pss:\s+(\d+) kB/m.exec(read(pid, "smaps_rollup"))?.[1]
  if (kib === undefined) throw new Error(`the memory of process ${pid} cannot be read`)
  return Number(kib) * 1024
}

function read(pid: string, file: string): string {
  try {
    return readFileSync(join("/proc", pid, file), "latin1")
  } catch {
    return "" // gone since
  }
}
