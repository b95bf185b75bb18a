/**
 * What is kept about a file beside what the host keeps: its owner, and permissions where the host's must differ.
 *
 * As text `UID:GID:MODE:REAL`: owners in decimal, both or neither; permissions in octal, both or neither. `999:999::` has owners and the host's
 * permissions, `::0400:0600` permissions and no owners. REAL is what the host's permissions were when MODE was asked for: once they are others, somebody
 * has changed them on the host since, and MODE is past.
 *
 * @module
 */
import * as sys from "@skep/loop/sys"
import { PERMISSIONS, S_ISGID, S_ISUID, S_ISVTX } from "../memory/linux.ts"

export interface OwnerRecord {
  readonly owner: Owner | undefined
  readonly mode: VirtualMode | undefined
}

export interface Owner {
  readonly uid: number
  readonly gid: number
}

/** Permissions as asked for, and as they are on the host instead. */
export interface VirtualMode {
  readonly asked: number
  readonly real: number
}

/** Of a file about which nothing is kept. */
export const NO_RECORD: OwnerRecord = { owner: undefined, mode: undefined }

const PATTERN = /^(?:(\d{1,10}):(\d{1,10})|:):(?:([0-7]{1,4}):([0-7]{1,4})|:)$/
const ID_MAX = 2 ** 32 - 1
const OCTAL = 8
/** What this process needs to serve a file, and a directory. */
const FILE_NEEDS = 0o600
const DIRECTORY_NEEDS = 0o700

export function emit({ owner, mode }: OwnerRecord): string {
  const owners = owner === undefined ? ":" : `${owner.uid}:${owner.gid}`
  return `${owners}:${mode === undefined ? ":" : `${octal(mode.asked)}:${octal(mode.real)}`}`
}

/** Undefined for what is no record. */
export function parse(text: string): OwnerRecord | undefined {
  const match = PATTERN.exec(text)
  if (match === null) return undefined
  const [, uid, gid, asked, real] = match
  const owner = uid === undefined || gid === undefined ? undefined : { uid: Number(uid), gid: Number(gid) }
  if (owner !== undefined && (owner.uid > ID_MAX || owner.gid > ID_MAX)) return undefined
  const mode =
    asked === undefined || real === undefined
      ? undefined
      : { asked: Number.parseInt(asked, OCTAL), real: Number.parseInt(real, OCTAL) }
  return { owner, mode }
}

export function isEmpty({ owner, mode }: OwnerRecord): boolean {
  return owner === undefined && mode === undefined
}

/** The permissions without which this process cannot serve a file of a type. */
export function needs(type: number): number {
  return (type & sys.S_IFMT) === sys.S_IFDIR ? DIRECTORY_NEEDS : FILE_NEEDS
}

/** The permissions that the host gets for those that were asked for: enough for this process, and never another's identity. */
export function realMode(asked: number, type: number): number {
  const sticky = (type & sys.S_IFMT) === sys.S_IFDIR ? S_ISVTX : 0
  return (asked & (0o777 | sticky)) | needs(type)
}

/**
 * The mode that is shown for one of the host. Bits of the host that would lend an owner's identity count only with an owner who is known: for
 * a file that belongs to whoever looks they would lend anybody's.
 */
export function shownMode(hostMode: number, { owner, mode }: OwnerRecord): number {
  const type = hostMode & sys.S_IFMT
  const host = hostMode & PERMISSIONS
  if (type === sys.S_IFLNK) return hostMode
  if (mode !== undefined && mode.real === host) return type | mode.asked
  return owner === undefined && type === sys.S_IFREG ? type | (host & ~(S_ISUID | S_ISGID)) : hostMode
}

function octal(mode: number): string {
  return mode.toString(OCTAL).padStart(4, "0")
}
