/**
 * Extended attributes without those that a layer keeps for itself.
 *
 * @module
 */
import * as sys from "@skep/loop/sys"
import type { FileSystem, Name } from "../filesystem.ts"
import { ERANGE } from "../memory/linux.ts"
import { keyOf } from "../memory/name.ts"
import { RESERVED } from "./records.ts"

type Extended = Pick<FileSystem, "getExtended" | "setExtended" | "listExtended" | "removeExtended">

/** XATTR_LIST_MAX of linux/limits.h. */
const LIST_MAX = 65_536

/** Those calls of a file system, refusing and leaving out what is reserved. */
export function hiding(fs: FileSystem): Extended {
  const room = Buffer.alloc(LIST_MAX)
  return {
    getExtended: (node, name, into) =>
      isReserved(name) ? known(fs, node, -sys.EPERM) : fs.getExtended(node, name, into),
    setExtended: (node, name, value, flags) =>
      isReserved(name) ? known(fs, node, -sys.EPERM) : fs.setExtended(node, name, value, flags),
    removeExtended: (node, name) =>
      isReserved(name) ? known(fs, node, -sys.EPERM) : fs.removeExtended(node, name),
    listExtended: (node, into) => {
      const length = fs.listExtended(node, room)
      if (length < 0) return length
      const names = room.toString("latin1", 0, length).split("\0")
      const shown = names.filter((name) => name !== "" && !name.startsWith(RESERVED))
      const list = Buffer.from(shown.map((name) => `${name}\0`).join(""), "latin1")
      if (into.length === 0) return list.length
      if (into.length < list.length) return -ERANGE
      into.set(list)
      return list.length
    },
  }
}

function isReserved(name: Name): boolean {
  return keyOf(name).startsWith(RESERVED)
}

/** A refusal, unless the node itself is not known. */
function known(fs: FileSystem, node: number, refusal: number): number {
  const result = fs.listExtended(node, new Uint8Array(0))
  return result === -sys.ESTALE ? result : refusal
}
