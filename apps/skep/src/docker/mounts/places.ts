/**
 * Where a path of the host is in a machine.
 *
 *     what the client wrote ── in a share's target ─────────────> as it is; where a symbolic link on the way would end elsewhere in
 *              │                                                  the machine than on the host, at what the link means on the host
 *              ├── the machine's own (guest-paths.ts) ──────────> as it is
 *              ├── really in a shared directory ────────────────> in that share, at its target
 *              └── else it is not shared, and that is an error
 *
 * The host's files are looked at, and never followed out of what is shared: what a link means is the machine's own affair, and it sees no more than
 * its shares.
 *
 * @module
 */
import { readlink, realpath, stat } from "node:fs/promises"
import { posix } from "node:path"
import { type ShareRule, SidecarError } from "@skep/contract"
import { errnoOf } from "@skep/runtime/files"
import { quoteIfNeeded } from "../../cli/quote.ts"
import { isGuests, isWithin } from "../../machine/guest-paths.ts"

/** Linux's own bound. */
const LINKS_MAX = 40
/** Where every machine has its Docker. */
const DOCKER_SOCKET = "/run/docker.sock"

export interface Places {
  readonly machine: string
  readonly shares: readonly ShareRule[]
  /** Of the host, and leading to this machine's Docker: `DOCKER_HOST` of clients that mount their own engine's socket. */
  readonly dockerSockets: readonly string[]
  /** Of the host, and in no machine whatever is shared: Skep's home. */
  readonly hidden: readonly string[]
}

export interface Found {
  /** What to mount. */
  readonly path: string
  /** The share that has it; undefined for the machine's own. */
  readonly share?: ShareRule
}

/** Throws "bad-options" and what to do, where the machine does not have it. */
export async function placeOf(source: string, places: Places): Promise<Found> {
  const path = trimmed(posix.normalize(source))
  const { shares } = places
  if (await leadsToDocker(path, places.dockerSockets)) return { path: DOCKER_SOCKET }
  const outer = shareAround(path, shares)
  if (outer === undefined && isGuests(path)) return { path: source }
  const real = await realPath(outer === undefined ? path : hostPathIn(outer, path))
  const hidden = places.hidden.find((directory) => isWithin(real, directory))
  if (hidden !== undefined) throw notShown(path, hidden)
  if (outer !== undefined) {
    const end = await endInGuest(path, shares)
    const share = shareAround(end, shares)
    if (share !== undefined && hostPathIn(share, end) === real) return { path: source, share }
    if (share === undefined && isGuests(end)) return { path: source }
  }
  const share = shareOf(real, shares)
  if (share !== undefined) return { path: trimmed(share.target + real.slice(share.path.length)), share }
  throw await notShared(path, real, places.machine)
}

/** The share in whose target a path of the machine is. */
function shareAround(path: string, shares: readonly ShareRule[]): ShareRule | undefined {
  return shares.find(({ target }) => isWithin(path, target))
}

/** The innermost share that has a file of the host. */
function shareOf(real: string, shares: readonly ShareRule[]): ShareRule | undefined {
  return shares
    .filter(({ path }) => isWithin(real, path))
    .toSorted((a, b) => b.path.length - a.path.length)
    .at(0)
}

function hostPathIn({ path, target }: ShareRule, inGuest: string): string {
  return trimmed((path === "/" ? "" : path) + inGuest.slice(target.length))
}

/** Where the machine's kernel ends up that walks this path, by what the host's directories say. */
async function endInGuest(path: string, shares: readonly ShareRule[]): Promise<string> {
  let names = namesIn(path)
  let at = "/"
  for (let links = 0; names.length > 0; ) {
    const [name = "", ...rest] = names
    names = rest
    const next = name === ".." ? posix.dirname(at) : posix.join(at, name)
    const share = shareAround(next, shares)
    const link =
      share === undefined || share.target === next ? undefined : await linkAt(hostPathIn(share, next))
    if (link === undefined) {
      at = next
      continue
    }
    if (++links > LINKS_MAX) throw circle(path)
    names = [...namesIn(link), ...rest]
    if (link.startsWith("/")) at = "/"
  }
  return at
}

async function linkAt(path: string): Promise<string | undefined> {
  try {
    return await readlink(path)
  } catch (error) {
    if (errnoOf(error) === undefined) throw error
    return undefined // it is something else, or not there, or not for us: the engine says which
  }
}

/** Where it really is on the host: what is not there yet is in a directory that is. */
async function realPath(path: string): Promise<string> {
  for (let there = path, missing = ""; ; ) {
    try {
      return trimmed(posix.normalize((await realpath(there)) + missing))
    } catch (error) {
      const errno = errnoOf(error)
      if (errno === "ELOOP") throw circle(path)
      if (errno === undefined || there === "/") throw error
      missing = `/${posix.basename(there)}${missing}`
      there = posix.dirname(there)
    }
  }
}

async function leadsToDocker(path: string, sockets: readonly string[]): Promise<boolean> {
  if (sockets.includes(path)) return true
  if (!path.endsWith(".sock")) return false
  const [real, ...ours] = await Promise.all([path, ...sockets].map((one) => realpath(one).catch(() => one)))
  return real !== undefined && ours.includes(real)
}

async function notShared(path: string, real: string, machine: string): Promise<SidecarError> {
  const found = await stat(real).then(
    (stats) => (stats.isDirectory() ? "directory" : "file"),
    () => undefined,
  )
  const means = real === path ? "" : ` (which is "${real}")`
  const directory = found === "file" ? posix.dirname(path) : path
  const command = `skep share add ${quoteIfNeeded(directory)}${machine === "default" ? "" : ` -m ${machine}`}`
  const next = found === undefined ? `mkdir -p ${quoteIfNeeded(path)} && ${command}` : command
  return new SidecarError(
    "bad-options",
    `Cannot mount "${path}"${means}: it is not shared with the machine "${machine}"${found === undefined ? " and not on the host either" : ""}`,
    { next: `${found === undefined ? "Make it and share it" : "Share it"}: ${next}` },
  )
}

function notShown(path: string, hidden: string): SidecarError {
  return new SidecarError(
    "bad-options",
    `Cannot mount "${path}": no machine sees "${hidden}", where Skep keeps its machines and their keys`,
    { next: "Mount another directory" },
  )
}

function circle(path: string): SidecarError {
  return new SidecarError("bad-options", `Cannot mount "${path}": its symbolic links lead in a circle`, {
    next: "Mount what they were to lead to",
  })
}

function namesIn(path: string): readonly string[] {
  return path.split("/").filter((name) => name !== "" && name !== ".")
}

function trimmed(path: string): string {
  return path.length > 1 && path.endsWith("/") ? path.slice(0, -1) : path
}
