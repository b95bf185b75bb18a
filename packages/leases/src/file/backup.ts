/**
 * Backups beside a lease file, and putting them back.
 *
 * @module
 */
import { basename, dirname, join } from "node:path"
import { SidecarError } from "@skep/contract"
import { BACKUP, hashOf } from "./backup-name.ts"
import type { Disk } from "./disk.ts"
import { refusedFile } from "./refusal.ts"
import { type Rewritten, rewrite } from "./rewrite.ts"

export interface Backup {
  readonly path: string
  /** When it was taken: `20261122T024530Z`. */
  readonly time: string
  /** Of what took its place. */
  readonly hash: string
}

/** The newest first; none where there is no such file. */
export function backupsOf(path: string, disk: Disk): readonly Backup[] {
  let real: string
  try {
    real = disk.resolve(path)
  } catch (error) {
    throw refusedFile("look for backups of", path, error)
  }
  const head = `${basename(real)}${BACKUP}`
  const found = disk.names(dirname(real)).flatMap((name) => {
    const rest = name.startsWith(head) ? /^(\d{8}T\d{6}Z)-([0-9a-f]+)$/.exec(name.slice(head.length)) : null
    return rest === null
      ? []
      : [{ path: join(dirname(real), name), time: rest[1] ?? "", hash: rest[2] ?? "" }]
  })
  return found.toSorted((one, other) => (one.time < other.time ? 1 : one.time > other.time ? -1 : 0))
}

export interface UndoPlan {
  readonly backup: Backup
  readonly before: Uint8Array
  readonly after: Uint8Array
  /** Somebody has written since: what he wrote would be lost. */
  readonly changed: boolean
}

/** What `undo` would do. Throws "not-found" where nothing was changed. */
export function planUndo(path: string, disk: Disk): UndoPlan {
  const backup = backupsOf(path, disk)[0]
  if (backup === undefined)
    throw new SidecarError("not-found", `Cannot undo anything in "${path}": there is no backup beside it`)
  try {
    const before = disk.read(disk.resolve(path)).bytes
    return { backup, before, after: disk.read(backup.path).bytes, changed: hashOf(before) !== backup.hash }
  } catch (error) {
    throw refusedFile("undo what was done to", path, error)
  }
}

/** Puts the newest backup back; it is gone then, and what it replaces is a backup. Throws "busy" where somebody has written since, unless forced. */
export function undo(
  path: string,
  { disk, now, force }: { readonly disk: Disk; readonly now: number; readonly force: boolean },
): Rewritten & { readonly restored: string } {
  const plan = planUndo(path, disk)
  const done = rewrite(
    path,
    (bytes) => {
      if (!force && hashOf(bytes) !== plan.backup.hash) throw writtenSince(path)
      return plan.after
    },
    { disk, now },
  )
  try {
    disk.remove(plan.backup.path)
  } catch (error) {
    throw refusedFile("remove", plan.backup.path, error)
  }
  return { ...done, restored: plan.backup.path }
}

export function writtenSince(path: string): SidecarError {
  return new SidecarError("busy", `Cannot undo what was done to "${path}": the server has written it since`, {
    next: "Look at the difference with --dry-run; --force puts the backup back all the same, without what was written since",
  })
}
