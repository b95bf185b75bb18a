/**
 * SYMLINK, RFC 1813 §3.3.10. Whatever the target says: nobody here follows it.
 *
 * @module
 */
import { type Changes, newAttributes } from "@skep/vfs"
import * as attributes from "../files/attributes.ts"
import * as status from "../status.ts"
import { NAME_ARGUMENT_MAX, PATH_MAX } from "./limits.ts"
import { applyRest, emitMade, MADE_ROOM } from "./made.ts"
import { Parent } from "./parent.ts"
import { garbage, type Procedure } from "./procedure.ts"

const parent = new Parent()
const found = newAttributes()
const changes: Changes = {}

export const symlink: Procedure = {
  name: "SYMLINK",
  room: MADE_ROOM,
  once: true,
  run: (call, reply) => {
    const { args, caller } = call
    const handle = args.handle()
    const name = args.opaque(NAME_ARGUMENT_MAX)
    attributes.parseChanges(args, changes)
    const target = args.opaque(PATH_MAX)
    if (args.bad) return garbage(reply)
    changes.size = undefined
    const code = parent.enter(call, handle)
    const { volume } = parent
    let node = -code
    if (code === status.OK && volume !== undefined) {
      node = volume.fileSystem.makeSymlink(parent.node, name, target, caller, found)
      if (node < 0) node = -status.of(node)
      else applyRest(call, parent, node, { changes, found })
    }
    return emitMade(call, reply, parent, { node, found })
  },
}
