/**
 * Names of backups beside a lease file: `NAME.skep-backup-TIME-HASH`, where the hash is of what took its place. So `undo` knows whether anybody has written since.
 *
 * @module
 */
import { createHash } from "node:crypto"

export const BACKUP = ".skep-backup-"

const HASH_LENGTH = 12

export function backupName(name: string, successor: Uint8Array, now: number): string {
  const time = new Date(now).toISOString().replaceAll(/[-:]|\.\d+/g, "")
  return `${name}${BACKUP}${time}-${hashOf(successor)}`
}

export function hashOf(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex").slice(0, HASH_LENGTH)
}
