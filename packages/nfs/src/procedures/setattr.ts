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
  // Whoever may write may say that it was written now: Linux does for open(2) with O_TRUNC, without the size where that is 0 already.
  if (modify !== "now" || typeof access === "object") return status.PERM
  if (may(now, who, WRITE)) return status.OK
  return access === "now" ? status.ACCES : status.PERM
}

/** chmod(2): nothing is of a group that its owner is not in. chown(2), truncate(2): a file runs as nobody whom others made it run as. */
function dropPrivileges(now: Attributes, wanted: Changes, who: Claimant): void {
  if (wanted.mode !== undefined) {
    if (who.uid !== ROOT && !inGroup(who, now.gid)) wanted.mode &= ~SET_GROUP
    return
  }
  const given = wanted.uid !== undefined || wanted.gid !== undefined
  const cut = wanted.size !== undefined && who.uid !== ROOT
  if (attributes.isDirectory(now) || !(given || cut)) return
  const mode = now.mode & 0o7777
  const kept = withoutPrivileges(now, who)
  if (kept !== mode) wanted.mode = kept
}

/** The mode of a file after it was written or given away by somebody who is not trusted with it. */
export function withoutPrivileges(now: Attributes, who: Claimant): number {
  const user = now.mode & 0o7777 & ~SET_USER
  const keeps = (now.mode & GROUP_EXECUTE) === 0 && (who.uid === ROOT || inGroup(who, now.gid))
  return keeps ? user : user & ~SET_GROUP
}
