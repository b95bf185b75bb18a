/**
 * LOOKUP, RFC 1813 §3.3.3.
 *
 * @module
 */
import { newAttributes } from "@skep/vfs"
import * as attributes from "../files/attributes.ts"
import { EXECUTE, may } from "../files/permission.ts"
import * as status from "../status.ts"
import { NAME_ARGUMENT_MAX } from "./limits.ts"
import { garbage, type Procedure } from "./procedure.ts"

const directory = newAttributes()
const found = newAttributes()

export const lookup: Procedure = {
  name: "LOOKUP",
  room: 4 + attributes.POST_OP_HANDLE + 2 * attributes.POST_OP,
  run: (call, reply) => {
    const { args, caller } = call
    const { out } = reply
    const handle = args.handle()
    const name = args.opaque(NAME_ARGUMENT_MAX)
    if (args.bad) return garbage(reply)
    const parent = call.node(handle)
    const { volume } = call
    let code = parent < 0 ? -parent : status.OK
    let known = false
    if (volume !== undefined && parent >= 0) {
      code = status.of(volume.look(parent, -1, caller, directory))
      known = code === status.OK
      if (known && !attributes.isDirectory(directory)) code = status.NOTDIR
      else if (known && !may(directory, caller, EXECUTE)) code = status.ACCES
      if (code === status.OK) {
        const node = volume.fileSystem.lookup(parent, name, caller, found)
        code = status.of(node)
        out.u32(status.OK)
        if (node >= 0) code = status.of(volume.handles.emit(out, node, true))
      }
    }
    if (code === status.OK) attributes.post(out, volume, found)
    else {
      reply.rewind()
      out.u32(code)
    }
    attributes.post(out, volume, known ? directory : undefined)
    return undefined
  },
}
