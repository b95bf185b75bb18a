/**
 * A change of the host on its way to be repeated in the guest. It has an id of 16 bits while it is there, and the guest's agent makes it as group
 * `ECHO_GROUP + id`: so the file system knows what each of its steps belongs to.
 *
 * @module
 */
import type { Caller, NodeId } from "@skep/vfs"
import type { Change } from "./change.ts"

/** Ids of groups that mark repeated changes, SHARES.md. Nobody else's request with one of these changes anything. */
export const ECHO_GROUP = 0x534b0000
export const ECHO_IDS = 0x10000

/** The words for what can be made. */
export type FileType = "file" | "directory" | "symlink" | "fifo" | "socket" | "block" | "character"

export interface EchoPlace {
  readonly parent: NodeId
  readonly name: Uint8Array
}

export interface Echo {
  readonly kind: Change["kind"]
  /** Whose share it is in: another's does not know it. */
  readonly owner: object
  readonly at: EchoPlace
  readonly to?: EchoPlace
  /** `DT_…` of what it is. */
  readonly type: number
  /** The file's node where it is known, else 0. */
  readonly node: NodeId
  /** For the agent: the words after the id. */
  readonly words: string
  /** Echoes of one key are one, while they wait. Undefined for those that must all be made. */
  readonly key?: string
  /** Whether more of the same is likely to follow at once, so that it is worth a moment's wait: a file that is not closed yet. */
  readonly unfinished?: boolean
  /** What there is to be done instead when the content of what is made changed as well: `words` of that. */
  readonly filled?: string
}

const S_IFMT = 0o170000
const TYPE_SHIFT = 12

/** `DT_…` of dirent.h from a mode. */
export function typeOf(mode: number): number {
  return (mode & S_IFMT) >>> TYPE_SHIFT
}

export const DT_FIFO = 1
export const DT_CHARACTER = 2
export const DT_DIRECTORY = 4
export const DT_BLOCK = 6
export const DT_FILE = 8
export const DT_SYMLINK = 10
export const DT_SOCKET = 12

const WORDS: Readonly<Record<number, FileType>> = {
  [DT_FIFO]: "fifo",
  [DT_CHARACTER]: "character",
  [DT_DIRECTORY]: "directory",
  [DT_BLOCK]: "block",
  [DT_FILE]: "file",
  [DT_SYMLINK]: "symlink",
  [DT_SOCKET]: "socket",
}

export function fileTypeOf(type: number): FileType {
  return WORDS[type] ?? "file"
}

/** The id of the echo that a request may belong to; -1 for one of anybody else. */
export function echoIdOf(caller: Caller): number {
  const id = caller.gid - ECHO_GROUP
  return id >= 0 && id < ECHO_IDS ? id : -1
}
