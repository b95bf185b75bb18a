/**
 * Takes leases away from a server, in the way that it can bear, and looks whether they are gone.
 *
 * Where it has its leases in memory it is asked, and writes its own file. Else the file is replaced and the server told; where it has written in between, from what it had in
 * memory, it starts over.
 *
 * @module
 */
import { SidecarError } from "@skep/contract"
import { sleep } from "@skep/runtime/deadline"
import type { Disk } from "../file/disk.ts"
import { refusedFile } from "../file/refusal.ts"
import { type Rewritten, rewrite } from "../file/rewrite.ts"
import { type LeaseFormat, mayRewrite, together } from "../format.ts"
import { type Document, type Lease, shown } from "../model.ts"
import { Keys } from "../plan/keys.ts"
import type { LeaseServer, ServerHost } from "../servers/server.ts"
import { serverNamed } from "../servers/servers.ts"
import { underLock } from "./lock.ts"
import { readLeases } from "./survey.ts"

export interface RemoveOptions {
  readonly format: LeaseFormat
  readonly disk: Disk
  readonly host: ServerHost
  readonly now: () => number
  readonly signal: AbortSignal
  /** Another one than its format says. */
  readonly server?: LeaseServer | undefined
  /** What becomes of one that the server does not give back, since it is in use or not to be asked for: that is thrown, unless it stays. */
  readonly inUse?: "stays"
  /** As the file was read before: not read anew where it is still so. */
  readonly known?: Document | undefined
  /** Between two looks. */
  readonly wait?: (ms: number, signal: AbortSignal) => Promise<void>
}

export interface Removed {
  /** Where links lead to. */
  readonly path: string
  readonly backup?: string
  /** How the server got to know: "asked", "told", or it did not run. */
  readonly server: "asked" | "told" | "not-running"
  /** Why leases stay that the server does not give back, a sentence for each. */
  readonly stays?: readonly string[]
}

/** One lease of which the server says so must not keep all others from going. */
const OF_ONE: ReadonlySet<string> = new Set(["busy", "unsupported"])

const TRIES = 5
const PAUSE_MS = 100
/** dnsmasq writes at once; over a script it takes a moment. */
const ASKED_MS = 5000

/**
 * Removes the leases with these keys. One that is not there any more, since it was renewed or is gone, is left as it is; resolves with the keys that were removed. Throws
 * "corrupt-file", "busy", "permission-denied", "unsupported" and what else the file and the server refuse with.
 */
export async function removeLeases(
  path: string,
  keys: ReadonlySet<string>,
  options: RemoveOptions,
): Promise<Removed & { readonly keys: readonly string[] }> {
  const { format, host, signal, disk } = options
  const server = options.server ?? serverNamed(format.name)
  const real = realOf(path, disk)
  const isRunning = await server?.isRunning(real, host, signal)
  if (server !== undefined && isRunning === true && server.whileRunning === "refuse") {
    throw new SidecarError(
      "unsupported",
      `Cannot change "${shown(path)}": ${server.title} runs, and would write over it`,
      {
        next: server.next,
      },
    )
  }
  if (server?.ask !== undefined && isRunning === true) return await byAsking(real, keys, server, options)
  return await byEditing(real, keys, isRunning === true ? server : undefined, { ...options, server })
}

function realOf(path: string, disk: Disk): string {
  try {
    return disk.resolve(path)
  } catch (error) {
    throw refusedFile("change", path, error)
  }
}

async function byAsking(
  path: string,
  keys: ReadonlySet<string>,
  server: LeaseServer,
  options: RemoveOptions,
): Promise<Removed & { readonly keys: readonly string[] }> {
  const { disk, format, signal } = options
  const mayStay = options.inUse === "stays"
  const { document } = readLeases(path, disk, format.name)
  const { asked, refusals, failure } = await askAll(server, chosenIn(document, keys), options)
  if (failure !== undefined && (asked.size === 0 || !mayStay)) throw failure
  const stays = failure === undefined ? refusals : [...refusals, failure.message]
  const end = Date.now() + ASKED_MS
  for (;;) {
    const { leases, keyOf } = chosenIn(readLeases(path, disk, format.name).document, asked)
    const left = leases.map(keyOf)
    if (left.length === 0) return { path, server: "asked", keys: [...asked], stays }
    if (Date.now() >= end) {
      const [first = ""] = left
      const why = `Cannot release ${first.split(" ")[0]}: ${server.title} was asked and has it still, with ${left.length - 1} more`
      if (!mayStay || left.length === asked.size)
        throw new SidecarError("timeout", why, { next: server.next })
      for (const key of left) asked.delete(key)
      return { path, server: "asked", keys: [...asked], stays: [...stays, why] }
    }
    await (options.wait ?? sleep)(PAUSE_MS, signal)
  }
}

