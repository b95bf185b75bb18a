/**
 * CREATE, RFC 1813 §3.3.8.
 *
 * EXCLUSIVE keeps the client's verifier in the times of access and change of data until the client sets them, so whoever asks again after a restart of
 * the server is told that it was theirs. A bit of each half is left out, since times before 1970 are not kept everywhere.
 *
 * @module
 */
import * as sys from "@skep/loop/sys"
import { type Changes, type HowToCreate, type Name, newAttributes } from "@skep/vfs"
import * as attributes from "../files/attributes.ts"
import * as status from "../status.ts"
import type { Cursor } from "../xdr/cursor.ts"
import { NAME_ARGUMENT_MAX } from "./limits.ts"
import { applyRest, emitMade, MADE_ROOM } from "./made.ts"
import { Parent } from "./parent.ts"
import { type Call, garbage, type Procedure } from "./procedure.ts"

/** createmode3. */
const UNCHECKED = 0
const EXCLUSIVE = 2

const FLAGS = sys.O_CREAT | sys.O_EXCL | sys.O_RDWR
const MODE = 0o600
const POSITIVE = 0x7fff_ffff

const parent = new Parent()
const found = newAttributes()
const changes: Changes = {}
const how: { flags: number; mode: number; opened: number } & HowToCreate = {
  flags: FLAGS,
  mode: MODE,
  opened: -1,
}

export const create: Procedure = {
  name: "CREATE",
  room: MADE_ROOM,
  once: true,
  run: (call, reply) => {
    const { args } = call
    const handle = args.handle()
    const name = args.opaque(NAME_ARGUMENT_MAX)
    const kind = args.u32()
    parseHow(args, kind)
    if (args.bad) return garbage(reply)
    const code = parent.enter(call, handle)
    const node = code === status.OK ? make(call, name, kind) : -code
    return emitMade(call, reply, parent, { node, found })
  },
}

function parseHow(args: Cursor, kind: number): void {
  if (kind < EXCLUSIVE) {
    attributes.parseChanges(args, changes)
    return
  }
  if (kind > EXCLUSIVE) args.bad = true
  changes.mode = undefined
  changes.uid = undefined
  changes.gid = undefined
  changes.size = undefined
  changes.access = { seconds: args.u32() & POSITIVE, nanoseconds: 0 }
  changes.modify = { seconds: args.u32() & POSITIVE, nanoseconds: 0 }
}

/** Returns the node, or `-nfsstat3`. */
function make(call: Call, name: Name, kind: number): number {
  const { volume } = parent
  if (volume === undefined) return -status.STALE
  how.mode = changes.mode ?? MODE
  how.opened = -1
  const node = volume.fileSystem.create(parent.node, name, how, call.caller, found)
  if (node === -sys.EEXIST) return existing(call, name, kind)
  if (node < 0) return -status.of(node)
  // The client will want to write it.
  volume.files.keep(node, how.opened)
  const code = applyRest(call, parent, node, { changes, found })
  if (code === status.OK) return node
  volume.fileSystem.forget(node, 1)
  return -code
}

function existing(call: Call, name: Name, kind: number): number {
  const { volume, node: directory } = parent
  if (volume === undefined || (kind !== UNCHECKED && kind !== EXCLUSIVE)) return -status.EXIST
  const node = volume.fileSystem.lookup(directory, name, call.caller, found)
  if (node < 0) return -status.of(node)
  const code = kind === EXCLUSIVE ? sameVerifier() : reuse(call, node)
  if (code === status.OK) return node
  volume.fileSystem.forget(node, 1)
  return -code
}

function sameVerifier(): number {
  const { access, modify } = changes
  const same =
    attributes.isRegular(found) &&
    typeof access === "object" &&
    typeof modify === "object" &&
    found.accessSeconds === access.seconds &&
    found.modifySeconds === modify.seconds &&
    found.size === 0
  return same ? status.OK : status.EXIST
}

/** Of a file that is there only its size is set, as by open(2) with O_TRUNC. */
function reuse(call: Call, node: number): number {
  if (!attributes.isRegular(found)) return status.EXIST
  const { size } = changes
  if (size === undefined) return status.OK
  changes.uid = undefined
  changes.gid = undefined
  changes.access = undefined
  changes.modify = undefined
  // Of the length it has already it is still touched.
  found.size = -1
  return applyRest(call, parent, node, { changes, found })
}
