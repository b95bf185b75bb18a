/**
 * SETATTR, RFC 1813 §3.3.2.
 *
 * @module
 */
import { type Attributes, type Changes, newAttributes } from "@skep/vfs"
import * as attributes from "../files/attributes.ts"
import { type Claimant, inGroup, may, mayWriteData, owns, WRITE } from "../files/permission.ts"
import * as status from "../status.ts"
import { type Call, garbage, type Procedure } from "./procedure.ts"

const ROOT = 0
const SET_USER = 0o4000
const SET_GROUP = 0o2000
const GROUP_EXECUTE = 0o010

const before = newAttributes()
const after = newAttributes()
const changes: Changes = {}

export const setattr: Procedure = {
  name: "SETATTR",
  room: 4 + attributes.WCC,
  once: true,
  run: (call, reply) => {
    const { args } = call
    const handle = args.handle()
    attributes.parseChanges(args, changes)
    const guarded = args.boolean()
    const seconds = guarded ? args.u32() : 0
    const nanoseconds = guarded ? args.u32() : 0
    if (args.bad) return garbage(reply)
    const node = call.node(handle)
    const { volume } = call
    const { out } = reply
    let code = node < 0 ? -node : status.OK
    let known = false
    if (volume !== undefined && node >= 0) {
      code = status.of(volume.look(node, -1, call.caller, before))
      known = code === status.OK
      const fresh = before.changeSeconds >>> 0 === seconds && before.changeNanoseconds === nanoseconds
      if (known && guarded && !fresh) code = status.NOT_SYNC
      if (code === status.OK) code = change(call, node)
    }
    out.u32(code)
    if (code === status.OK) attributes.wcc(out, volume, before, after)
    else attributes.wcc(out, volume, known ? before : undefined, known ? before : undefined)
    return undefined
  },
}

function change(call: Call, node: number): number {
  const { volume, caller } = call
  if (volume === undefined) return status.STALE
  if (volume.readOnly) return status.ROFS
  const refused = refusal(before, changes, caller)
  if (refused !== status.OK) return refused
  dropPrivileges(before, changes, caller)
  const handle = volume.files.peek(node)?.writer ?? -1
  return status.of(volume.fileSystem.setAttributes(node, handle, changes, caller, after))
}

/** What keeps the caller from the changes, as chmod(2), chown(2), utimensat(2) and truncate(2) have it; OK for nothing. */
export function refusal(now: Attributes, wanted: Changes, who: Claimant): number {
  const size = wanted.size === undefined ? status.OK : sizeRefusal(now, wanted.size, who)
  if (size !== status.OK) return size
  if (who.uid === ROOT) return status.OK
  if (wanted.mode !== undefined && !owns(now, who)) return status.PERM
  return mayGive(now, wanted, who) ? timesRefusal(now, wanted, who) : status.PERM
}

function sizeRefusal(now: Attributes, size: number, who: Claimant): number {
  if (attributes.isDirectory(now)) return status.ISDIR
  if (!attributes.isRegular(now)) return status.INVAL
  if (!mayWriteData(now, who)) return status.ACCES
  return size > Number.MAX_SAFE_INTEGER ? status.FBIG : status.OK
}

/** Nobody but root gives files away; owners put them into groups of theirs. */
function mayGive(now: Attributes, { uid, gid }: Changes, who: Claimant): boolean {
  if (uid === undefined && gid === undefined) return true
  if (!owns(now, who) || (uid !== undefined && uid !== now.uid)) return false
  return gid === undefined || gid === now.gid || inGroup(who, gid)
}

function timesRefusal(now: Attributes, wanted: Changes, who: Claimant): number {
  const { access, modify } = wanted
  if (owns(now, who) || (access === undefined && modify === undefined)) return status.OK
  const chosen = typeof access === "object" || typeof modify === "object"
  if (chosen) return status.PERM
  return may(now, who, WRITE) ? status.OK : status.ACCES
}

/** chown(2): a file that is given away runs as nobody but its caller; chmod(2): and in no group that its owner is not in. */
function dropPrivileges(now: Attributes, wanted: Changes, who: Claimant): void {
  if (attributes.isDirectory(now)) return
  const given = wanted.uid !== undefined || wanted.gid !== undefined
  const mode = wanted.mode ?? now.mode & 0o7777
  if (given && wanted.mode === undefined) {
    const kept = withoutPrivileges(mode)
    if (kept !== mode) wanted.mode = kept
  } else if (wanted.mode !== undefined && who.uid !== ROOT && !inGroup(who, now.gid)) {
    wanted.mode = mode & ~SET_GROUP
  }
}

/** A mode after its file was written or given away by somebody who is not trusted with it. */
export function withoutPrivileges(mode: number): number {
  const user = mode & ~SET_USER
  return (mode & GROUP_EXECUTE) === 0 ? user : user & ~SET_GROUP
}
