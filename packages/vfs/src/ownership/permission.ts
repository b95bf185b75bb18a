/**
 * What a caller may do with a file by the attributes that are shown: for servers whose clients do not decide that themselves. path_resolution(7), chmod(2),
 * chown(2).
 *
 * @module
 */
import * as sys from "@skep/loop/sys"
import type { Attributes, Changes } from "../filesystem.ts"

/** Who asks, with all groups. */
export interface Identity {
  readonly uid: number
  readonly gid: number
  readonly groups?: readonly number[]
}

export const MAY_READ = 4
export const MAY_WRITE = 2
export const MAY_EXECUTE = 1

const ROOT = 0
const ANY_EXECUTE = 0o111
const OWNER_SHIFT = 6
const GROUP_SHIFT = 3

/** Whether all of `want` (`MAY_…`) is allowed. */
export function allowed(attributes: Readonly<Attributes>, who: Identity, want: number): boolean {
  if (who.uid === ROOT) {
    const executable = (attributes.mode & sys.S_IFMT) === sys.S_IFDIR || (attributes.mode & ANY_EXECUTE) !== 0
    return (want & MAY_EXECUTE) === 0 || executable
  }
  return (permissionsOf(attributes, who) & want) === want
}

/** What keeps a caller from changing attributes, as `-errno`; 0 where nothing does. */
export function refusedChange(attributes: Readonly<Attributes>, who: Identity, changes: Changes): number {
  if (who.uid === ROOT) return 0
  return refusedOwner(attributes, who, changes) || refusedContent(attributes, who, changes)
}

function refusedOwner(attributes: Readonly<Attributes>, who: Identity, { uid, gid, mode }: Changes): number {
  const owns = attributes.uid === who.uid
  if (mode !== undefined && !owns) return -sys.EPERM
  // chown(2): a file is given away by root only; its owner may give it to a group that he is in.
  if (uid !== undefined && (!owns || uid !== attributes.uid)) return -sys.EPERM
  const joins = gid !== undefined && gid !== attributes.gid && !isIn(who, gid)
  return gid !== undefined && (!owns || joins) ? -sys.EPERM : 0
}

function refusedContent(attributes: Readonly<Attributes>, who: Identity, changes: Changes): number {
  const { size, access, modify } = changes
  const owns = attributes.uid === who.uid
  const writes = allowed(attributes, who, MAY_WRITE)
  if (!owns && (isTime(access) || isTime(modify))) return -sys.EPERM
  if (size !== undefined && !writes) return -sys.EACCES
  // utimensat(2): whoever may write may say "now".
  return !owns && !writes && (access === "now" || modify === "now") ? -sys.EACCES : 0
}

function permissionsOf({ mode, uid, gid }: Readonly<Attributes>, who: Identity): number {
  if (who.uid === uid) return mode >> OWNER_SHIFT
  return isIn(who, gid) ? mode >> GROUP_SHIFT : mode
}

function isIn({ gid, groups }: Identity, group: number): boolean {
  return gid === group || (groups?.includes(group) ?? false)
}

function isTime(time: Changes["access"]): boolean {
  return typeof time === "object"
}
