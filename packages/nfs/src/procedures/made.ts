/**
 * The results of procedures that make something: its handle and attributes, then the directory.
 *
 * @module
 */
import type { Attributes, Changes } from "@skep/vfs"
import * as attributes from "../files/attributes.ts"
import type { Reply } from "../rpc/reply.ts"
import * as status from "../status.ts"
import type { Parent } from "./parent.ts"
import type { Call } from "./procedure.ts"
import { refusal } from "./setattr.ts"

/** Of CREATE, MKDIR, SYMLINK and MKNOD. */
export const MADE_ROOM: number = 4 + attributes.POST_OP_HANDLE + attributes.POST_OP + attributes.WCC

/** Writes the results: of a node with a reference, or of `-nfsstat3`. */
export function emitMade(
  call: Call,
  reply: Reply,
  parent: Parent,
  made: { node: number; found: Attributes },
): undefined {
  const { out } = reply
  const { node, found } = made
  const { volume } = parent
  if (node < 0 || volume === undefined) {
    out.u32(-node)
    parent.emit(out, call)
    return
  }
  out.u32(status.OK)
  const handle = out.at
  out.u32(1)
  if (volume.handles.emit(out, node, true) < 0) {
    // It was made. The client looks it up where it needs it.
    out.at = handle
    out.u32(0)
  }
  attributes.post(out, volume, found)
  parent.emit(out, call)
}

/** Changes what making does not set by itself. Returns a status. */
export function applyRest(
  call: Call,
  parent: Parent,
  node: number,
  rest: { changes: Changes; found: Attributes },
): number {
  const { volume } = parent
  const { changes, found } = rest
  changes.mode = undefined
  if (changes.uid === found.uid) changes.uid = undefined
  if (changes.gid === found.gid) changes.gid = undefined
  if (changes.size === found.size) changes.size = undefined
  if (volume === undefined || attributes.isEmpty(changes)) return status.OK
  const refused = refusal(found, changes, call.caller)
  if (refused !== status.OK) return refused
  const handle = volume.files.peek(node)?.writer ?? -1
  return status.of(volume.fileSystem.setAttributes(node, handle, changes, call.caller, found))
}
