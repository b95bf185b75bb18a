/**
 * The port mapper, version 2 (RFC 1833 §3), on our own port and about it alone: for clients that were told one port and ask it for the others.
 *
 * @module
 */
import { garbage, nothing, type Procedure, type Program } from "../procedures/procedure.ts"

const TCP = 6
const NFS = 100003
const MOUNT = 100005
const MAPPED_VERSION = 3
const LIST_ENTRY = 20

/** Nobody but us registers here. */
function refusing(name: string): Procedure {
  return {
    name,
    room: 4,
    anonymous: true,
    run: (_call, { out }) => {
      out.u32(0)
      return undefined
    },
  }
}

const getport: Procedure = {
  name: "GETPORT",
  room: 4,
  anonymous: true,
  run: (call, reply) => {
    const { args } = call
    const program = args.u32()
    const version = args.u32()
    const protocol = args.u32()
    args.u32()
    if (args.bad) return garbage(reply)
    const ours = (program === NFS || program === MOUNT) && version === MAPPED_VERSION && protocol === TCP
    reply.out.u32(ours ? call.service.port : 0)
    return undefined
  },
}

const dump: Procedure = {
  name: "DUMP",
  room: 2 * LIST_ENTRY + 4,
  anonymous: true,
  run: (call, { out }) => {
    for (const program of call.service.port === 0 ? [] : [NFS, MOUNT]) {
      out.u32(1)
      out.u32(program)
      out.u32(MAPPED_VERSION)
      out.u32(TCP)
      out.u32(call.service.port)
    }
    out.u32(0)
    return undefined
  },
}

export const portmap: Program = {
  number: 100000,
  version: 2,
  procedures: [nothing, refusing("SET"), refusing("UNSET"), getport, dump],
}
