/**
 * As much of a file system over a directory of the host as the tests of events need: names, attributes, reading and writing. By path, so only for
 * trees that nobody moves directories of while they are open.
 *
 * @module
 */
import * as fs from "node:fs"
import { join } from "node:path"
import * as sys from "@skep/loop/sys"
import {
  type Attributes,
  type Done,
  type FileSystem,
  forwarding,
  type HowToCreate,
  type Name,
  type NodeId,
  type Pieces,
} from "@skep/vfs"

/** Refuses everything. */
const NOTHING: FileSystem = new Proxy({ root: 1 } as FileSystem, {
  get: (target, key) => (key === "root" ? target.root : () => -sys.ENOSYS),
})

/** All that is not said here is refused. */
function only(own: Partial<FileSystem>): FileSystem {
  return { ...forwarding(NOTHING), ...own }
}

export interface HostFiles {
  readonly fileSystem: FileSystem
  /** References of each node that the client has. */
  readonly references: ReadonlyMap<NodeId, number>
}

export function hostFiles(root: string): HostFiles {
  const paths = new Map<NodeId, string>([[1, root]])
  const nodes = new Map<string, NodeId>([[keyOf(root), 1]])
  const references = new Map<NodeId, number>()
  let next = 2
  const pathOf = (parent: NodeId, name: Name): string =>
    join(paths.get(parent) ?? "/nowhere", Buffer.from(name).toString("utf8"))
  const show = (path: string, into: Attributes): number => {
    try {
      fill(fs.lstatSync(path, { bigint: true }), into)
      return 0
    } catch (error) {
      return errnoOf(error)
    }
  }
  const enter = (path: string, into: Attributes): number => {
    const result = show(path, into)
    if (result < 0) return result
    // Numbers of inodes are used again, at once.
    const inode = keyOf(path)
    const node = nodes.get(inode) ?? next++
    nodes.set(inode, node)
    if (node !== 1) paths.set(node, path)
    references.set(node, (references.get(node) ?? 0) + 1)
    return node
  }
  const attempt = (work: () => void): number => {
    try {
      work()
      return 0
    } catch (error) {
      return errnoOf(error)
    }
  }
  const fileSystem = only({
    lookup: (parent, name, _caller, into) => enter(pathOf(parent, name), into),
    forget: (node, count) => void references.set(node, (references.get(node) ?? 0) - count),
    getAttributes: (node, _handle, _caller, into) => show(paths.get(node) ?? "/nowhere", into),
    setAttributes: (node, _handle, changes, _caller, into) => {
      const path = paths.get(node) ?? "/nowhere"
      if (changes.mode !== undefined) fs.chmodSync(path, changes.mode & 0o7777)
      if (changes.size !== undefined) fs.truncateSync(path, changes.size)
      return show(path, into)
    },
    makeNode: (parent, name, _node, _caller, into) => {
      const result = attempt(() => fs.writeFileSync(pathOf(parent, name), "", { flag: "wx" }))
      return result < 0 ? result : enter(pathOf(parent, name), into)
    },
    makeDirectory: (parent, name, _mode, _caller, into) => {
      const result = attempt(() => fs.mkdirSync(pathOf(parent, name)))
      return result < 0 ? result : enter(pathOf(parent, name), into)
    },
    unlink: (parent, name) => attempt(() => fs.unlinkSync(pathOf(parent, name))),
    removeDirectory: (parent, name) => attempt(() => fs.rmdirSync(pathOf(parent, name))),
    rename: (from, to) =>
      attempt(() => fs.renameSync(pathOf(from.parent, from.name), pathOf(to.parent, to.name))),
    open: (node, flags) => sys.open(paths.get(node) ?? "/nowhere", flags),
    create: (parent: NodeId, name: Name, how: HowToCreate, _caller, into) => {
      how.opened = sys.open(pathOf(parent, name), how.flags | sys.O_CREAT, 0o644)
      return how.opened < 0 ? how.opened : enter(pathOf(parent, name), into)
    },
    release: (handle) => void sys.close(handle),
    read: (handle, offset, into: Pieces, done: Done) =>
      done(sys.preadv(handle, into.address, into.count, offset)),
    write: (handle, offset, from: Pieces, done: Done) =>
      done(sys.pwritev(handle, from.address, from.count, offset)),
    openDirectory: (node) => node,
    readDirectory: (handle, cookie, visit) => {
      const names = fs.readdirSync(paths.get(handle) ?? "/nowhere")
      for (let at = Number(cookie); at < names.length; at++) {
        const entry = {
          name: Buffer.from(names[at] ?? ""),
          cookie: BigInt(at + 1),
          type: 0,
          inoLow: 1,
          inoHigh: 0,
        }
        if (!visit(entry)) break
      }
      return 0
    },
    releaseDirectory: () => undefined,
  })
  return { fileSystem, references }
}

function keyOf(path: string): string {
  const { dev, ino, birthtimeNs } = fs.lstatSync(path, { bigint: true })
  return `${dev}:${ino}:${birthtimeNs}`
}

function errnoOf(error: unknown): number {
  const code = error instanceof Error && "code" in error ? String(error.code) : "EIO"
  return -(sys.errnoOf(code) ?? sys.EIO)
}

function fill(stat: fs.BigIntStats, into: Attributes): void {
  into.inoLow = Number(stat.ino & 0xffffffffn)
  into.inoHigh = Number(stat.ino >> 32n)
  into.device = Number(stat.dev)
  into.mode = Number(stat.mode)
  into.links = Number(stat.nlink)
  into.uid = Number(stat.uid)
  into.gid = Number(stat.gid)
  into.rdev = Number(stat.rdev)
  into.size = Number(stat.size)
  into.blocks = Number(stat.blocks)
  into.modifySeconds = Number(stat.mtimeNs / 1_000_000_000n)
  into.modifyNanoseconds = Number(stat.mtimeNs % 1_000_000_000n)
  into.changeSeconds = Number(stat.ctimeNs / 1_000_000_000n)
  into.changeNanoseconds = Number(stat.ctimeNs % 1_000_000_000n)
}
