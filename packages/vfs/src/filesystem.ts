/**
 * What a file system is to the protocols that serve it (FUSE, NFS): the specification that every implementation here keeps and
 * `fileSystemSuite` (test/suite) checks. POSIX.1-2017 where nothing else is said.
 *
 * - **Results** are numbers: zero or more is success, below zero is `-errno` of Linux. Nothing throws but for a bug.
 * - **Nodes** stand for files of every kind. A `NodeId` is a whole number from 1 to 2^53 - 1, given out once and never again for another file,
 *   not even by a successor after a crash where the implementation keeps a journal. All names (hard links) of a file are one node.
 *   `lookup`, `create` and their like count one reference each; `forget` gives references back. A node without references may be dropped, and
 *   `find` brings it back by its durable handle.
 * - **Names** are bytes without NUL and `/`, 1 to 255 of them, in no encoding; `.` and `..` are refused with EINVAL but by `lookup`, where they are
 *   the directory and its parent, and at the root the root. No operation follows a symbolic link, ever: that is the client's part. Nothing
 *   outside the root is reachable by any sequence of calls, whatever others do to the tree meanwhile.
 * - **Handles** are open files and directories. They keep working when the file loses its last name, as long as their process lives.
 * - **Waiting.** Calls that may wait for a device or for others take a `Done`, which is called exactly once, in the same thread, perhaps before the call returns.
 *   Memory given with them belongs to the operation until then. All others answer at once from what the host's kernel keeps in memory, in the
 *   common case.
 * - **Callers** are whom the client claims to be. They decide what owners are shown and kept (see ownership), never what may be done on the host:
 *   that is what the host lets this process do.
 * - **Objects to fill** (`into`) are the caller's, reused from call to call, and left in any state by a failure.
 *
 * @module
 */

/** A file's identity in this file system. */
export type NodeId = number
/** An open file or directory. */
export type Handle = number
/** A name or a link's target as bytes. A view, valid during the call. */
export type Name = Uint8Array
/** Called once with what was moved (or 0), or with `-errno`. */
export type Done = (result: number) => void

/** Who asks, as the machine says. */
export interface Caller {
  uid: number
  gid: number
  pid: number
}

/** struct stat, to the nanosecond. 64-bit words that need not fit a number are in halves. */
export interface Attributes {
  inoLow: number
  inoHigh: number
  /** Which device of the host the file is on: equal numbers are hard-linkable. */
  device: number
  /** Type and permissions, `S_IF…` and all. */
  mode: number
  links: number
  uid: number
  gid: number
  /** As Linux encodes it in 32 bits (`new_encode_dev`). */
  rdev: number
  size: number
  /** In 512 bytes. */
  blocks: number
  blockSize: number
  accessSeconds: number
  accessNanoseconds: number
  modifySeconds: number
  modifyNanoseconds: number
  changeSeconds: number
  changeNanoseconds: number
}

/** What `setAttributes` changes; undefined is left as it is. */
export interface Changes {
  mode?: number | undefined
  uid?: number | undefined
  gid?: number | undefined
  size?: number | undefined
  access?: Timestamp | "now" | undefined
  modify?: Timestamp | "now" | undefined
}

export interface Timestamp {
  readonly seconds: number
  readonly nanoseconds: number
}

/** Pieces of memory by address: an array of `count` struct iovec at `address`, `bytes` in all. */
export interface Pieces {
  readonly address: number
  readonly count: number
  readonly bytes: number
}

/** struct statfs. */
export interface Usage {
  blockSize: number
  blocks: number
  freeBlocks: number
  availableBlocks: number
  files: number
  freeFiles: number
  nameMax: number
}

/** One entry of a directory. Returns false when there is no room for it: it is the first one next time. */
export type Visit = (entry: DirectoryEntry) => boolean

/** Reused from entry to entry; `name` is a view. */
export interface DirectoryEntry {
  name: Uint8Array
  /** Where to go on after this entry: stable as long as the directory exists, over restarts too. Never 0. */
  cookie: bigint
  /** `DT_…` of dirent.h; 0 where it is not known. */
  type: number
  inoLow: number
  inoHigh: number
}

/** A lock on a part of a file, fcntl(2). `end` is inclusive; 2^53 - 1 is the end of every file. */
export interface Lock {
  type: "read" | "write" | "none"
  start: number
  end: number
  /** Who holds it, as the client says. */
  pid: number
}

/** `rename`'s flags, renameat2(2). */
export const RENAME_NOREPLACE = 1
export const RENAME_EXCHANGE = 2

/** `setExtended`'s flags, setxattr(2). */
export const XATTR_CREATE = 1
export const XATTR_REPLACE = 2

/** Bytes of the longest durable handle: what fits into an NFSv3 handle beside 12 bytes of its server. */
export const DURABLE_MAX = 52

export interface FileSystem extends Disposable {
  readonly root: NodeId

  // Nodes.

  /** Returns the node of a name. ENOENT, ENOTDIR, ENAMETOOLONG, ESTALE. */
  lookup(parent: NodeId, name: Name, caller: Caller, into: Attributes): number
  /** Gives `count` references back. Of a node that is not known nothing happens. */
  forget(node: NodeId, count: number): void
  /** Writes a name of the node that outlives this process and every reference, of at most `DURABLE_MAX` bytes; returns its length. */
  durable(node: NodeId, into: Uint8Array): number
  /** Returns the node of a durable handle, with one reference more. ESTALE where the file is gone, EBADF for what is no handle. */
  find(durable: Uint8Array): number

