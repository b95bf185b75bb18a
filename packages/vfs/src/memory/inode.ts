/**
 * A file of any kind in memory.
 *
 * @module
 */
import * as sys from "@skep/loop/sys"
import type { Attributes, Timestamp } from "../filesystem.ts"
import type { Entries } from "./entries.ts"
import type { RangeLocks } from "./range-locks.ts"
import { PAGE, type SparseData } from "./sparse-data.ts"

export type Content =
  | { readonly kind: "file"; readonly data: SparseData; readonly locks: RangeLocks }
  /** `parent` is undefined at the root, and `dead` once it has been removed. */
  | { readonly kind: "directory"; readonly entries: Entries; parent: Inode | undefined; dead: boolean }
  | { readonly kind: "link"; readonly target: Uint8Array }
  /** A FIFO, a socket, a device: what it does happens in the client. */
  | { readonly kind: "special" }

export interface Inode {
  readonly ino: number
  /** What tells it from another that had its number: for durable handles. */
  readonly generation: number
  readonly content: Content
  readonly rdev: number
  mode: number
  links: number
  uid: number
  gid: number
  access: Timestamp
  modify: Timestamp
  change: Timestamp
  readonly extended: Map<string, Uint8Array>
  /** Nodes and handles that keep it although it may have no name. */
  holders: number
}

export type DirectoryInode = Inode & { readonly content: { readonly kind: "directory" } }
export type FileInode = Inode & { readonly content: { readonly kind: "file" } }

export function isDirectory(inode: Inode): inode is DirectoryInode {
  return inode.content.kind === "directory"
}

export function isFile(inode: Inode): inode is FileInode {
  return inode.content.kind === "file"
}

export function setPermissions(inode: Inode, permissions: number): void {
  inode.mode = (inode.mode & sys.S_IFMT) | permissions
}

const SECTOR = 512
const WORD = 2 ** 32

/** Fills `into`. */
export function describe(inode: Inode, device: number, into: Attributes): void {
  into.inoLow = inode.ino >>> 0
  into.inoHigh = Math.floor(inode.ino / WORD)
  into.device = device
  into.mode = inode.mode
  into.links = inode.links
  into.uid = inode.uid
  into.gid = inode.gid
  into.rdev = inode.rdev
  into.size = sizeOf(inode)
  into.blocks = (isFile(inode) ? inode.content.data.pages : 0) * (PAGE / SECTOR)
  into.blockSize = PAGE
  into.accessSeconds = inode.access.seconds
  into.accessNanoseconds = inode.access.nanoseconds
  into.modifySeconds = inode.modify.seconds
  into.modifyNanoseconds = inode.modify.nanoseconds
  into.changeSeconds = inode.change.seconds
  into.changeNanoseconds = inode.change.nanoseconds
}

function sizeOf({ content }: Inode): number {
  switch (content.kind) {
    case "file":
      return content.data.size
    case "directory":
      return PAGE
    case "link":
      return content.target.length
    case "special":
      return 0
  }
}
