/**
 * Files of a share that nobody is to see: Skep's own directory with its keys lies in the home directory that is shared by default.
 *
 * They are known by what they are (device and inode), so no other path and no rename around them leads there. Their names look free, but nothing
 * can be made there.
 *
 * @module
 */
import {
  type Attributes,
  type Caller,
  type FileSystem,
  forwarding,
  type Name,
  newAttributes,
} from "@skep/vfs"

const ENOENT = 2
const EACCES = 13
const ESTALE = 116

/** A file of the host. */
export interface HiddenFile {
  readonly device: number
  readonly inoLow: number
  readonly inoHigh: number
  /** Its last name. */
  readonly name: Uint8Array
}

/** What is hidden; another list may be put at any time. */
export interface Hidden {
  list: readonly HiddenFile[]
}

const NOBODY: Caller = { uid: 0, gid: 0, pid: 0 }

export function withHidden(inner: FileSystem, hidden: Hidden): FileSystem {
  const attributes = newAttributes()
  const isHidden = (found: Attributes): boolean =>
    hidden.list.some(
      ({ device, inoLow, inoHigh }) =>
        found.inoLow === inoLow && found.inoHigh === inoHigh && found.device === device,
    )
  /** Whether a name leads to a hidden file: asked only of names that one has. */
  const leadsThere = (parent: number, name: Name, caller: Caller): boolean => {
    if (!hidden.list.some((file) => equal(file.name, name))) return false
    const node = inner.lookup(parent, name, caller, attributes)
    if (node < 0) return false
    inner.forget(node, 1)
    return isHidden(attributes)
  }
  /** Gives the node back where it is a hidden one. */
  const unlessHidden = (node: number, into: Attributes, refusal: number): number => {
    if (node < 0 || !isHidden(into)) return node
    inner.forget(node, 1)
    return refusal
  }
  return {
    ...forwarding(inner),
    lookup: (parent, name, caller, into) =>
      unlessHidden(inner.lookup(parent, name, caller, into), into, -ENOENT),
    find: (durable) => {
      const node = inner.find(durable)
      if (node < 0 || inner.getAttributes(node, -1, NOBODY, attributes) < 0) return node
      return unlessHidden(node, attributes, -ESTALE)
    },
    create: (parent, name, how, caller, into) =>
      leadsThere(parent, name, caller) ? -EACCES : inner.create(parent, name, how, caller, into),
    unlink: (parent, name, caller) =>
      leadsThere(parent, name, caller) ? -ENOENT : inner.unlink(parent, name, caller),
    removeDirectory: (parent, name, caller) =>
      leadsThere(parent, name, caller) ? -ENOENT : inner.removeDirectory(parent, name, caller),
    rename: (from, to, flags, caller) => {
      if (leadsThere(from.parent, from.name, caller)) return -ENOENT
      if (leadsThere(to.parent, to.name, caller)) return -EACCES
      return inner.rename(from, to, flags, caller)
    },
    readDirectory: (handle, cookie, visit) =>
      inner.readDirectory(handle, cookie, (entry) => {
        const skipped = hidden.list.some(
          ({ name, inoLow, inoHigh }) =>
            entry.inoLow === inoLow && entry.inoHigh === inoHigh && equal(name, entry.name),
        )
        return skipped || visit(entry)
      }),
  }
}

function equal(left: Uint8Array, right: Uint8Array): boolean {
  return left.length === right.length && left.every((byte, index) => byte === right[index])
}
