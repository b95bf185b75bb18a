/**
 * What of a machine is to be mounted: `NAME[:PATH]`, a volume, a container. The engine is asked where its things are.
 *
 * @module
 */
import { request } from "node:http"
import { posix } from "node:path"
import { SidecarError } from "@skep/contract"
import { within } from "@skep/runtime/deadline"
import * as z from "zod"
import { checkName } from "../home/paths.ts"

/** A directory of a machine, and where the absolute links below it begin. */
export interface Place {
  readonly path: string
  readonly linkBase: string
}

export interface Wanted {
  readonly machine: string
  /** Absolute; below the volume or the container where one is named. */
  readonly path: string
  readonly volume?: string
  readonly container?: string
}

const ANSWER_MS = 10_000
const ANSWER_MAX = 16 << 20

/** Throws "bad-name" and "bad-options". */
export function parsePlace(text: string): Pick<Wanted, "machine" | "path"> {
  const colon = text.indexOf(":")
  const machine = checkName(colon < 0 ? text : text.slice(0, colon))
  const path = colon < 0 ? "/" : text.slice(colon + 1)
  if (path.startsWith("/") && !/[\n\0]/.test(path)) return { machine, path: tidy(path) }
  throw new SidecarError("bad-options", `Cannot mount ${JSON.stringify(text)}: its path is not absolute`, {
    next: `Name it from the machine's root: ${machine}:/${path.replace(/[\n\0]/g, "")}`,
  })
}

function tidy(path: string): string {
  const normal = posix.normalize(path)
  return normal.length > 1 && normal.endsWith("/") ? normal.slice(0, -1) : normal
}

/** Throws "not-found", "not-running" for a container that does not run, "unreachable" and "timeout". */
export async function findPlace(wanted: Wanted, dockerSocket: string, signal: AbortSignal): Promise<Place> {
  const { volume, container, path } = wanted
  if (volume === undefined && container === undefined) return { path, linkBase: path }
  const ask: Ask = (what) => engineAnswer(dockerSocket, what, within(ANSWER_MS, signal))
  const root =
    volume === undefined ? await containerRoot(container ?? "", ask) : await volumeRoot(volume, ask)
  // To a container its own root is all there is.
  if (path === "/") return { path: root, linkBase: "/" }
  return { path: root + path, linkBase: path }
}

type Ask = (path: string) => Promise<unknown>

const Volume = z.object({ Mountpoint: z.string().startsWith("/") })
const Container = z.object({
  State: z.object({ Running: z.boolean(), Pid: z.int() }),
  GraphDriver: z.object({ Data: z.record(z.string(), z.unknown()).nullish() }).nullish(),
})

async function volumeRoot(name: string, ask: Ask): Promise<string> {
  const answer = await ask(`/volumes/${encodeURIComponent(name)}`)
  if (answer === undefined) throw missing("volume", name, "docker volume ls")
  return understood(Volume, answer).Mountpoint
}

/** Where its layers are merged, which is the same after a restart; by its process where the engine does not tell (containerd's snapshotters). */
async function containerRoot(name: string, ask: Ask): Promise<string> {
  const answer = await ask(`/containers/${encodeURIComponent(name)}/json`)
  if (answer === undefined) throw missing("container", name, "docker ps")
  const { State, GraphDriver } = understood(Container, answer)
  if (!State.Running || State.Pid < 1) {
    throw new SidecarError("not-running", `Cannot mount the container "${name}": it does not run`, {
      next: `Start it with docker start ${name}`,
    })
  }
  const merged = GraphDriver?.Data?.["MergedDir"]
  return typeof merged === "string" && merged.startsWith("/") ? merged : `/proc/${State.Pid}/root`
}

function missing(kind: string, name: string, command: string): SidecarError {
  return new SidecarError("not-found", `Cannot find the ${kind} "${name}" in the machine`, {
    next: `See what there is with ${command}${kind === "container" ? " -a" : ""}`,
  })
}

function understood<T>(schema: z.ZodType<T>, answer: unknown): T {
  const parsed = schema.safeParse(answer)
  if (parsed.success) return parsed.data
  throw new SidecarError("protocol", "Cannot understand what the Docker engine tells of its directories", {
    cause: parsed.error,
  })
}

/** Undefined for what is not there. */
function engineAnswer(socketPath: string, path: string, signal: AbortSignal): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const fail = (why: string, cause?: unknown): void =>
      reject(new SidecarError("unreachable", `Cannot ask the machine's Docker engine: ${why}`, { cause }))
    const options = { socketPath, path, signal, agent: false, headers: { host: "docker" } }
    const asked = request(options, (answer) => {
      const chunks: Buffer[] = []
      let bytes = 0
      answer.on("data", (chunk: Buffer) => {
        bytes += chunk.length
        if (bytes <= ANSWER_MAX) chunks.push(chunk)
        else asked.destroy(new Error(`over ${ANSWER_MAX} bytes`))
      })
      answer.on("error", (error) => fail(error.message, error))
      answer.on("end", () => {
        if (answer.statusCode === 404) resolve(undefined)
        else if (answer.statusCode !== 200) fail(`status ${answer.statusCode}`)
        else resolve(parsed(Buffer.concat(chunks).toString("utf8")))
      })
    })
    asked.on("error", (error) => fail(signal.aborted ? "it does not answer" : error.message, error))
    asked.end()
  })
}

/** What is no JSON is nothing that its reader understands. */
function parsed(text: string): unknown {
  try {
    const value: unknown = JSON.parse(text)
    return value
  } catch {
    return null
  }
}
