/**
 * What there is: the lease files of this host, or of some given paths, read and judged.
 *
 * @module
 */
import type { LeasePool } from "@skep/contract"
import { SidecarError } from "@skep/contract"
import type { Disk } from "../file/disk.ts"
import { refusedFile } from "../file/refusal.ts"
import type { LeaseFormat } from "../format.ts"
import { formatNamed, formatOf } from "../formats/index.ts"
import type { Document, Network } from "../model.ts"
import { shown } from "../model.ts"
import { Host, type HostOptions } from "../owners/host.ts"
import { type KnownMachines, readMachines } from "../owners/machines.ts"
import { type Facts, type Judged, judge } from "../plan/judge.ts"
import { poolsOf } from "../plan/pools.ts"
import { placesOn } from "../servers/servers.ts"
import type { Neighbours } from "./neighbours.ts"

export interface SurveyOptions {
  /** Paths of lease files; those that servers of this host have where nothing is said. */
  readonly paths: readonly string[]
  /** The name of their format, where the bytes do not say it. */
  readonly format?: string
  readonly host: HostOptions
  readonly disk: Disk
  readonly now: () => number
  readonly neighbours: Neighbours
  /** At which addresses it is asked whether somebody is there; without it the kernel is only asked what it knows already. */
  readonly ask?: (files: readonly Surveyed[]) => readonly string[]
  readonly signal: AbortSignal
}

/** One file with everything that is said of it. */
export interface Surveyed {
  readonly document: Document
  readonly format: LeaseFormat
  readonly judged: readonly Judged[]
}

export interface Survey {
  readonly files: readonly Surveyed[]
  readonly pools: readonly LeasePool[]
  readonly known: KnownMachines
  /** Files that are there and could not be read, each with its reason. */
  readonly refused: readonly SidecarError[]
}

/** Reads and judges. Throws what is wrong with a path that was named; of those that were found it is in `refused`. */
export async function survey(options: SurveyOptions): Promise<Survey> {
  const known = readMachines(options.host)
  const places = placesOf(options)
  const refused: SidecarError[] = []
  const read = places.flatMap(({ path, isSettings }) => {
    try {
      return [{ isSettings, ...readLeases(path, options.disk, options.format) }]
    } catch (error) {
      if (!(error instanceof SidecarError) || options.paths.length > 0) throw error
      refused.push(error)
      return []
    }
  })
  const now = options.now()
  const unasked: Facts = {
    now,
    neighbours: undefined,
    machines: known.machines,
    unreadTools: unreadTools(known),
  }
  const { ask, neighbours, signal } = options
  // What the kernel has known for a while says nothing of those who are asked now.
  const first = ask === undefined ? undefined : judgedBy(read, unasked)
  const asked = first === undefined ? [] : (ask?.(first) ?? [])
  const answers = asked.length > 0 ? await neighbours.asked(asked, signal) : await neighbours.known(signal)
  const all =
    first !== undefined && (answers === undefined || answers.size === 0)
      ? first
      : judgedBy(read, { ...unasked, neighbours: answers })
  const networks = all.flatMap(({ document }): readonly Network[] => document.networks)
  const pools = poolsOf(
    all.map(({ document }) => document.leases),
    networks,
    now,
  )
  const files = all.filter(({ isSettings, document }) => !isSettings || document.leases.length > 0)
  return { files, pools, known, refused }
}

interface Read extends Omit<Surveyed, "judged"> {
  readonly isSettings: boolean
}

function judgedBy(read: readonly Read[], facts: Facts): readonly (Read & Surveyed)[] {
  return read.map((each) => ({ ...each, judged: judge(each.document, facts) }))
}

function placesOf({ paths, host }: SurveyOptions): ReturnType<typeof placesOn> {
  if (paths.length > 0) return paths.map((path) => ({ path, isSettings: false }))
  return placesOn(new Host(host))
}

/** Throws "not-found", "permission-denied", "unsupported" for what is no lease file, "bad-options" for a format that nobody knows. */
export function readLeases(
  path: string,
  disk: Disk,
  named?: string,
): { readonly document: Document; readonly format: LeaseFormat } {
  let bytes: Uint8Array
  try {
    const content = disk.read(path)
    if (!content.facts.isFile) throw notLeases(path, "it is no regular file")
    bytes = content.bytes
  } catch (error) {
    throw refusedFile("read", path, error)
  }
  const format = named === undefined ? formatOf(bytes, path) : formatNamed(named)
  if (format === undefined && named !== undefined)
    throw new SidecarError("bad-options", `Cannot read "${path}" as "${named}": there is no such format`)
  if (format === undefined) throw notLeases(path, "it is of no known format")
  return { document: format.parse(bytes, path), format }
}

function notLeases(path: string, why: string): SidecarError {
  return new SidecarError("unsupported", `Cannot read leases from "${shown(path)}": ${why}`, {
    next: "Name a lease file of bootpd, dnsmasq, libvirt, ISC dhcpd, systemd-networkd or skep-network; --format says which",
  })
}

export function unreadTools({ unread }: KnownMachines): readonly string[] {
  return [...new Set(unread.map(({ tool }) => tool))]
}
