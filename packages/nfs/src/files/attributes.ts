/**
 * Attributes on the wire, RFC 1813 §2.6: fattr3, post_op_attr, wcc_data, sattr3.
 *
 * ```
 *  fattr3  type mode links uid gid │ size u64 │ used u64 │ rdev 2 │ fsid u64 │ fileid u64 │ atime 2 │ mtime 2 │ ctime 2   (84 bytes)
 *  wcc     follows │ size u64 │ mtime 2 │ ctime 2      then post_op_attr
 * ```
 *
 * @module
 */
import type { Attributes, Changes } from "@skep/vfs"
import type { Cursor } from "../xdr/cursor.ts"
import type { Writer } from "../xdr/writer.ts"
import type { Volume } from "./volume.ts"

export const FATTR = 84
export const POST_OP: number = 4 + FATTR
export const WCC: number = 4 + 24 + POST_OP
/** post_op_fh3 of the longest handle. */
export const POST_OP_HANDLE: number = 4 + 4 + 64

const TYPE = 0o170000
const PERMISSIONS = 0o7777
const BLOCK = 512
/** ftype3 by the upper four bits of the mode: FIFO, character device, directory, block device, regular, link, socket. */
const TYPES = [0, 7, 4, 0, 2, 0, 3, 0, 1, 0, 5, 0, 6, 0, 0, 0]
const MIX = 0x9e3779b1

/** What `sattr3` says of times. */
const TO_SERVER = 1
const TO_CLIENT = 2

export const DIRECTORY = 0o040000
export const REGULAR = 0o100000
export const LINK = 0o120000

export function isDirectory(attributes: Attributes): boolean {
  return (attributes.mode & TYPE) === DIRECTORY
}

export function isRegular(attributes: Attributes): boolean {
  return (attributes.mode & TYPE) === REGULAR
}

export function emit(out: Writer, volume: Volume, a: Attributes): void {
  out.u32(TYPES[(a.mode & TYPE) >>> 12] ?? 0)
  out.u32(a.mode & PERMISSIONS)
  out.u32(a.links)
  out.u32(a.uid)
  out.u32(a.gid)
  out.u64(a.size)
  out.u64(a.blocks * BLOCK)
  out.u32((a.rdev >>> 8) & 0xfff)
  out.u32((a.rdev & 0xff) | ((a.rdev >>> 12) & 0xfff00))
  out.pair(0, volume.id)
  fileId(out, volume, a.device, a)
  out.u32(a.accessSeconds)
  out.u32(a.accessNanoseconds)
  out.u32(a.modifySeconds)
  out.u32(a.modifyNanoseconds)
  out.u32(a.changeSeconds)
  out.u32(a.changeNanoseconds)
}

/**
 * Inode numbers are of a device, file ids of a volume, which is one device to clients: where a tree spans several they are told apart by a part of
 * the upper half that inodes leave empty.
 */
export function fileId(
  out: Writer,
  volume: Volume,
  device: number,
  of: { readonly inoLow: number; readonly inoHigh: number },
): void {
  const other = device === volume.device ? 0 : Math.imul(device + 1, MIX)
  out.pair((of.inoHigh ^ other) >>> 0, of.inoLow)
}

export function post(out: Writer, volume: Volume | undefined, attributes: Attributes | undefined): void {
  if (volume === undefined || attributes === undefined) {
    out.u32(0)
    return
  }
  out.u32(1)
  emit(out, volume, attributes)
}

/** What a client compares with what it knows, to see whether it was alone. */
export interface Before {
  readonly size: number
  readonly modifySeconds: number
  readonly modifyNanoseconds: number
  readonly changeSeconds: number
  readonly changeNanoseconds: number
}

export function wcc(
  out: Writer,
  volume: Volume | undefined,
  before: Before | undefined,
  after: Attributes | undefined,
): void {
  if (before === undefined) out.u32(0)
  else {
    out.u32(1)
    out.u64(before.size)
    out.u32(before.modifySeconds)
    out.u32(before.modifyNanoseconds)
    out.u32(before.changeSeconds)
    out.u32(before.changeNanoseconds)
  }
  post(out, volume, after)
}

/** Reads sattr3 into an object that is used again. */
export function parseChanges(args: Cursor, into: Changes): void {
  into.mode = args.boolean() ? args.u32() & PERMISSIONS : undefined
  into.uid = args.boolean() ? args.u32() : undefined
  into.gid = args.boolean() ? args.u32() : undefined
  into.size = args.boolean() ? args.u64() : undefined
  into.access = parseTime(args)
  into.modify = parseTime(args)
}

function parseTime(args: Cursor): Changes["access"] {
  const how = args.u32()
  if (how === TO_SERVER) return "now"
  if (how === TO_CLIENT) return { seconds: args.u32(), nanoseconds: args.u32() }
  if (how !== 0) args.bad = true
  return undefined
}

/** Whether nothing is to be changed. */
export function isEmpty(changes: Changes): boolean {
  return (
    changes.mode === undefined &&
    changes.uid === undefined &&
    changes.gid === undefined &&
    changes.size === undefined &&
    changes.access === undefined &&
    changes.modify === undefined
  )
}
