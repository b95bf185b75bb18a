/**
 * The steps that a file is replaced in, each of them one or a few system calls: all of them wait, since the step that needs root does nothing else.
 *
 * @module
 */
import { createHash } from "node:crypto"
import {
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  fstatSync,
  fsyncSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  realpathSync,
  renameSync,
  rmSync,
  writeSync,
} from "node:fs"
import { SidecarError } from "@skep/contract"
import { waitForLock } from "@skep/runtime/lock"
import { exchange } from "./exchange.ts"
import { copyFlags, readFlags } from "./flags.ts"

/** What tells one state of a file from another, and what its successor gets. */
export interface FileFacts {
  readonly uid: number
  readonly gid: number
  readonly mode: number
  readonly isFile: boolean
  /** Device, inode, size, times: equal where nobody has written in between. */
  readonly state: string
}

export interface Content {
  readonly bytes: Uint8Array
  readonly facts: FileFacts
}

/** A file without its bytes. */
export interface Print {
  readonly facts: FileFacts
  readonly hash: string
}

export interface Disk {
  /** Without symbolic links. */
  resolve(path: string): string
  /** Throws "unsupported" for one of over `FILE_MAX` bytes. */
  read(path: string): Content
  /** Reads it too, but keeps nothing of it. */
  print(path: string): Print
  names(directory: string): readonly string[]
  /** A new file with the owner, mode and flags of another, synced. Fails with EEXIST. */
  create(path: string, bytes: Uint8Array, like: { readonly path: string; readonly facts: FileFacts }): void
  /** Both change places at once. False where the file system cannot. */
  exchange(one: string, other: string): boolean
  rename(from: string, to: string): void
  remove(path: string): void
  syncDirectory(path: string): void
  /** Throws what is in the way, such as a file that may not be changed. */
  checkFlags(path: string): void
  /** Held by one at a time; rejects with "busy" when that takes too long. */
  lock(path: string, signal: AbortSignal): Promise<Disposable>
}

/** Four times a file of 100,000 leases in the most talkative format. It is read as a whole: what is longer is no lease file, or one that nobody looks after. */
const FILE_MAX = 128 << 20
const MIB = 1 << 20
const PIECE = 1 << 16
const LOCK_MS = 10_000
const PERMISSIONS = 0o7777
const CREATE = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW
const PRIVATE = 0o600

export const nodeDisk: Disk = {
  resolve: (path) => realpathSync(path),
  read(path) {
    const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
    try {
      const facts = factsOf(fd)
      if (facts.isFile) refuseHuge(path, fstatSync(fd).size)
      // A pipe or a device may have no end.
      return { bytes: facts.isFile ? readFileSync(fd) : new Uint8Array(), facts }
    } finally {
      closeSync(fd)
    }
  },
  print(path) {
    const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
    try {
      const facts = factsOf(fd)
      const hash = createHash("sha256")
      const piece = Buffer.alloc(PIECE)
      for (let read = PIECE; facts.isFile && read > 0; ) {
        read = readSync(fd, piece)
        hash.update(piece.subarray(0, read))
      }
      return { facts, hash: hash.digest("hex") }
    } finally {
      closeSync(fd)
    }
  },
  names: (directory) => readdirSync(directory),
  create(path, bytes, like) {
    const fd = openSync(path, CREATE, PRIVATE)
    try {
      for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at)
      const { uid, gid, mode } = like.facts
      const own = fstatSync(fd)
      if (own.uid !== uid || own.gid !== gid) fchownSync(fd, uid, gid)
      fchmodSync(fd, mode & PERMISSIONS)
      fsyncSync(fd)
    } finally {
      closeSync(fd)
    }
    copyFlags(like.path, path)
  },
  exchange,
  rename: (from, to) => renameSync(from, to),
  remove: (path) => rmSync(path, { force: true }),
  syncDirectory(path) {
    const fd = openSync(path, constants.O_RDONLY)
    try {
      fsyncSync(fd)
    } finally {
      closeSync(fd)
    }
  },
  checkFlags: (path) => {
    readFlags(path)
  },
  lock: (path, signal) => waitForLock(path, LOCK_MS, signal),
}

function refuseHuge(path: string, size: number): void {
  if (size <= FILE_MAX) return
  throw new SidecarError(
    "unsupported",
    `Cannot read "${path}": it has ${Math.ceil(size / MIB)} MiB, and no lease file has over ${FILE_MAX / MIB}`,
    { next: "Look into the file: leases alone do not make it so long" },
  )
}

function factsOf(fd: number): FileFacts {
  const found = fstatSync(fd, { bigint: true })
  const { dev, ino, size, mtimeNs, uid, gid, mode } = found
  return {
    uid: Number(uid),
    gid: Number(gid),
    mode: Number(mode),
    isFile: found.isFile(),
    // Not ctime: that of a file changes as well when it is renamed.
    state: `${dev} ${ino} ${size} ${mtimeNs}`,
  }
}
