/**
 * Reading and writing open files in memory. Everything here answers at once with bytes moved or `-errno`.
 *
 * @module
 */
import * as sys from "@skep/loop/sys"
import type { Handle, Pieces } from "../filesystem.ts"
import { type FileInode, isDirectory, isFile } from "./inode.ts"
import { eachPiece } from "./pieces.ts"
import { SIZE_MAX } from "./sparse-data.ts"
import type { OpenFile, Tree } from "./tree.ts"

type Opened = OpenFile & { readonly inode: FileInode }

export function read(tree: Tree, handle: Handle, offset: number, into: Pieces): number {
  const open = opened(tree, handle, sys.O_RDONLY)
  if (typeof open === "number") return open
  if (offset < 0) return -sys.EINVAL
  const { data } = open.inode.content
  let at = offset
  eachPiece(into, (address, length) => {
    const part = Math.max(Math.min(length, data.size - at), 0)
    data.read(at, part, address)
    at += part
    return part === length
  })
  tree.touchAccess(open.inode)
  return at - offset
}

export function write(tree: Tree, handle: Handle, offset: number, from: Pieces): number {
  const open = opened(tree, handle, sys.O_WRONLY)
  if (typeof open === "number") return open
  if (offset < 0) return -sys.EINVAL
  if (from.bytes === 0) return 0
  const { data } = open.inode.content
  const start = (open.flags & sys.O_APPEND) !== 0 ? data.size : offset
  if (start >= SIZE_MAX) return -sys.EFBIG
  let at = start
  eachPiece(from, (address, length) => {
    const fits = Math.min(length, SIZE_MAX - at)
    const done = data.write(at, fits, address)
    at += done
    return done === length
  })
  if (at === start) return -sys.ENOSPC
  tree.touch(open.inode, true)
  return at - start
}

export function sync(tree: Tree, handle: Handle): number {
  const open = tree.handle(handle)
  return typeof open === "number" ? open : 0
}

export interface Range {
  readonly offset: number
  readonly length: number
}

/** Modes: none, KEEP_SIZE, PUNCH_HOLE, ZERO_RANGE. The others move data about, which no file system here needs. */
export function allocate(tree: Tree, handle: Handle, mode: number, { offset, length }: Range): number {
  const open = opened(tree, handle, sys.O_WRONLY)
  if (typeof open === "number") return open
  if (offset < 0 || length <= 0) return -sys.EINVAL
  if (offset + length > SIZE_MAX) return -sys.EFBIG
  const { data } = open.inode.content
  const keeps = (mode & sys.FALLOC_FL_KEEP_SIZE) !== 0
  switch (mode & ~sys.FALLOC_FL_KEEP_SIZE) {
    case 0:
      if (!data.reserve(offset, offset + length)) return -sys.ENOSPC
      break
    case sys.FALLOC_FL_PUNCH_HOLE:
      if (!keeps) return -sys.EOPNOTSUPP
      data.punch(offset, offset + length)
      break
    case sys.FALLOC_FL_ZERO_RANGE:
      data.punch(offset, offset + length)
      if (!data.reserve(offset, offset + length)) return -sys.ENOSPC
      break
    default:
      return -sys.EOPNOTSUPP
  }
  if (!keeps && offset + length > data.size) data.resize(offset + length)
  tree.touch(open.inode, true)
  return 0
}

export function seek(tree: Tree, handle: Handle, offset: number, whence: number): number {
  const open = tree.handle(handle)
  if (typeof open === "number") return open
  if ((whence !== sys.SEEK_DATA && whence !== sys.SEEK_HOLE) || !isFile(open.inode)) return -sys.EINVAL
  const { data } = open.inode.content
  if (offset < 0 || offset >= data.size) return -sys.ENXIO
  return whence === sys.SEEK_HOLE ? data.nextHole(offset) : (data.nextData(offset) ?? -sys.ENXIO)
}

export interface CopyEnd {
  readonly handle: Handle
  readonly offset: number
}

export function copy(tree: Tree, from: CopyEnd, to: CopyEnd, length: number): number {
  const source = opened(tree, from.handle, sys.O_RDONLY)
  if (typeof source === "number") return source
  const target = opened(tree, to.handle, sys.O_WRONLY)
  if (typeof target === "number") return target
  // copy_file_range(2): there is no place to append at.
  if ((target.flags & sys.O_APPEND) !== 0) return -sys.EBADF
  if (from.offset < 0 || to.offset < 0 || length < 0) return -sys.EINVAL
  const apart = Math.abs(from.offset - to.offset)
  if (source.inode === target.inode && apart < length) return -sys.EINVAL
  if (to.offset >= SIZE_MAX) return -sys.EFBIG
  const bytes = Math.min(length, source.inode.content.data.size - from.offset, SIZE_MAX - to.offset)
  if (bytes <= 0) return 0
  const done = target.inode.content.data.copyFrom(source.inode.content.data, from.offset, to.offset, bytes)
  if (done === 0) return -sys.ENOSPC
  tree.touchAccess(source.inode)
  tree.touch(target.inode, true)
  return done
}

/** A file that is open for what is wanted: O_RDONLY or O_WRONLY. */
export function opened(tree: Tree, handle: Handle, wanted: number): Opened | number {
  const open = tree.handle(handle)
  if (typeof open === "number") return open
  const access = open.flags & sys.O_ACCMODE
  if (access !== sys.O_RDWR && access !== wanted) return -sys.EBADF
  const { inode } = open
  if (isDirectory(inode)) return -sys.EISDIR
  return isFile(inode) ? { flags: open.flags, inode } : -sys.EINVAL
}
