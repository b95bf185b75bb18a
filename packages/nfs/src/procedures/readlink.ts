/**
 * READLINK, RFC 1813 §3.3.5. The target is the client's to follow.
 *
 * @module
 */
import { newAttributes } from "@skep/vfs"
import * as attributes from "../files/attributes.ts"
import * as status from "../status.ts"
import { PATH_MAX } from "./limits.ts"
import { garbage, type Procedure } from "./procedure.ts"

const found = newAttributes()
const target = new Uint8Array(PATH_MAX)

export const readlink: Procedure = {
  name: "READLINK",
  room: 4 + attributes.POST_OP + 4 + PATH_MAX,
  run: (call, reply) => {
    const { args } = call
    const { out } = reply
    const handle = args.handle()
    if (args.bad) return garbage(reply)
    const node = call.node(handle)
    const { volume } = call
    let code = node < 0 ? -node : status.OK
    let known = false
    let length = 0
    if (volume !== undefined && node >= 0) {
      length = volume.fileSystem.readLink(node, target)
      code = status.of(length)
      known = volume.look(node, -1, call.caller, found) >= 0
    }
    out.u32(code)
    attributes.post(out, volume, known ? found : undefined)
    if (code === status.OK) out.opaque(target.subarray(0, length))
    return undefined
  },
}
