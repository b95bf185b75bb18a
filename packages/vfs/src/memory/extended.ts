/**
 * Extended attributes in memory, with the rules of Linux for their names (xattr(7), fs/xattr.c).
 *
 * @module
 */
import * as sys from "@skep/loop/sys"
import type { Name, NodeId } from "../filesystem.ts"
import { XATTR_CREATE, XATTR_REPLACE } from "../filesystem.ts"
import type { ExtendedCalls } from "../forwarding.ts"
import type { Inode } from "./inode.ts"
import { XATTR_NAME_MAX, XATTR_SIZE_MAX } from "./linux.ts"
import { keyOf } from "./name.ts"
import type { Tree } from "./tree.ts"

const USER = "user."
const NAMESPACES: readonly string[] = [USER, "trusted.", "security."]
/** What layers above keep for themselves begins so. */
const RESERVED = "user.skep."

export interface ExtendedOptions {
  /** Whether there are any at all. */
  readonly extended: boolean
  /** Whether it is for the reserved ones alone, or for all but them. */
  readonly reserved: boolean
}

/** Those calls of a file system. */
export function calls(tree: Tree, options: ExtendedOptions): ExtendedCalls {
  const at = (node: NodeId, call: (inode: Inode) => number): number => {
    const inode = tree.node(node)
    return typeof inode === "number" ? inode : call(inode)
  }
  const change = (node: NodeId, call: (inode: Inode) => number): number =>
    at(node, (inode) => {
      const result = tree.writable || call(inode)
      if (result === 0) tree.touch(inode, false)
      return result
    })
  return {
    getExtended: (node, name, into) => at(node, (inode) => get(options, inode, name, into)),
    setExtended: (node, name, value, flags) =>
      change(node, (inode) => set(options, inode, name, { value, flags })),
    listExtended: (node, into) => at(node, (inode) => list(options, inode, into)),
    removeExtended: (node, name) => change(node, (inode) => remove(options, inode, name)),
  }
}

function get(options: ExtendedOptions, inode: Inode, name: Name, into: Uint8Array): number {
  const key = keyOf(name)
  const refused = checkAttribute(options, inode, key, -sys.ENODATA)
  if (refused < 0) return refused
  const value = inode.extended.get(key)
  return value === undefined ? -sys.ENODATA : fill(into, value)
}

function set(options: ExtendedOptions, inode: Inode, name: Name, change: Change): number {
  const key = keyOf(name)
  const refused = checkAttribute(options, inode, key, -sys.EPERM) || checkChange(change)
  if (refused < 0) return refused
  const there = inode.extended.has(key)
  if (there && change.flags === XATTR_CREATE) return -sys.EEXIST
  if (!there && change.flags === XATTR_REPLACE) return -sys.ENODATA
  inode.extended.set(key, new Uint8Array(change.value))
  return 0
}

interface Change {
  readonly value: Uint8Array
  readonly flags: number
}

function list(options: ExtendedOptions, inode: Inode, into: Uint8Array): number {
  if (!options.extended) return -sys.EOPNOTSUPP
  const shown = [...inode.extended.keys()].filter((key) => key.startsWith(RESERVED) === options.reserved)
  return fill(into, Buffer.from(shown.map((key) => `${key}\0`).join(""), "latin1"))
}

function remove(options: ExtendedOptions, inode: Inode, name: Name): number {
  const key = keyOf(name)
  const refused = checkAttribute(options, inode, key, -sys.EPERM)
  if (refused < 0) return refused
  return inode.extended.delete(key) ? 0 : -sys.ENODATA
}

function checkAttribute(options: ExtendedOptions, inode: Inode, key: string, onSpecial: number): number {
  if (!options.extended) return -sys.EOPNOTSUPP
  if (key.length === 0 || key.length > XATTR_NAME_MAX) return -sys.ERANGE
  if (key.includes("\0")) return -sys.EINVAL
  const namespace = NAMESPACES.find((prefix) => key.startsWith(prefix))
  if (namespace === undefined) return -sys.EOPNOTSUPP
  if (key === namespace) return -sys.EINVAL
  if (key.startsWith(RESERVED) !== options.reserved) return -sys.EPERM
  const { kind } = inode.content
  // xattr(7): user attributes are for files and directories, because permissions mean something else on the others.
  return namespace === USER && kind !== "file" && kind !== "directory" ? onSpecial : 0
}

function checkChange({ value, flags }: Change): number {
  if (flags !== 0 && flags !== XATTR_CREATE && flags !== XATTR_REPLACE) return -sys.EINVAL
  return value.length > XATTR_SIZE_MAX ? -sys.E2BIG : 0
}

function fill(into: Uint8Array, value: Uint8Array): number {
  if (into.length === 0) return value.length
  if (into.length < value.length) return -sys.ERANGE
  into.set(value)
  return value.length
}
