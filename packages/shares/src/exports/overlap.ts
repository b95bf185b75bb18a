/**
 * Exports that are in each other's way, each told in a sentence: whose it is, and in which line.
 *
 * macOS has one line for a file system and a client: a second one that meets the same clients is refused by nfsd with "conflicts with existing export".
 * Linux only knows one export for a path and a client; one inside another is fine.
 *
 * @module
 */
import { type Client, clientsMeet, parseClient } from "./clients.ts"
import type { Entry } from "./entry.ts"
import type { ExportPlatform, ExportRequest } from "./request.ts"

export interface Overlap {
  /** The directory that is wanted. */
  readonly path: string
  /** The file and the line that is in the way. */
  readonly file: string
  readonly line: number
  readonly sentence: string
}

export interface Existing {
  readonly file: string
  readonly entries: readonly Entry[]
}

/** Which file system a directory is on, where that can be told: two equal ones are the same. */
export type DeviceOf = (path: string) => number | undefined

export interface OverlapOptions {
  readonly platform: ExportPlatform
  readonly deviceOf: DeviceOf
}

/** What of others is in the way of the request. Entries of the machine itself must not be among `existing`. */
export function overlapsWith(
  request: ExportRequest,
  existing: readonly Existing[],
  options: OverlapOptions,
): readonly Overlap[] {
  const client = parseClient(request.client)
  return request.directories.flatMap(({ path }) =>
    existing.flatMap(({ file, entries }) =>
      entries
        .filter((entry) => entry.clients.some((other) => clientsMeet(client, other)))
        .flatMap((entry) => {
          const theirs = entry.paths.find((other) => meets(path, other, options))
          if (theirs === undefined) return []
          return [{ path, file, line: entry.line, sentence: sentence({ path, theirs, file, entry, client }) }]
        }),
    ),
  )
}

function meets(path: string, theirs: string, { platform, deviceOf }: OverlapOptions): boolean {
  if (path === theirs) return true
  if (platform === "linux") return false
  if (contains(path, theirs) || contains(theirs, path)) return deviceOf(path) === deviceOf(theirs)
  const device = deviceOf(path)
  return device !== undefined && device === deviceOf(theirs)
}

/** By whole names: /foo does not contain /foobar. */
export function contains(outer: string, inner: string): boolean {
  return inner === outer || inner.startsWith(outer === "/" ? "/" : `${outer}/`)
}

interface Found {
  readonly path: string
  readonly theirs: string
  readonly file: string
  readonly entry: Entry
  readonly client: Client
}

function sentence({ path, theirs, file, entry }: Found): string {
  const whose = `the export of "${theirs}" by ${entry.owner} (${file}, line ${entry.line})`
  if (path === theirs) return `"${path}" is exported to the same clients already: ${whose}`
  if (contains(theirs, path)) return `"${path}" lies inside ${whose}, which meets the same clients`
  if (contains(path, theirs)) return `"${path}" contains ${whose}, which meets the same clients`
  return `"${path}" is on the same disk as ${whose}: macOS takes one line for a disk and its clients`
}
