/**
 * A file system that passes every call on: what a layer around another begins with.
 *
 * @module
 */
import type { FileSystem } from "./filesystem.ts"

/** Those calls of a file system that are about extended attributes. */
export type ExtendedCalls = Pick<
  FileSystem,
  "getExtended" | "setExtended" | "listExtended" | "removeExtended"
>

/** A file system that keeps attributes for a layer above, which clients do not see: their names begin with `user.skep.`. */
export interface KeepingFileSystem extends FileSystem {
  readonly reserved?: ExtendedCalls | undefined
}

/** All of `fs`, as an object whose parts a layer may replace. It ends with `fs`. */
export function forwarding(fs: KeepingFileSystem): KeepingFileSystem {
  return {
    reserved: fs.reserved,
    root: fs.root,
    lookup: fs.lookup.bind(fs),
    forget: fs.forget.bind(fs),
    durable: fs.durable.bind(fs),
    find: fs.find.bind(fs),
    getAttributes: fs.getAttributes.bind(fs),
    setAttributes: fs.setAttributes.bind(fs),
    readLink: fs.readLink.bind(fs),
    makeNode: fs.makeNode.bind(fs),
    makeDirectory: fs.makeDirectory.bind(fs),
    makeSymlink: fs.makeSymlink.bind(fs),
    link: fs.link.bind(fs),
    unlink: fs.unlink.bind(fs),
    removeDirectory: fs.removeDirectory.bind(fs),
    rename: fs.rename.bind(fs),
    open: fs.open.bind(fs),
    create: fs.create.bind(fs),
    release: fs.release.bind(fs),
    read: fs.read.bind(fs),
    write: fs.write.bind(fs),
    sync: fs.sync.bind(fs),
    allocate: fs.allocate.bind(fs),
    seek: fs.seek.bind(fs),
    copy: fs.copy.bind(fs),
    openDirectory: fs.openDirectory.bind(fs),
    readDirectory: fs.readDirectory.bind(fs),
    releaseDirectory: fs.releaseDirectory.bind(fs),
    getExtended: fs.getExtended.bind(fs),
    setExtended: fs.setExtended.bind(fs),
    listExtended: fs.listExtended.bind(fs),
    removeExtended: fs.removeExtended.bind(fs),
    getLock: fs.getLock.bind(fs),
    setLock: fs.setLock.bind(fs),
    usage: fs.usage.bind(fs),
    [Symbol.dispose]: fs[Symbol.dispose].bind(fs),
  }
}
