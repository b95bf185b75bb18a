/**
 * MKDIR, RFC 1813 §3.3.9.
 *
 * @module
 */
import { type Changes, newAttributes } from "@skep/vfs"
import * as attributes from "../files/attributes.ts"
import * as status from "../status.ts"
import { NAME_ARGUMENT_MAX } from "./limits.ts"
import { applyRest, emitMade, MADE_ROOM } from "./made.ts"
import { Parent } from "./parent.ts"
import { garbage, type Procedure } from "./procedure.ts"

const MODE = 0o700

const parent = new Parent()
const found = newAttributes()
const changes: Changes = {}

export const mkdir: Procedure = {
  name: "MKDIR",
  room: MADE_ROOM,
  once: true,
  run: (call, reply) => {
    const { args, caller } = call
    const handle = args.handle()
    const name = args.opaque(NAME_ARGUMENT_MAX)
    attributes.parseChanges(args, changes)
    if (args.bad) return garbage(reply)
    // A directory has no size to set.
    changes.size = undefined
    const code = parent.enter(call, handle)
    const { volume } = parent
    let node = -code
    if (code === status.OK && volume !== undefined) {
      node = volume.fileSystem.makeDirectory(parent.node, name, changes.mode ?? MODE, caller, found)
      if (node < 0) node = -status.of(node)
      else applyRest(call, parent, node, { changes, found })
    }
    return emitMade(call, reply, parent, { node, found })
  },
}
