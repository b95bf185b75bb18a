/**
 * COMMIT, RFC 1813 §3.3.21: the whole file, whatever part of it was asked for. Where that fails nobody knows what is on the device, so the verifier
 * changes and clients send again what they still have.
 *
 * @module
 */
import { newAttributes } from "@skep/vfs"
import * as attributes from "../files/attributes.ts"
import type { OpenFile } from "../files/open-files.ts"
import type { Volume } from "../files/volume.ts"
import type { Reply } from "../rpc/reply.ts"
import * as status from "../status.ts"
import { Operation } from "./operation.ts"
import { type Call, garbage, type Procedure } from "./procedure.ts"
import { checkRegular } from "./read.ts"

const before = newAttributes()
const after = newAttributes()

export const commit: Procedure = {
  name: "COMMIT",
  room: 4 + attributes.WCC + 8,
  run: (call, reply) => {
    const { args } = call
    const handle = args.handle()
    args.u64()
    args.u32()
    if (args.bad) return garbage(reply)
    const node = call.node(handle)
    const { volume } = call
    const file = node < 0 || volume === undefined ? -node : enter(call, volume, node)
    if (typeof file !== "number" && volume !== undefined) return begin(call, reply, volume, file)
    reply.out.u32(Number(file))
    attributes.wcc(reply.out, undefined, undefined, undefined)
    return undefined
  },
}

function begin(call: Call, reply: Reply, volume: Volume, file: OpenFile): "later" | undefined {
  const { fileSystem } = volume
  const handle = file.writer < 0 ? file.reader : file.writer
  const operation = new Operation(call, reply)
  const { changes } = file
  const known = fileSystem.getAttributes(file.node, handle, operation.who, before) >= 0
  let was: attributes.Before | undefined = known ? before : undefined
  fileSystem.sync(handle, false, (result) => {
    if (result < 0) operation.service.renewVerifier()
    if (file.changes !== changes) was = undefined
    operation.end(() => {
      const seen = fileSystem.getAttributes(file.node, handle, operation.who, after) >= 0
      reply.out.u32(status.of(result))
      attributes.wcc(reply.out, volume, was, seen ? after : undefined)
      if (result >= 0) reply.out.fixed(operation.service.verifier)
    })
    volume.files.leave(file)
  })
  return operation.returned(() => {
    if (known) was = { ...before }
  })
}

/** Through which handle it was written does not matter to fsync(2), so any will do. */
function enter(call: Call, volume: Volume, node: number): OpenFile | number {
  const known = volume.files.peek(node)
  if (known === undefined) {
    const code = checkRegular(volume, node, call.caller)
    if (code !== status.OK) return code
  }
  const write = known === undefined ? !volume.readOnly : known.writer >= 0
  const file = volume.files.enter(node, write, call.caller)
  return typeof file === "number" ? status.of(file) : file
}
