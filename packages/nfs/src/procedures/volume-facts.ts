/**
 * FSSTAT, FSINFO and PATHCONF, RFC 1813 §3.3.18 to §3.3.20: what a volume has and can do.
 *
 * @module
 */
import { newAttributes, newUsage } from "@skep/vfs"
import * as attributes from "../files/attributes.ts"
import type { Volume } from "../files/volume.ts"
import * as status from "../status.ts"
import type { Writer } from "../xdr/writer.ts"
import { DIRECTORY_MAX, TRANSFER_MAX } from "./limits.ts"
import { garbage, type Procedure } from "./procedure.ts"

const BLOCK = 4096
/** FSF3_LINK, SYMLINK, HOMOGENEOUS, CANSETTIME. */
const PROPERTIES = 0x1b
/** ext4's and what others have at least: no file system says. */
const LINKS_MAX = 65000

const found = newAttributes()
const usage = newUsage()

export const fsstat: Procedure = telling("FSSTAT", 6 * 8 + 4, (out, volume, node) => {
  const result = volume.fileSystem.usage(node, usage)
  if (result < 0) return result
  out.u64(usage.blocks * usage.blockSize)
  out.u64(usage.freeBlocks * usage.blockSize)
  out.u64(usage.availableBlocks * usage.blockSize)
  out.u64(usage.files)
  out.u64(usage.freeFiles)
  out.u64(usage.freeFiles)
  out.u32(0)
  return 0
})

export const fsinfo: Procedure = {
  ...telling("FSINFO", 7 * 4 + 8 + 8 + 4, (out) => {
    for (let way = 0; way < 2; way++) {
      out.u32(TRANSFER_MAX)
      out.u32(TRANSFER_MAX)
      out.u32(BLOCK)
    }
    out.u32(DIRECTORY_MAX)
    out.u64(Number.MAX_SAFE_INTEGER)
    // To the nanosecond.
    out.pair(0, 1)
    out.u32(PROPERTIES)
    return 0
  }),
  anonymous: true,
}

export const pathconf: Procedure = telling("PATHCONF", 6 * 4, (out, volume, node) => {
  const result = volume.fileSystem.usage(node, usage)
  if (result < 0) return result
  out.u32(LINKS_MAX)
  out.u32(usage.nameMax)
  // Names that are too long are refused; only root gives files away; case counts, and is kept.
  out.boolean(true)
  out.boolean(true)
  out.boolean(false)
  out.boolean(true)
  return 0
})

function telling(
  name: string,
  room: number,
  tell: (out: Writer, volume: Volume, node: number) => number,
): Procedure {
  return {
    name,
    room: 4 + attributes.POST_OP + room,
    run: (call, reply) => {
      const handle = call.args.handle()
      if (call.args.bad) return garbage(reply)
      const { out } = reply
      const node = call.node(handle)
      const { volume } = call
      let code = node < 0 ? -node : status.OK
      let known = false
      if (volume !== undefined && node >= 0) {
        code = status.of(volume.look(node, -1, call.caller, found))
        known = code === status.OK
      }
      out.u32(code)
      attributes.post(out, volume, known ? found : undefined)
      if (code !== status.OK || volume === undefined) return undefined
      code = status.of(tell(out, volume, node))
      if (code === status.OK) return undefined
      reply.rewind()
      out.u32(code)
      attributes.post(out, volume, found)
      return undefined
    },
  }
}
