/**
 * A file system that does what another does, to put something else in the place of some of it.
 *
 * @module
 */
import type { FileSystem } from "@skep/vfs"

/** The other's operations with some replaced. */
export function layered(inner: FileSystem, own: Partial<FileSystem>): FileSystem {
  return {
    root: inner.root,
    lookup: (parent, name, caller, into) => inner.lookup(parent, name, caller, into),
    forget: (node, count) => inner.forget(node, count),
    durable: (node, into) => inner.durable(node, into),
    find: (durable) => inner.find(durable),
    getAttributes: (node, handle, caller, into) => inner.getAttributes(node, handle, caller, into),
    setAttributes: (node, handle, changes, caller, into) =>
      inner.setAttributes(node, handle, changes, caller, into),
    readLink: (node, into) => inner.readLink(node, into),
    makeNode: (parent, name, node, caller, into) => inner.makeNode(parent, name, node, caller, into),
    makeDirectory: (parent, name, mode, caller, into) =>
      inner.makeDirectory(parent, name, mode, caller, into),
    makeSymlink: (parent, name, target, caller, into) =>
      inner.makeSymlink(parent, name, target, caller, into),
    link: (node, parent, name, caller, into) => inner.link(node, parent, name, caller, into),
    unlink: (parent, name, caller) => inner.unlink(parent, name, caller),
    removeDirectory: (parent, name, caller) => inner.removeDirectory(parent, name, caller),
    rename: (from, to, flags, caller) => inner.rename(from, to, flags, caller),
    open: (node, flags, caller) => inner.open(node, flags, caller),
    create: (parent, name, how, caller, into) => inner.create(parent, name, how, caller, into),
    release: (handle) => inner.release(handle),
    read: (handle, offset, into, done) => inner.read(handle, offset, into, done),
    write: (handle, offset, from, done) => inner.write(handle, offset, from, done),
    sync: (handle, dataOnly, done) => inner.sync(handle, dataOnly, done),
    allocate: (handle, mode, offset, length, done) => inner.allocate(handle, mode, offset, length, done),
    seek: (handle, offset, whence) => inner.seek(handle, offset, whence),
    copy: (...args) => inner.copy(...args),
    openDirectory: (node, caller) => inner.openDirectory(node, caller),
    readDirectory: (handle, cookie, visit) => inner.readDirectory(handle, cookie, visit),
    releaseDirectory: (handle) => inner.releaseDirectory(handle),
    getExtended: (node, name, into) => inner.getExtended(node, name, into),
    setExtended: (node, name, value, flags) => inner.setExtended(node, name, value, flags),
    listExtended: (node, into) => inner.listExtended(node, into),
    removeExtended: (node, name) => inner.removeExtended(node, name),
    getLock: (handle, owner, lock) => inner.getLock(handle, owner, lock),
    setLock: (handle, owner, lock) => inner.setLock(handle, owner, lock),
    usage: (node, into) => inner.usage(node, into),
    [Symbol.dispose]: () => inner[Symbol.dispose](),
    ...own,
  }
}
