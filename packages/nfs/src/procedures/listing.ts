/**
 * READDIR and READDIRPLUS, RFC 1813 §3.3.16 and §3.3.17.
 *
 * ```
 *  OK │ directory's attributes │ verifier │ 1 │ entry │ 1 │ entry │ … │ 0 │ eof
 *  entry       fileid u64 │ name │ cookie u64
 *  entry plus  the same │ 1 │ fattr3 │ 1 │ handle
 * ```
 *
 * Cookies are the file system's own, which stay good as long as the directory does: so there is one verifier for ever, and one that is not ours comes from
 * somebody else's cookies.
 *
 * @module
 */
import { type DirectoryEntry, newAttributes } from "@skep/vfs"
import * as attributes from "../files/attributes.ts"
import { type Claimant, EXECUTE, may, READ } from "../files/permission.ts"
import type { Volume } from "../files/volume.ts"
import type { Reply } from "../rpc/reply.ts"
import * as status from "../status.ts"
import type { Cursor } from "../xdr/cursor.ts"
import { DIRECTORY_MAX } from "./limits.ts"
import { type Call, garbage, type Procedure } from "./procedure.ts"

const VERIFIER = 0n
/** Status, attributes, verifier; and what ends the list. */
const HEAD = 4 + attributes.POST_OP + 8
const TAIL = 8
/** Beside the name: 1, fileid, length, cookie. */
const ENTRY = 4 + 8 + 4 + 8
const PLUS = attributes.POST_OP + attributes.POST_OP_HANDLE

const directory = newAttributes()
const child = newAttributes()

interface Limits {
  readonly plus: boolean
  /** Of all the results. */
  readonly bytes: number
  /** Of fileids, names and cookies alone. */
  readonly names: number
}

export const readdir: Procedure = {
  name: "READDIR",
  room: roomOf(false),
  run: (call, reply) => list(call, reply, false),
}

export const readdirplus: Procedure = {
  name: "READDIRPLUS",
  room: roomOf(true),
  run: (call, reply) => list(call, reply, true),
}

function roomOf(plus: boolean): (args: Cursor) => number {
  return (args) => {
    args.handle()
    args.u64Exact()
    args.u64Exact()
    if (plus) args.u32()
    return HEAD + TAIL + Math.min(args.u32(), DIRECTORY_MAX)
  }
}

function list(call: Call, reply: Reply, plus: boolean): undefined {
  const { args, caller } = call
  const { out } = reply
  const handle = args.handle()
  const cookie = args.u64Exact()
  const verifier = args.u64Exact()
  const names = plus ? args.u32() : DIRECTORY_MAX
  const bytes = Math.min(args.u32(), DIRECTORY_MAX)
  if (args.bad) return garbage(reply)
  const node = call.node(handle)
  const { volume } = call
  if (node < 0 || volume === undefined) {
    out.u32(-node)
    attributes.post(out, undefined, undefined)
    return undefined
  }
  const known = volume.look(node, -1, caller, directory)
  const code = known < 0 ? status.of(known) : readable(caller, cookie, verifier)
  const listed =
    code === status.OK ? entries(call, reply, { volume, node, cookie, limits: { plus, bytes, names } }) : code
  if (listed === status.OK) return undefined
  reply.rewind()
  out.u32(listed)
  attributes.post(out, volume, known < 0 ? undefined : directory)
  return undefined
}

/** Whether the directory at hand may be listed from there on. */
function readable(caller: Claimant, cookie: bigint, verifier: bigint): number {
  if (!attributes.isDirectory(directory)) return status.NOTDIR
  if (!may(directory, caller, READ)) return status.ACCES
  return cookie !== 0n && verifier !== VERIFIER ? status.BAD_COOKIE : status.OK
}

interface Listing {
  readonly volume: Volume
  readonly node: number
  readonly cookie: bigint
  readonly limits: Limits
}

function entries(call: Call, reply: Reply, listing: Listing): number {
  const { volume, node, cookie, limits } = listing
  const { out } = reply
  const open = volume.directories.enter(node, cookie === 0n, call.caller)
  if (open < 0) return status.of(open)
  out.u32(status.OK)
  attributes.post(out, volume, directory)
  out.u64Exact(VERIFIER)
  // Who may not search a directory may list it, and learns names only.
  const plus = limits.plus && may(directory, call.caller, EXECUTE)
  const end = reply.results + limits.bytes - TAIL
  let names = limits.names
  let count = 0
  const progress: { full: boolean } = { full: false }
  const result = volume.fileSystem.readDirectory(open, cookie, (entry) => {
    const named = ENTRY + entry.name.length + (-entry.name.length & 3)
    const room = named + (limits.plus ? PLUS : 0)
    if (out.at + room > end || (names < named && count > 0)) {
      progress.full = true
      return false
    }
    names -= named
    count++
    emitEntry(call, reply, listing, entry)
    if (plus) emitPlus(call, reply, listing, entry)
    else if (limits.plus) out.pair(0, 0)
    return true
  })
  if (result < 0) return status.of(result)
  if (progress.full && count === 0) return status.TOOSMALL
  out.u32(0)
  out.boolean(!progress.full)
  return status.OK
}

function emitEntry(call: Call, reply: Reply, { volume }: Listing, entry: DirectoryEntry): void {
  const { out } = reply
  call.service.counters.entries++
  out.u32(1)
  attributes.fileId(out, volume, directory.device, entry)
  out.opaque(entry.name)
  out.u64Exact(entry.cookie)
}

function emitPlus(call: Call, reply: Reply, { volume, node }: Listing, entry: DirectoryEntry): void {
  const { out } = reply
  const found = volume.fileSystem.lookup(node, entry.name, call.caller, child)
  if (found < 0) {
    // It went meanwhile.
    out.pair(0, 0)
    return
  }
  attributes.post(out, volume, child)
  const handle = out.at
  out.u32(1)
  if (volume.handles.emit(out, found, true) >= 0) return
  out.at = handle
  out.u32(0)
}
