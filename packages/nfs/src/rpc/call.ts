/**
 * The header of a call, RFC 5531 §9, with AUTH_NONE and AUTH_SYS (§10.1, appendix A).
 *
 * ```
 *  xid │ CALL │ 2 │ program │ version │ procedure │ credential: flavor, opaque ≤ 400 │ verifier: flavor, opaque ≤ 400 │ arguments …
 *  AUTH_SYS: stamp │ machine name ≤ 255 │ uid │ gid │ groups ≤ 16
 * ```
 *
 * @module
 */
import type { Claimant } from "../files/permission.ts"
import type { Cursor } from "../xdr/cursor.ts"

const CALL = 0
const VERSION = 2
const AUTH_NONE = 0
const AUTH_SYS = 1
const AUTH_MAX = 400
const MACHINE_NAME_MAX = 255
const GROUPS_MAX = 16
const NOBODY = 65534

/** auth_stat. */
export const AUTH_BADCRED = 1
export const AUTH_TOOWEAK = 5

/** What came instead of a call that can be carried out. */
export type Refusal = "not-a-call" | "rpc-mismatch" | "bad-credential" | "unknown-flavor"

/** One a server, filled by `parse`; valid until the next call. */
export class CallHeader {
  xid = 0
  program = 0
  version = 0
  procedure = 0
  /** Whether nobody was named. */
  anonymous = true
  /** Where the name of the client is, and how long. */
  machine = 0
  machineLength = 0
  readonly caller: { uid: number; gid: number; pid: number; groups: number[] } & Claimant = {
    uid: NOBODY,
    gid: NOBODY,
    pid: 0,
    groups: [],
  }

  /** Reads it from `args`, which is at the arguments afterwards. */
  parse(args: Cursor): Refusal | undefined {
    this.xid = args.u32()
    const type = args.u32()
    const version = args.u32()
    if (args.bad || type !== CALL) return "not-a-call"
    if (version !== VERSION) return "rpc-mismatch"
    this.program = args.u32()
    this.version = args.u32()
    this.procedure = args.u32()
    return this.#credential(args) ?? passVerifier(args)
  }

  #credential(args: Cursor): Refusal | undefined {
    const { caller } = this
    const flavor = args.u32()
    const length = args.u32()
    const end = args.at + length + (-length & 3)
    if (length > AUTH_MAX || end > args.end) return "bad-credential"
    caller.groups.length = 0
    this.machineLength = 0
    this.anonymous = flavor !== AUTH_SYS
    if (flavor === AUTH_NONE) {
      caller.uid = NOBODY
      caller.gid = NOBODY
      args.at = end
      return undefined
    }
    if (flavor !== AUTH_SYS) return "unknown-flavor"
    return this.#named(args, end)
  }

  #named(args: Cursor, end: number): Refusal | undefined {
    const { caller } = this
    args.u32()
    this.machine = args.span(MACHINE_NAME_MAX)
    this.machineLength = args.length
    caller.uid = args.u32()
    caller.gid = args.u32()
    const groups = args.u32()
    if (groups > GROUPS_MAX) return "bad-credential"
    for (let index = 0; index < groups; index++) caller.groups.push(args.u32())
    return args.bad || args.at !== end ? "bad-credential" : undefined
  }
}

/** That of AUTH_NONE and AUTH_SYS means nothing. */
function passVerifier(args: Cursor): Refusal | undefined {
  args.u32()
  args.span(AUTH_MAX)
  return args.bad ? "bad-credential" : undefined
}
