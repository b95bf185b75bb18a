/**
 * LINK, RFC 1813 §3.3.15.
 *
 * @module
 */
import { newAttributes } from "@skep/vfs"
import * as attributes from "../files/attributes.ts"
import * as status from "../status.ts"
import { NAME_ARGUMENT_MAX } from "./limits.ts"
import { Parent } from "./parent.ts"
import { garbage, type Procedure } from "./procedure.ts"

const parent = new Parent()
const found = newAttributes()

export const link: Procedure = {
  name: "LINK",
  room: 4 + attributes.POST_OP + attributes.WCC,
  once: true,
  run: (call, reply) => {
    const { args, caller } = call
    const { out } = reply
    const handle = args.handle()
    const directory = args.handle()
    const name = args.opaque(NAME_ARGUMENT_MAX)
    if (args.bad) return garbage(reply)
    const node = call.node(handle)
    const of = call.volume
    const parentCode = parent.enter(call, directory)
    let code = node < 0 ? -node : parentCode
    const { volume } = parent
    if (code === status.OK && volume !== of) code = status.XDEV
    if (code === status.OK && volume !== undefined) {
      const linked = volume.fileSystem.link(node, parent.node, name, caller, found)
      code = status.of(linked)
      // It is the same node, which has its reference already.
      if (linked >= 0) volume.fileSystem.forget(linked, 1)
    }
    let known = code === status.OK
    if (!known && of !== undefined && node >= 0) known = of.look(node, -1, caller, found) >= 0
    out.u32(code)
    attributes.post(out, of, known ? found : undefined)
    parent.emit(out, call)
    return undefined
  },
}
