/**
 * READ, RFC 1813 §3.3.6: from the file system into the memory that is sent from.
 *
 * ```
 *  OK │ 1 │ fattr3, 84 bytes │ count │ eof │ length │ data … ◄── read by address, before the words that depend on it
 * ```
 *
 * @module
 */
import { newAttributes } from "@skep/vfs"
import * as attributes from "../files/attributes.ts"
import type { OpenFile } from "../files/open-files.ts"
import { type Claimant, mayReadData } from "../files/permission.ts"
import type { Volume } from "../files/volume.ts"
import type { Reply } from "../rpc/reply.ts"
import * as status from "../status.ts"
import type { Cursor } from "../xdr/cursor.ts"
import { TRANSFER_MAX } from "./limits.ts"
import { Operation } from "./operation.ts"
import { PIECE_ROOM, pieceOf } from "./pieces.ts"
import { type Call, garbage, type Procedure } from "./procedure.ts"

const HEADER = 4 + attributes.POST_OP + 12

const found = newAttributes()

export const read: Procedure = {
  name: "READ",
  room: roomFor,
  run: (call, reply) => {
    const { args } = call
    const handle = args.handle()
    const offset = args.u64()
    const count = Math.min(args.u32(), TRANSFER_MAX)
    if (args.bad) return garbage(reply)
    const node = call.node(handle)
    const { volume } = call
    if (node < 0 || volume === undefined) return refused(reply, -node)
    const file = enter(call, volume, node)
    if (typeof file === "number") return refused(reply, file, volume, node, call.caller)
    // Beyond what any file can have.
    const last = Number.MAX_SAFE_INTEGER
    const bytes = offset > last - count ? 0 : count
    return begin({ call, reply, volume, file, offset: Math.min(offset, last), bytes })
  },
}

interface Reading {
  readonly call: Call
  readonly reply: Reply
  readonly volume: Volume
  readonly file: OpenFile
  readonly offset: number
  readonly bytes: number
}

function begin({ call, reply, volume, file, offset, bytes }: Reading): "later" | undefined {
  const { memory } = call
  const data = reply.results + HEADER
  const operation = new Operation(call, reply)
  const end = (result: number) => {
    operation.end(() => finish(operation, { volume, file, offset }, result))
    volume.files.leave(file)
  }
  if (bytes === 0) end(0)
  else volume.fileSystem.read(file.reader, offset, pieceOf(memory, data, bytes, reply.out.end), end)
  return operation.returned(() => undefined)
}

function finish(
  operation: Operation,
  reading: Pick<Reading, "volume" | "file" | "offset">,
  result: number,
): void {
  const { volume, file } = reading
  const { reply, who, service } = operation
  const { out } = reply
  const known = volume.fileSystem.getAttributes(file.node, file.reader, who, found)
  let code = status.of(result)
  // Reading has no traces, so it is seen afterwards, with the attributes that are needed anyway, whether it was allowed. Of what nothing is known, nobody
  // knows that.
  if (code === status.OK) code = known < 0 ? status.of(known) : allowed(who)
  out.u32(code)
  attributes.post(out, volume, known < 0 ? undefined : found)
  if (code !== status.OK) return
  out.u32(result)
  out.u32(reading.offset + result >= found.size ? 1 : 0)
  out.u32(result)
  service.counters.bytesRead += result
  out.skip(result)
}

/** Whether the file at hand may be read. */
function allowed(who: Claimant): number {
  return mayReadData(found, who) ? status.OK : status.ACCES
}

/** The file opened to read; or the status that says why not. */
function enter(call: Call, volume: Volume, node: number): OpenFile | number {
  const known = volume.files.peek(node)
  if (known === undefined || known.reader < 0) {
    const code = checkRegular(volume, node, call.caller)
    if (code !== status.OK) return code
  }
  const file = volume.files.enter(node, false, call.caller)
  return typeof file === "number" ? status.of(file) : file
}

/** Nothing but regular files is opened: opening others may do something. */
export function checkRegular(volume: Volume, node: number, who: Claimant): number {
  const result = volume.look(node, -1, who, found)
  if (result < 0) return status.of(result)
  if (attributes.isRegular(found)) return status.OK
  return attributes.isDirectory(found) ? status.ISDIR : status.INVAL
}

function refused(reply: Reply, code: number, volume?: Volume, node = -1, who?: Claimant): undefined {
  const { out } = reply
  out.u32(code)
  const known = volume !== undefined && who !== undefined && volume.look(node, -1, who, found) >= 0
  attributes.post(out, volume, known ? found : undefined)
}

function roomFor(args: Cursor): number {
  args.handle()
  args.u64()
  return HEADER + Math.min(args.u32(), TRANSFER_MAX) + 4 + PIECE_ROOM
}
