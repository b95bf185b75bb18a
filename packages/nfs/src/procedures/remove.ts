/**
 * REMOVE and RMDIR, RFC 1813 §3.3.12 and §3.3.13.
 *
 * @module
 */
import type { Name } from "@skep/vfs"
import { WCC } from "../files/attributes.ts"
import * as status from "../status.ts"
import { NAME_ARGUMENT_MAX } from "./limits.ts"
import { Parent } from "./parent.ts"
import { type Call, garbage, type Procedure } from "./procedure.ts"

const parent = new Parent()

export const remove: Procedure = taking("REMOVE", (call, name) =>
  parent.volume === undefined ? 0 : parent.volume.fileSystem.unlink(parent.node, name, call.caller),
)

export const rmdir: Procedure = taking("RMDIR", (call, name) =>
  parent.volume === undefined ? 0 : parent.volume.fileSystem.removeDirectory(parent.node, name, call.caller),
)

function taking(name: string, take: (call: Call, name: Name) => number): Procedure {
  return {
    name,
    room: 4 + WCC,
    once: true,
    run: (call, reply) => {
      const { args } = call
      const handle = args.handle()
      const what = args.opaque(NAME_ARGUMENT_MAX)
      if (args.bad) return garbage(reply)
      let code = parent.enter(call, handle)
      if (code === status.OK) code = parent.checkRemoval(call, what)
      if (code === status.OK) code = status.of(take(call, what))
      reply.out.u32(code)
      parent.emit(reply.out, call)
      return undefined
    },
  }
}
