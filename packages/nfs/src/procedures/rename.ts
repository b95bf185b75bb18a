/**
 * RENAME, RFC 1813 §3.3.14.
 *
 * @module
 */
import { WCC } from "../files/attributes.ts"
import * as status from "../status.ts"
import { NAME_ARGUMENT_MAX } from "./limits.ts"
import { Parent } from "./parent.ts"
import { garbage, type Procedure } from "./procedure.ts"

const from = new Parent()
const to = new Parent()

export const rename: Procedure = {
  name: "RENAME",
  room: 4 + 2 * WCC,
  once: true,
  run: (call, reply) => {
    const { args, caller } = call
    const { out } = reply
    const fromHandle = args.handle()
    const fromName = args.opaque(NAME_ARGUMENT_MAX)
    const toHandle = args.handle()
    const toName = args.opaque(NAME_ARGUMENT_MAX)
    if (args.bad) return garbage(reply)
    // Both are entered, so that both are shown whatever the answer is.
    const fromCode = from.enter(call, fromHandle)
    const toCode = to.enter(call, toHandle)
    let code = fromCode === status.OK ? toCode : fromCode
    const { volume } = from
    if (code === status.OK && volume !== to.volume) code = status.XDEV
    if (code === status.OK) code = from.checkRemoval(call, fromName)
    if (code === status.OK) code = to.checkRemoval(call, toName)
    if (code === status.OK && from.node !== to.node) code = from.checkMove(call, fromName)
    if (code === status.OK && volume !== undefined) {
      const source = { parent: from.node, name: fromName }
      const target = { parent: to.node, name: toName }
      code = status.of(volume.fileSystem.rename(source, target, 0, caller))
    }
    out.u32(code)
    from.emit(out, call)
    to.emit(out, call)
    return undefined
  },
}
