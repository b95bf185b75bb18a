/**
 * MOUNT, version 3: RFC 1813 appendix I. From a path to the first handle.
 *
 * @module
 */
import * as sys from "@skep/loop/sys"
import { type Caller, newAttributes } from "@skep/vfs"
import * as attributes from "../files/attributes.ts"
import type { Volume } from "../files/volume.ts"
import { garbage, nothing, only, type Procedure, type Program } from "../procedures/procedure.ts"
import type { Service } from "../service.ts"
import * as status from "../status.ts"
import type { Mount } from "./mounts.ts"

/** MNTPATHLEN. */
const PATH_MAX = 1024
const HANDLE_ROOM = 4 + 64
/** Lists are cut before this. */
const LIST_ROOM = 32 * 1024
const AUTH_SYS = 1
const SLASH = 0x2f
/** mountstat3 is nfsstat3 without what a mount cannot meet; what is left of others is EIO. */
const STATUSES = new Set([
  status.OK,
  status.PERM,
  status.NOENT,
  status.IO,
  status.ACCES,
  status.NOTDIR,
  status.INVAL,
  status.NAMETOOLONG,
])

const found = newAttributes()

const mnt: Procedure = {
  name: "MNT",
  room: 4 + HANDLE_ROOM + 8,
  anonymous: true,
  run: (call, reply) => {
    const path = call.args.opaque(PATH_MAX)
    if (call.args.bad) return garbage(reply)
    const { out } = reply
    const place = resolve(call.service, path, call.caller)
    if (typeof place === "number") return only(reply, mountStatus(place))
    const { volume, node, counted } = place
    out.u32(status.OK)
    const result = volume.handles.emit(out, node, counted)
    if (result < 0) return only(reply, mountStatus(status.of(result)))
    out.u32(1)
    out.u32(AUTH_SYS)
    call.service.mounts.add({ host: call.machine, directory: Buffer.from(path).toString() })
    return undefined
  },
}

const dump: Procedure = {
  name: "DUMP",
  room: LIST_ROOM,
  anonymous: true,
  run: (call, { out }) => {
    for (const { host, directory } of call.service.mounts.list()) {
      if (out.room < 4 * PATH_MAX) break
      out.u32(1)
      out.text(host)
      out.text(directory)
    }
    out.u32(0)
    return undefined
  },
}

const umnt: Procedure = {
  name: "UMNT",
  room: 0,
  anonymous: true,
  run: (call, reply) => {
    const path = call.args.opaque(PATH_MAX)
    if (call.args.bad) return garbage(reply)
    const mount: Mount = { host: call.machine, directory: Buffer.from(path).toString() }
    call.service.mounts.remove(mount)
    return undefined
  },
}

const umntall: Procedure = {
  name: "UMNTALL",
  room: 0,
  anonymous: true,
  run: (call) => {
    call.service.mounts.clear(call.machine)
    return undefined
  },
}

const exports: Procedure = {
  name: "EXPORT",
  room: LIST_ROOM,
  anonymous: true,
  run: (call, { out }) => {
    for (const { name } of call.service.volumes) {
      if (out.room < 4 * PATH_MAX) break
      out.u32(1)
      out.text(name)
      // For everybody who reaches us.
      out.u32(0)
    }
    out.u32(0)
    return undefined
  },
}

export const mount: Program = {
  number: 100005,
  version: 3,
  procedures: [nothing, mnt, dump, umnt, umntall, exports],
}

interface Place {
  readonly volume: Volume
  readonly node: number
  /** Whether there is a reference to give away. */
  readonly counted: boolean
}

/** The volume with the longest name that the path begins with, and what is below it; or a status. No link is followed, and nothing leads up. */
function resolve(service: Service, path: Uint8Array, caller: Caller): Place | number {
  const names = split(path)
  for (let length = names.length; length >= 0; length--) {
    const name = `/${names
      .slice(0, length)
      .map((part) => Buffer.from(part).toString())
      .join("/")}`
    const volume = service.volumeByName(name)
    if (volume !== undefined) return descend(volume, names.slice(length), caller)
  }
  return status.NOENT
}

function descend(volume: Volume, names: readonly Uint8Array[], caller: Caller): Place | number {
  const { fileSystem } = volume
  let node = fileSystem.root
  let counted = false
  let result = fileSystem.getAttributes(node, -1, caller, found)
  for (const name of names) {
    if (result >= 0) result = step(volume, node, name, caller)
    if (counted) fileSystem.forget(node, 1)
    if (result < 0) return status.of(result)
    node = result
    counted = true
  }
  if (result < 0) return status.of(result)
  if (attributes.isDirectory(found)) return { volume, node, counted }
  if (counted) fileSystem.forget(node, 1)
  return status.NOTDIR
}

function step(volume: Volume, parent: number, name: Uint8Array, caller: Caller): number {
  const text = Buffer.from(name).toString("latin1")
  if (text === "." || text === "..") return -sys.EINVAL
  if (!attributes.isDirectory(found)) return -sys.ENOTDIR
  return volume.fileSystem.lookup(parent, name, caller, found)
}

function split(path: Uint8Array): Uint8Array[] {
  const names: Uint8Array[] = []
  let start = 0
  for (let index = 0; index <= path.length; index++) {
    if (index < path.length && path[index] !== SLASH) continue
    // Copies: names are asked for after the arguments are gone over.
    if (index > start) names.push(path.slice(start, index))
    start = index + 1
  }
  return names
}

function mountStatus(code: number): number {
  return STATUSES.has(code) ? code : status.IO
}
