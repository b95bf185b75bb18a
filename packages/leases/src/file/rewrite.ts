/**
 * Replaces a file that another program writes as well, so that whoever looks finds the old one or the new one, whenever this one is killed, and nothing that the
 * other wrote meanwhile is lost.
 *
 * 1. What links lead to is read; it must be a regular file that may be changed.
 * 2. The new content goes beside it, with its owner, mode and flags, synced.
 * 3. The old content is kept beside it as a backup.
 * 4. Nobody has written meanwhile: else it starts over.
 * 5. Both change places at once. What comes out is what was read: else somebody wrote between 4 and 5, gets his file back, and it starts over.
 *
 * @module
 */
import { createHash } from "node:crypto"
import { basename, dirname, join } from "node:path"
import { SidecarError } from "@skep/contract"
import { backupName } from "./backup-name.ts"
import type { Content, Disk, Print } from "./disk.ts"
import { refusedFile } from "./refusal.ts"

export interface Rewritten {
  /** Where links lead to. */
  readonly path: string
  /** Undefined where nothing had to be changed. */
  readonly backup?: string
}

export interface RewriteOptions {
  readonly disk: Disk
  /** Milliseconds of the epoch. */
  readonly now: number
}

const TRIES = 20
const ANYBODY_WRITES = 0o222

/**
 * `change` is given the bytes and returns what is to be there instead, or undefined to leave it; it is asked again when the file has changed. Throws what it
 * throws, "busy", "not-found", "permission-denied", "disk-full", "unsupported".
 */
export function rewrite(
  path: string,
  change: (bytes: Uint8Array, path: string) => Uint8Array | undefined,
  { disk, now }: RewriteOptions,
): Rewritten {
  try {
    const real = disk.resolve(path)
    for (let attempt = 0; attempt < TRIES; attempt++) {
      const done = tryOnce(real, change, { disk, now })
      if (done !== undefined) return done
    }
  } catch (error) {
    throw refusedFile("change", path, error)
  }
  throw new SidecarError("busy", `Cannot change "${path}": another program writes it all the time`, {
    next: "Try again; if it stays so, stop the server first",
  })
}

function tryOnce(
  path: string,
  change: (bytes: Uint8Array, path: string) => Uint8Array | undefined,
  { disk, now }: RewriteOptions,
): Rewritten | undefined {
  const before = regular(disk, path)
  disk.checkFlags(path)
  const bytes = change(before.bytes, path)
  if (bytes === undefined) return { path }
  const like = { path, facts: before.facts }
  const temporary = join(dirname(path), `.${basename(path)}.skep-new`)
  let backup: string | undefined
  let isDone = false
  try {
    disk.remove(temporary) // of one that was killed
    disk.create(temporary, bytes, like)
    backup = keepBackup(disk, path, before, { bytes, now })
    const expected = { facts: before.facts, hash: digest(before.bytes) }
    if (!same(disk.print(path), expected)) return undefined
    if (!replaced(disk, { path, temporary }, expected, bytes)) return undefined
    isDone = true
    disk.syncDirectory(dirname(path))
    return { path, backup }
  } finally {
    disk.remove(temporary)
    if (!isDone && backup !== undefined) disk.remove(backup)
  }
}

/** Never in place of an older one. */
function keepBackup(
  disk: Disk,
  path: string,
  before: Content,
  { bytes, now }: { readonly bytes: Uint8Array; readonly now: number },
): string {
  for (let more = 0; ; more++) {
    const backup = join(dirname(path), backupName(basename(path), bytes, now + more * 1000))
    const half = `${backup}.new`
    try {
      disk.remove(half)
      if (disk.names(dirname(path)).includes(basename(backup))) continue
      disk.create(half, before.bytes, { path, facts: before.facts })
      disk.rename(half, backup)
      return backup
    } catch (error) {
      disk.remove(half)
      throw error
    }
  }
}

/** False when it was not what was read; then whoever wrote has his file. */
function replaced(
  disk: Disk,
  { path, temporary }: { readonly path: string; readonly temporary: string },
  before: Print,
  bytes: Uint8Array,
): boolean {
  if (!disk.exchange(temporary, path)) {
    disk.rename(temporary, path)
    return true
  }
  let out = disk.print(temporary)
  if (same(out, before)) return true
  // It goes back. What comes out then is what was put there before, or else somebody has written a still newer one, which goes back too.
  let there = digest(bytes)
  for (;;) {
    const expected = there
    there = out.hash
    disk.exchange(temporary, path)
    out = disk.print(temporary)
    if (out.hash === expected) return false
  }
}

function regular(disk: Disk, path: string): Content {
  const content = disk.read(path)
  if (!content.facts.isFile)
    throw new SidecarError("unsupported", `Cannot change "${path}": it is no regular file`)
  // A rename asks the directory only. Servers write their own files: one that nobody may write was made so on purpose.
  if ((content.facts.mode & ANYBODY_WRITES) !== 0) return content
  throw new SidecarError("permission-denied", `Cannot change "${path}": it is read-only, for everybody`, {
    next: "Let its owner write it (chmod u+w) if it is to be changed",
  })
}

function same(one: Print, other: Print): boolean {
  return one.facts.state === other.facts.state && one.hash === other.hash
}

function digest(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex")
}
