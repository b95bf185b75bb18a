/**
 * What serves one share: the files of the host, and the layers over them that its rule asks for.
 *
 * ```
 *  tree ─► events (swallows what the guest repeats) ─► hidden ─► ownership ─► passthrough + journal
 * ```
 *
 * @module
 */
import { createHash } from "node:crypto"
import { join } from "node:path"
import type { Scope, SyscallPool } from "@skep/loop"
import { type FileSystem, type ImportedOwners, openPassthrough, withOwnership } from "@skep/vfs"
import { type EchoQueue, type FileEvent, ShareEvents } from "../events/index.ts"
import type { SharesOptions } from "../options.ts"
import type { Entry } from "../rules/book.ts"
import { type Hidden, withHidden } from "../tree/hidden.ts"
import type { OwnerSteps } from "./owner-exports.ts"

const ROOT_USER = 0
const KEY_DIGITS = 16

export interface ShareParts {
  readonly entry: Entry
  /** Where the file system keeps what has to outlive this process. */
  readonly journal: string
  readonly hidden: Hidden
  readonly options: SharesOptions
  readonly scope: Scope
  readonly pool: SyscallPool | undefined
  /** What the guest is told of changes. */
  readonly queue: EchoQueue
  readonly onEvent: (event: FileEvent) => void
  /** Told in a sentence what is not as it should be. */
  readonly report: (sentence: string) => void
}

export interface OpenedShare {
  readonly fileSystem: FileSystem
  /** Undefined where changes of the host cannot be watched. */
  readonly events: ShareEvents | undefined
  readonly counters: () => Readonly<Record<string, number>>
  /** Undefined where owners are the host's own. */
  readonly owners: ShareOwnership | undefined
}

/** Records of owners that the share has beside its files. */
export interface ShareOwnership {
  readonly export: () => OwnerSteps
  readonly import: (lines: readonly string[]) => ImportedOwners
}

/** Throws the `SystemError` of a directory that cannot be opened. */
export function openShare(parts: ShareParts): OpenedShare {
  const { entry, journal, options, pool, report } = parts
  const { path, readOnly, ownership } = entry.rule
  const files = openPassthrough({
    path,
    readOnly,
    journal,
    maxDescriptors: options.maxDescriptors,
    pool,
    giveToCaller: ownership === "real" && process.getuid?.() === ROOT_USER,
  })
  if (files.notice !== undefined) report(files.notice)
  const database = join(options.stateDirectory, `owners-${keyOf(path)}`)
  const owned = ownership === "real" ? undefined : withOwnership(files, { database, report })
  const shown = withHidden(owned ?? files, parts.hidden)
  const events = watch(parts, shown)
  return {
    fileSystem: events?.fileSystem ?? shown,
    events,
    counters: () => ({ ...files.counts(), ...events?.counters }),
    // Below the events, so that the guest is told of it as of every change of the host.
    owners: owned && {
      export: () => owned.exportOwnersInSteps(),
      import: (lines) => owned.importOwners(lines, shown),
    },
  }
}

/** A host whose inotify is used up serves its files all the same. */
function watch(
  { entry, journal, scope, queue, onEvent, report }: ShareParts,
  inner: FileSystem,
): ShareEvents | undefined {
  const { path } = entry.rule
  try {
    const name = String(entry.number)
    const state = `${journal}.directories`
    return new ShareEvents({ inner, scope, path, name, queue, nowMs: Date.now(), state, onEvent })
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    report(`Changes of "${path}" on the host are no events in the machine: ${why}`)
    return undefined
  }
}

/** Of a directory, whichever share of the machine it is. */
function keyOf(path: string): string {
  return createHash("sha256").update(path).digest("hex").slice(0, KEY_DIGITS)
}
