/**
 * GETATTR, RFC 1813 §3.3.1.
 *
 * @module
 */
import { newAttributes } from "@skep/vfs"
import * as attributes from "../files/attributes.ts"
import * as status from "../status.ts"
import { garbage, only, type Procedure } from "./procedure.ts"

const found = newAttributes()

export const getattr: Procedure = {
  name: "GETATTR",
  room: 4 + attributes.FATTR,
  run: (call, reply) => {
    const handle = call.args.handle()
    if (call.args.bad) return garbage(reply)
    const node = call.node(handle)
    const { volume } = call
    if (node < 0 || volume === undefined) return only(reply, -node)
    const result = volume.look(node, -1, call.caller, found)
    if (result < 0) return only(reply, status.of(result))
    reply.out.u32(status.OK)
    attributes.emit(reply.out, volume, found)
    return undefined
  },
}
