/**
 * `npm run bench -- leases`: the command on a lease file of a hundred thousand entries, the whole process each time.
 *
 * @module
 */
import { execFileSync } from "node:child_process"
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type Row, rowOf } from "../row.ts"

const ENTRIES = 100_000
const RUNS = 5
const DAY = 86_400
const PROGRAM = join(import.meta.dirname, "../../../packages/leases/bin/skep-leases.js")
const BARS = { listSeconds: 1, pruneSeconds: 2, mebibytes: 150 }

interface Run {
  readonly seconds: number
  readonly mebibytes: number
}

export async function leases(progress: (text: string) => void): Promise<readonly Row[]> {
  const directory = mkdtempSync(join(tmpdir(), "skep-bench-leases-"))
  try {
    const master = join(directory, "master")
    writeFileSync(master, content())
    const list: Run[] = []
    const prune: Run[] = []
    for (let index = 0; index < RUNS; index++) {
      progress(`run ${index + 1} of ${RUNS}`)
      const path = join(directory, `dhcpd_leases-${index}`)
      copyFileSync(master, path)
      list.push(run(directory, ["ls", "--file", path, "--format", "bootpd"]))
      prune.push(run(directory, ["prune", "--yes", "--file", path, "--format", "bootpd"]))
    }
    return rowsOf(list, prune)
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

function rowsOf(list: readonly Run[], prune: readonly Run[]): readonly Row[] {
  const suite = "leases"
  const better = "lower" as const
  const memory = (name: string, runs: readonly Run[]): Row =>
    rowOf({
      suite,
      name,
      unit: "MiB",
      better,
      ours: runs.map(({ mebibytes }) => mebibytes),
      bar: BARS.mebibytes,
    })
  const time = (name: string, runs: readonly Run[], bar: number): Row =>
    rowOf({ suite, name, unit: "s", better, ours: runs.map(({ seconds }) => seconds), bar })
  return [
    time("ls of 100,000 leases", list, BARS.listSeconds),
    memory("ls: memory", list),
    time("prune of 50,000 of them", prune, BARS.pruneSeconds),
    memory("prune: memory", prune),
  ]
}

/** By GNU time, since only who waits for a process is told of its memory. */
function run(directory: string, words: readonly string[]): Run {
  const report = join(directory, "report")
  execFileSync("/usr/bin/time", ["-f", "%e %M", "-o", report, PROGRAM, ...words], {
    stdio: "ignore",
    env: { ...process.env, HOME: directory },
  })
  const [seconds = Number.NaN, kibibytes = Number.NaN] = execFileSync("tail", ["-n", "1", report], {
    encoding: "utf8",
  })
    .trim()
    .split(" ")
    .map(Number)
  return { seconds, mebibytes: kibibytes / 1024 }
}

/** Every other one is over. */
function content(): string {
  const now = Math.floor(Date.now() / 1000)
  const blocks = Array.from({ length: ENTRIES }, (_, index) => {
    const [a, b, c] = [(index >> 16) & 0xff, (index >> 8) & 0xff, index & 0xff]
    const mac = `1,52:54:0:${a.toString(16)}:${b.toString(16)}:${c.toString(16)}`
    const expires = now + (index % 2 === 0 ? -DAY : DAY)
    return `{\n\tname=vm${index}\n\tip_address=10.${a}.${b}.${c}\n\thw_address=${mac}\n\tidentifier=${mac}\n\tlease=0x${expires.toString(16)}\n}\n`
  })
  return blocks.join("")
}
