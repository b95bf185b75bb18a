/**
 * The watching program in a container of a machine, and its clock beside ours.
 *
 * @module
 */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { mkdirSync } from "node:fs"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { type BenchHome, MACHINE, run } from "../home.ts"

const IMAGE = "event-watcher"
/** Of which the quickest tells the clocks' difference. */
const PINGS = 50

export interface Seen {
  /** Milliseconds of our clock. */
  readonly at: number
  readonly kind: "created" | "modified" | "closed"
  readonly name: string
}

export interface Watching extends AsyncDisposable {
  /** Compares the clocks. Resolves with how far the comparison may be off, in milliseconds. */
  compare(): Promise<number>
  reset(): Promise<void>
  /** Files closed so far, and overflows of the container's queue. */
  count(): Promise<readonly [number, number]>
  dump(): Promise<readonly Seen[]>
}

/** Compiles it in `directory` and makes an image of it. */
export async function makeImage(home: BenchHome, directory: string): Promise<void> {
  const root = join(directory, "image")
  mkdirSync(root)
  const source = join(import.meta.dirname, "event-watcher.c")
  const program = join(root, "watch")
  await run("gcc", ["-static", "-O2", "-Wall", "-Wextra", "-o", program, source], process.env)
  const archive = join(directory, "image.tar")
  await run("tar", ["-C", root, "-cf", archive, "."], process.env)
  await run("docker", ["--context", `skep-${MACHINE}`, "import", archive, IMAGE], home.env)
}

const KINDS: Readonly<Record<string, Seen["kind"]>> = { c: "created", m: "modified", w: "closed" }

/** Watches directories below `directory`, which the machine shares. */
export async function watch(home: BenchHome, directory: string, names: readonly string[]): Promise<Watching> {
  const places = names.map((name) => join("/src", name))
  const words = ["run", "-i", "--rm", "-v", `${directory}:/src`, IMAGE, "/watch", ...places]
  const child = spawn("docker", ["--context", `skep-${MACHINE}`, ...words], {
    env: home.env,
    stdio: ["pipe", "pipe", "inherit"],
  })
  const ended = once(child, "close")
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]()
  const next = async (): Promise<string> => {
    const { value, done } = await lines.next()
    if (done === true) throw new Error("the container has ended")
    return value
  }
  const ask = async (word: string): Promise<readonly string[]> => {
    child.stdin.write(`${word}\n`)
    return (await next()).split(" ")
  }
  /** The guest's clock less ours. */
  let ahead = 0
  if ((await next()) !== "ready") throw new Error("the container cannot watch")
  return {
    compare: async () => {
      let best = Number.POSITIVE_INFINITY
      for (let ping = 0; ping < PINGS; ping++) {
        const before = clock()
        const [, there] = await ask("now")
        const after = clock()
        if (after - before >= best) continue
        best = after - before
        ahead = Number(there) / 1e6 - (before + after) / 2
      }
      return best / 2
    },
    reset: async () => void (await ask("reset")),
    count: async () => {
      const [, closed, overflows] = await ask("count")
      return [Number(closed), Number(overflows)]
    },
    dump: async () => {
      child.stdin.write("dump\n")
      const seen: Seen[] = []
      for (let line = await next(); line !== "end"; line = await next()) {
        const [when, kind = "", name = ""] = line.split(" ")
        seen.push({ at: Number(when) / 1e6 - ahead, kind: KINDS[kind] ?? "modified", name })
      }
      return seen
    },
    [Symbol.asyncDispose]: async () => {
      child.stdin.end()
      await ended
    },
  }
}

/** Milliseconds since 1970, with microseconds. */
export function clock(): number {
  return performance.timeOrigin + performance.now()
}