interface Asked {
  /** Keys of those that the server was asked to release. */
  readonly asked: Set<string>
  /** Why it was not, of those of which it says so. */
  readonly refusals: string[]
  /** What kept all others from being asked. */
  readonly failure: Error | undefined
}

async function askAll(
  server: LeaseServer,
  { document, leases, keyOf }: Chosen,
  { inUse, signal }: RemoveOptions,
): Promise<Asked> {
  const asked = new Set<string>()
  const refusals: string[] = []
  for (const lease of leases) {
    try {
      await server.ask?.(lease, document, signal)
      asked.add(keyOf(lease))
    } catch (error) {
      if (inUse !== "stays" || !(error instanceof SidecarError) || !OF_ONE.has(error.code))
        return { asked, refusals, failure: error instanceof Error ? error : new Error(String(error)) }
      refusals.push(error.message)
    }
  }
  return { asked, refusals, failure: undefined }
}

async function byEditing(
  path: string,
  keys: ReadonlySet<string>,
  running: LeaseServer | undefined,
  options: RemoveOptions,
): Promise<Removed & { readonly keys: readonly string[] }> {
  const { disk, format, host, signal } = options
  // With the texts that there are already, of which there may be a hundred thousand.
  const gone = new Map([...keys].map((key) => [key, false]))
  let backup: string | undefined
  for (let attempt = 1; attempt <= TRIES; attempt++) {
    const { done, taken } = await takeOut(path, keys, options)
    backup ??= done.backup
    for (const lease of taken.leases) gone.set(taken.keyOf(lease), true)
    const removed = [...keys].filter((key) => gone.get(key) === true)
    const result = { path, keys: removed, ...(backup === undefined ? {} : { backup }) }
    if (running?.tell === undefined) return { ...result, server: "not-running" }
    if (removed.length > 0) await running.tell(path, host, signal)
    if (chosenIn(readLeases(path, disk, format.name).document, keys).leases.length === 0)
      return { ...result, server: "told" }
    await (options.wait ?? sleep)(PAUSE_MS * attempt, signal)
  }
  throw new SidecarError(
    "busy",
    `Cannot change "${shown(path)}": ${running?.title ?? "its server"} writes back what was removed`,
    {
      next: running?.next ?? "Try again",
      ...(backup === undefined ? {} : { detail: [`The file as it was is ${shown(backup)}`] }),
    },
  )
}

/** Once, and what that was: of what is chosen again since somebody wrote in between, the last. */
async function takeOut(
  path: string,
  keys: ReadonlySet<string>,
  options: RemoveOptions,
): Promise<{ readonly done: Rewritten; readonly taken: Pick<Chosen, "leases" | "keyOf"> }> {
  let taken: Pick<Chosen, "leases" | "keyOf"> = { leases: [], keyOf: () => "" }
  const change = (bytes: Uint8Array): Uint8Array | undefined => {
    const chosen = chosenIn(documentOf(bytes, path, options), keys)
    taken = chosen
    return without(chosen, options.format)
  }
  const done = await underLock(path, options, () =>
    rewrite(path, change, { disk: options.disk, now: options.now() }),
  )
  return { done, taken }
}

function documentOf(bytes: Uint8Array, path: string, { format, known }: RemoveOptions): Document {
  return known !== undefined && Buffer.compare(known.bytes, bytes) === 0 ? known : format.parse(bytes, path)
}

/** Undefined where there is nothing to be taken. */
function without({ document, leases }: Chosen, format: LeaseFormat): Uint8Array | undefined {
  if (leases.length === 0) return undefined
  mayRewrite(document)
  return format.remove(document, together(document, leases))
}

interface Chosen {
  readonly document: Document
  readonly leases: readonly Lease[]
  readonly keyOf: (lease: Lease) => string
}

function chosenIn(document: Document, wanted: ReadonlySet<string>): Chosen {
  const keys = new Keys(document)
  const keyOf = (lease: Lease): string => keys.of(lease)
  return { document, keyOf, leases: document.leases.filter((lease) => wanted.has(keyOf(lease))) }
}
