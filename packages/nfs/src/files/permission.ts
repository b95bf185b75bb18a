/**
 * What a caller may do, by owner and mode as the file system shows them to that caller. NFS servers decide: the kernel's client asks for reading and
 * running by ACCESS and leaves changes of directories to us (RFC 1813 §3.3.4, §4.4).
 *
 * @module
 */
import type { Attributes, Caller } from "@skep/vfs"

export const READ = 4
export const WRITE = 2
export const EXECUTE = 1

const TYPE = 0o170000
const DIRECTORY = 0o040000
const STICKY = 0o1000
const ANY_EXECUTE = 0o111
const ROOT = 0

/** A caller with its other groups. */
export interface Claimant extends Caller {
  readonly groups: readonly number[]
}

/** Which of READ, WRITE and EXECUTE a caller has. */
export function granted(attributes: Attributes, who: Claimant): number {
  const { mode } = attributes
  if (who.uid === ROOT) {
    const run = (mode & TYPE) === DIRECTORY || (mode & ANY_EXECUTE) !== 0
    return run ? READ | WRITE | EXECUTE : READ | WRITE
  }
  if (who.uid === attributes.uid) return (mode >>> 6) & 7
  return inGroup(who, attributes.gid) ? (mode >>> 3) & 7 : mode & 7
}

export function may(attributes: Attributes, who: Claimant, want: number): boolean {
  return (granted(attributes, who) & want) === want
}

export function owns(attributes: Attributes, who: Claimant): boolean {
  return who.uid === ROOT || who.uid === attributes.uid
}

export function inGroup(who: Claimant, gid: number): boolean {
  return who.gid === gid || who.groups.includes(gid)
}

/**
 * Reading the data of an open file. Whoever opened it may go on after its mode has changed, and what may be run may be read, since a client reads what it
 * runs: RFC 1813 §4.4.
 */
export function mayReadData(attributes: Attributes, who: Claimant): boolean {
  return who.uid === attributes.uid || (granted(attributes, who) & (READ | EXECUTE)) !== 0
}

export function mayWriteData(attributes: Attributes, who: Claimant): boolean {
  return who.uid === attributes.uid || may(attributes, who, WRITE)
}

/** Whether names in the directory are everybody's to remove who may write it. */
export function isSticky(directory: Attributes, who: Claimant): boolean {
  return (directory.mode & STICKY) !== 0 && !owns(directory, who)
}
