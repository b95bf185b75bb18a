/**
 * MKNOD, RFC 1813 §3.3.11: FIFOs and sockets, and devices where the host lets us.
 *
 * @module
 */
import { type Changes, newAttributes } from "@skep/vfs"
import * as attributes from "../files/attributes.ts"
import * as status from "../status.ts"
import type { Cursor } from "../xdr/cursor.ts"
import { NAME_ARGUMENT_MAX } from "./limits.ts"
import { applyRest, emitMade, MADE_ROOM } from "./made.ts"
import { Parent } from "./parent.ts"
import { garbage, type Procedure } from "./procedure.ts"

/** ftype3. */
const BLOCK = 3
const CHARACTER = 4
const SOCKET = 6
const FIFO = 7

const MODES: Readonly<Record<number, number>> = {
  [BLOCK]: 0o060000,
  [CHARACTER]: 0o020000,
  [SOCKET]: 0o140000,
  [FIFO]: 0o010000,
}
const MODE = 0o600
const MAJOR_MAX = 0xfff
const MINOR_MAX = 0xf_ffff

const parent = new Parent()
const found = newAttributes()
const changes: Changes = {}

export const mknod: Procedure = {
  name: "MKNOD",
  room: MADE_ROOM,
  once: true,
  run: (call, reply) => {
    const { args, caller } = call
    const handle = args.handle()
    const name = args.opaque(NAME_ARGUMENT_MAX)
    const type = args.u32()
    const kind = MODES[type]
    if (kind !== undefined) attributes.parseChanges(args, changes)
    const rdev = type === BLOCK || type === CHARACTER ? parseDevice(args) : 0
    if (args.bad) return garbage(reply)
    changes.size = undefined
    let code = parent.enter(call, handle)
    if (code === status.OK && kind === undefined) code = status.BADTYPE
    const { volume } = parent
    let node = -code
    if (code === status.OK && volume !== undefined && kind !== undefined) {
      const mode = kind | (changes.mode ?? MODE)
      node = volume.fileSystem.makeNode(parent.node, name, { mode, rdev }, caller, found)
      if (node < 0) node = -status.of(node)
      else applyRest(call, parent, node, { changes, found })
    }
    return emitMade(call, reply, parent, { node, found })
  },
}

/** specdata3, as Linux encodes it in 32 bits. */
function parseDevice(args: Cursor): number {
  const major = args.u32()
  const minor = args.u32()
  if (major > MAJOR_MAX || minor > MINOR_MAX) args.bad = true
  return ((minor & 0xff) | (major << 8) | ((minor & ~0xff) << 12)) >>> 0
}