  /** `handle` is -1 where there is none; one that is given saves a walk and works for files without a name. */
  getAttributes(node: NodeId, handle: Handle, caller: Caller, into: Attributes): number
  /** Changes what is not undefined, in the order owner, mode, size, times, and fills `into`. */
  setAttributes(node: NodeId, handle: Handle, changes: Changes, caller: Caller, into: Attributes): number
  /** Writes a link's target; returns its length. EINVAL for what is no link, ERANGE where `into` is too small. */
  readLink(node: NodeId, into: Uint8Array): number

  // Names. Each that makes something returns its node.

  makeNode(parent: NodeId, name: Name, node: NewNode, caller: Caller, into: Attributes): number
  makeDirectory(parent: NodeId, name: Name, mode: number, caller: Caller, into: Attributes): number
  makeSymlink(parent: NodeId, name: Name, target: Name, caller: Caller, into: Attributes): number
  link(node: NodeId, parent: NodeId, name: Name, caller: Caller, into: Attributes): number
  unlink(parent: NodeId, name: Name, caller: Caller): number
  removeDirectory(parent: NodeId, name: Name, caller: Caller): number
  rename(from: Place, to: Place, flags: number, caller: Caller): number

  // Files.

  /** `flags` are those of open(2) without O_CREAT, O_EXCL and O_NOFOLLOW. Returns a handle. A FIFO never waits here: EOPNOTSUPP. */
  open(node: NodeId, flags: number, caller: Caller): number
  /** Makes and opens a file, or opens the one that is there unless `flags` has O_EXCL. `opened` gets the handle; returns the node. */
  create(parent: NodeId, name: Name, how: HowToCreate, caller: Caller, into: Attributes): number
  /** Closes; what was written may not be on the device. Never fails. */
  release(handle: Handle): void
  /** Fewer bytes than asked only at the end of the file. */
  read(handle: Handle, offset: number, into: Pieces, done: Done): void
  /** All or an error; what was written before the error is counted instead of it. */
  write(handle: Handle, offset: number, from: Pieces, done: Done): void
  /** What was written is on the device when it is done. `dataOnly`: fdatasync. For directories too. */
  sync(handle: Handle, dataOnly: boolean, done: Done): void
  /** fallocate(2) with its modes. */
  allocate(handle: Handle, mode: number, offset: number, length: number, done: Done): void
  /** SEEK_DATA (3) and SEEK_HOLE (4) of lseek(2). Returns the offset. */
  seek(handle: Handle, offset: number, whence: number): number
  /** copy_file_range(2). */
  copy(from: Handle, fromOffset: number, to: Handle, toOffset: number, length: number, done: Done): void

  // Directories.

  openDirectory(node: NodeId, caller: Caller): number
  /** Shows entries from `cookie` on (0n is the beginning), with `.` and `..`. Returns 0. */
  readDirectory(handle: Handle, cookie: bigint, visit: Visit): number
  releaseDirectory(handle: Handle): void

  // Extended attributes: names are bytes; what the implementation keeps for itself is not shown and refused with EPERM.

  /** Returns the length. With an empty `into` nothing is written. ENODATA, ERANGE. */
  getExtended(node: NodeId, name: Name, into: Uint8Array): number
  setExtended(node: NodeId, name: Name, value: Uint8Array, flags: number): number
  /** Names, each ended by NUL. */
  listExtended(node: NodeId, into: Uint8Array): number
  removeExtended(node: NodeId, name: Name): number

  // Locks between clients and the host's own programs. `owner` is unique among the holders of the handle's file in its client.

  /** Fills `lock` with the first lock in its way, or sets its type to "none". */
  getLock(handle: Handle, owner: bigint, lock: Lock): number
  /** Never waits: EAGAIN where somebody else has it. */
  setLock(handle: Handle, owner: bigint, lock: Lock): number

  usage(node: NodeId, into: Usage): number
}

export interface Place {
  readonly parent: NodeId
  readonly name: Name
}

/** For mknod(2): a FIFO, a socket, a regular file; devices where the host lets us. */
export interface NewNode {
  readonly mode: number
  readonly rdev: number
}

export interface HowToCreate {
  /** open(2)'s; O_CREAT is understood. */
  readonly flags: number
  readonly mode: number
  /** Set by `create`. */
  opened: Handle
}

/** An object to fill. */
export function newAttributes(): Attributes {
  return {
    inoLow: 0,
    inoHigh: 0,
    device: 0,
    mode: 0,
    links: 0,
    uid: 0,
    gid: 0,
    rdev: 0,
    size: 0,
    blocks: 0,
    blockSize: 4096,
    accessSeconds: 0,
    accessNanoseconds: 0,
    modifySeconds: 0,
    modifyNanoseconds: 0,
    changeSeconds: 0,
    changeNanoseconds: 0,
  }
}

/** An object to fill. */
export function newUsage(): Usage {
  return {
    blockSize: 4096,
    blocks: 0,
    freeBlocks: 0,
    availableBlocks: 0,
    files: 0,
    freeFiles: 0,
    nameMax: 255,
  }
}
