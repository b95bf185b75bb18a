/**
 * ACCESS, RFC 1813 §3.3.4: a client believes it, so it is answered for the very caller.
 *
 * @module
 */
import { newAttributes } from "@skep/vfs"
import * as attributes from "../files/attributes.ts"
import * as permission from "../files/permission.ts"
import * as status from "../status.ts"
import { garbage, type Procedure } from "./procedure.ts"

const READ = 0x01
const LOOKUP = 0x02
const MODIFY = 0x04
const EXTEND = 0x08
const DELETE = 0x10
const EXECUTE = 0x20

const found = newAttributes()

export const access: Procedure = {
  name: "ACCESS",
  room: 4 + attributes.POST_OP + 4,
  run: (call, reply) => {
    const { args } = call
    const { out } = reply
    const handle = args.handle()
    const asked = args.u32()
    if (args.bad) return garbage(reply)
    const node = call.node(handle)
    const { volume } = call
    let code = node < 0 ? -node : status.OK
    if (volume !== undefined && node >= 0) code = status.of(volume.look(node, -1, call.caller, found))
    out.u32(code)
    attributes.post(out, volume, code === status.OK ? found : undefined)
    if (code !== status.OK || volume === undefined) return undefined
    const granted = permission.granted(found, call.caller)
    const rights = attributes.isDirectory(found) ? ofDirectory(granted) : ofFile(granted)
    out.u32(asked & (volume.readOnly ? rights & ~(MODIFY | EXTEND | DELETE) : rights))
    return undefined
  },
}

function ofDirectory(granted: number): number {
  let rights = 0
  if ((granted & permission.READ) !== 0) rights |= READ
  if ((granted & permission.WRITE) !== 0) rights |= MODIFY | EXTEND | DELETE
  if ((granted & permission.EXECUTE) !== 0) rights |= LOOKUP
  return rights
}

function ofFile(granted: number): number {
  let rights = 0
  if ((granted & permission.READ) !== 0) rights |= READ
  if ((granted & permission.WRITE) !== 0) rights |= MODIFY | EXTEND
  if ((granted & permission.EXECUTE) !== 0) rights |= EXECUTE
  return rights
}
