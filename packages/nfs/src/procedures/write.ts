/**
 * WRITE, RFC 1813 §3.3.7: from the memory it was received into to the file system, and on the device where the client wants that.
 *
 * @module
 */
import { newAttributes } from "@skep/vfs"
import * as attributes from "../files/attributes.ts"
import type { OpenFile } from "../files/open-files.ts"
import { type Claimant, mayWriteData } from "../files/permission.ts"
import type { Volume } from "../files/volume.ts"
import type { Reply } from "../rpc/reply.ts"
import * as status from "../status.ts"
import { TRANSFER_MAX } from "./limits.ts"
import { Operation } from "./operation.ts"
import { PIECE_ROOM, pieceOf } from "./pieces.ts"
import { type Call, garbage, type Procedure } from "./procedure.ts"
import { checkRegular } from "./read.ts"
import { withoutPrivileges } from "./setattr.ts"

/** stable_how. */
const UNSTABLE = 0
const DATA_SYNC = 1
const FILE_SYNC = 2

const PRIVILEGES = 0o6000
const ROOT = 0

const before = newAttributes()
const after = newAttributes()

export const write: Procedure = {
  name: "WRITE",
  room: 4 + attributes.WCC + 16 + PIECE_ROOM,
  run: (call, reply) => {
    const { args } = call
    const handle = args.handle()
    const offset = args.u64()
    const count = args.u32()
    const stable = args.u32()
    const data = args.span(TRANSFER_MAX)
    if (args.bad || stable > FILE_SYNC || count > args.length) return garbage(reply)
    const node = call.node(handle)
    const { volume } = call
    if (node < 0 || volume === undefined) return refused(reply, -node)
    const file = enter(call, volume, node, offset + count)
    if (typeof file === "number") return refused(reply, file, volume, node, call.caller)
    return begin({ call, reply, volume, file, offset, bytes: count, data, stable })
  },
}

interface Writing {
  readonly call: Call
  readonly reply: Reply
  readonly volume: Volume
  readonly file: OpenFile
  readonly offset: number
  readonly bytes: number
  readonly data: number
  readonly stable: number
}

function begin(writing: Writing): "later" | undefined {
  const { call, reply, volume, file, offset, bytes, data, stable } = writing
  const { service, memory, chunk } = call
  const { fileSystem } = volume
  const operation = new Operation(call, reply)
  let was: attributes.Before = before
  file.changes++
  const { changes } = file
  const end = (written: number, synced: number) => {
    if (synced < 0) service.renewVerifier()
    // Who was not alone cannot say what the file was like before it: RFC 1813 §2.6.
    const alone = file.changes === changes ? was : undefined
    operation.end(() => finish(operation, { ...writing, was: alone }, synced < 0 ? synced : written))
    chunk?.drop()
    volume.files.leave(file)
  }
  chunk?.hold()
  const written = (result: number) => {
    if (result < 0 || stable === UNSTABLE) end(result, 0)
    else fileSystem.sync(file.writer, stable === DATA_SYNC, (synced) => end(result, synced))
  }
  if (bytes === 0) written(0)
  else fileSystem.write(file.writer, offset, pieceOf(memory, data, bytes, reply.out.end), written)
  return operation.returned(() => {
    was = { ...before }
  })
}

interface Written extends Pick<Writing, "volume" | "file" | "stable"> {
  readonly was: attributes.Before | undefined
}

function finish(operation: Operation, { volume, file, stable, was }: Written, result: number): void {
  const { service, who } = operation
  const { out } = operation.reply
  let known = volume.fileSystem.getAttributes(file.node, file.writer, who, after) >= 0
  // write(2): what somebody else wrote does not run as its owner.
  if (known && who.uid !== ROOT && (after.mode & PRIVILEGES) !== 0 && result > 0) {
    const mode = withoutPrivileges(after, who)
    known = volume.fileSystem.setAttributes(file.node, file.writer, { mode }, who, after) >= 0
  }
  const code = status.of(result)
  out.u32(code)
  attributes.wcc(out, volume, was, known ? after : undefined)
  if (code !== status.OK) return
  service.counters.bytesWritten += result
  out.u32(result)
  out.u32(stable)
  out.fixed(service.verifier)
}

function enter(call: Call, volume: Volume, node: number, end: number): OpenFile | number {
  const { caller } = call
  if (volume.readOnly) return status.ROFS
  if (end > Number.MAX_SAFE_INTEGER) return status.FBIG
  const known = volume.files.peek(node)
  if (known === undefined || known.writer < 0) {
    const code = checkRegular(volume, node, caller)
    if (code !== status.OK) return code
  }
  const result = volume.look(node, known?.writer ?? -1, caller, before)
  if (result < 0) return status.of(result)
  if (!mayWriteData(before, caller)) return status.ACCES
  const file = volume.files.enter(node, true, caller)
  return typeof file === "number" ? status.of(file) : file
}

function refused(reply: Reply, code: number, volume?: Volume, node = -1, who?: Claimant): undefined {
  const { out } = reply
  out.u32(code)
  const known = volume !== undefined && who !== undefined && volume.look(node, -1, who, after) >= 0
  attributes.wcc(out, volume, undefined, known ? after : undefined)
}
