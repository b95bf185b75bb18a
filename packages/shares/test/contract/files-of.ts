/**
 * The files of a share as the contract suite uses them, over any file system whose root has the shares by their numbers.
 *
 * @module
 */
import type { GuestFiles, GuestStat, OpenFile } from "@skep/contract-tests"
import { addressOf, errnoName } from "@skep/loop/sys"
import { type Caller, type Changes, type FileSystem, newAttributes, type Pieces } from "@skep/vfs"

const ENOENT = 2
const O_RDWR = 2
const O_TRUNC = 0o1000
const S_IFMT = 0o170000
const ONCE = 64 * 1024
const PAGE = 4096
const PATH_MAX = 4096
const TYPES: Readonly<Record<number, GuestStat["type"]>> = {
  0o100000: "file",
  0o040000: "directory",
  0o120000: "symlink",
}

export interface FilesOf {
  readonly fs: FileSystem
  /** The directory of the share below the root. */
  readonly share: string
  /** Makes progress with calls that have a `Done`; called until it is there. */
  readonly turn: () => Promise<void>
  /** Whether calls wait for their answer. */
  readonly waits: (on: boolean) => void
}

interface Held {
  readonly node: number
  readonly drop: () => void
}

/** Bytes in memory that does not move, cut into pieces of a page. */
class Memory {
  readonly bytes: Uint8Array<ArrayBuffer>
  readonly pieces: Pieces
  // Kept, because the pieces point into it.
  readonly iovecs: BigUint64Array<ArrayBuffer>

  constructor(length: number, content?: Uint8Array) {
    const buffer = new ArrayBuffer(Math.max(length, 1))
    this.bytes = new Uint8Array(buffer, 0, length)
    if (content !== undefined) this.bytes.set(content)
    const count = Math.ceil(length / PAGE)
    this.iovecs = new BigUint64Array(Math.max(count, 1) * 2)
    for (let index = 0; index < count; index++)
      this.iovecs.set(
        [BigInt(addressOf(buffer) + index * PAGE), BigInt(Math.min(PAGE, length - index * PAGE))],
        index * 2,
      )
    this.pieces = { address: addressOf(this.iovecs.buffer), count, bytes: length }
  }
}

export function filesOf({ fs, share, turn, waits }: FilesOf): GuestFiles {
  const root: Caller = { uid: 0, gid: 0, pid: 1 }

  const sure = (result: number): number => {
    if (result >= 0) return result
    throw Object.assign(new Error(errnoName(result)), { code: errnoName(result) })
  }
  const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
  /** The node of a path, with references on all that lead to it: a kernel has those as long as it uses the node. */
  const hold = (path: string, caller: Caller = root): Held => {
    const held: number[] = []
    const drop = (): void => {
      for (const node of held) fs.forget(node, 1)
    }
    try {
      let node = fs.root
      for (const name of [share, ...path.split("/")].filter((part) => part !== "")) {
        node = sure(fs.lookup(node, bytes(name), caller, newAttributes()))
        held.push(node)
      }
      return { node, drop }
    } catch (error) {
      drop()
      throw error
    }
  }
  const at = <T>(path: string, use: (node: number) => T, caller: Caller = root): T => {
    const { node, drop } = hold(path, caller)
    try {
      return use(node)
    } finally {
      drop()
    }
  }
  const parts = (path: string): { readonly parent: string; readonly name: Uint8Array } => {
    const slash = path.lastIndexOf("/")
    return { parent: path.slice(0, Math.max(slash, 0)), name: bytes(path.slice(slash + 1)) }
  }
  const inParent = <T>(path: string, use: (parent: number, name: Uint8Array) => T): T => {
    const { parent, name } = parts(path)
    return at(parent, (node) => use(node, name))
  }
  const made = (node: number): void => fs.forget(sure(node), 1)
  const done = async (begin: (done: (result: number) => void) => void): Promise<number> => {
    let result: number | undefined
    waits(false)
    try {
      begin((answer) => {
        result = answer
      })
    } finally {
      waits(true)
    }
    while (result === undefined) await turn()
    return sure(result)
  }
  const opened = (handle: number, held: Held): OpenFile => ({
    read: async (offset, length) => {
      const buffers = new Memory(length)
      const read = await done((end) => fs.read(handle, offset, buffers.pieces, end))
      return buffers.bytes.slice(0, read)
    },
    write: async (offset, content) => {
      for (let from = 0; from < content.length; from += ONCE) {
        const part = content.subarray(from, from + ONCE)
        const buffers = new Memory(part.length, part)
        await done((end) => fs.write(handle, offset + from, buffers.pieces, end))
      }
    },
    sync: async () => {
      await done((end) => fs.sync(handle, false, end))
    },
    close: () => {
      fs.release(handle)
      held.drop()
    },
  })
  const openPath = (path: string, flags: number): OpenFile => {
    const held = hold(path)
    const handle = fs.open(held.node, flags, root)
    if (handle < 0) held.drop()
    return opened(sure(handle), held)
  }
  /** As a kernel does: what is there is opened, what is not is made. */
  const openOrMake = (path: string): OpenFile => {
    const held = hold(parts(path).parent)
    const { name } = parts(path)
    const found = fs.lookup(held.node, name, root, newAttributes())
    if (found >= 0) {
      fs.forget(found, 1)
      held.drop()
      return openPath(path, O_RDWR | O_TRUNC)
    }
    const how = { flags: O_RDWR, mode: 0o644, opened: -1 }
    const node = found === -ENOENT ? fs.create(held.node, name, how, root, newAttributes()) : found
    if (node < 0) held.drop()
    sure(node)
    return opened(how.opened, {
      node,
      drop: () => {
        fs.forget(node, 1)
        held.drop()
      },
    })
  }
  const change = (path: string, changes: Changes): void => {
    at(path, (node) => sure(fs.setAttributes(node, -1, changes, root, newAttributes())))
  }

  return {
    open: async (path) => openPath(path, O_RDWR),
    write: async (path, content) => {
      const file = openOrMake(path)
      try {
        await file.write(0, content)
      } finally {
        await file.close()
      }
    },
    read: async (path) => {
      const file = openPath(path, 0)
      const pieces: Uint8Array[] = []
      for (let offset = 0; ; ) {
        const piece = await file.read(offset, ONCE)
        pieces.push(piece)
        offset += piece.length
        if (piece.length === 0) break
      }
      await file.close()
      return Buffer.concat(pieces)
    },
    list: async (path) => {
      const held = hold(path)
      const handle = sure(fs.openDirectory(held.node, root))
      const names: string[] = []
      sure(
        fs.readDirectory(handle, 0n, ({ name }) => {
          names.push(new TextDecoder().decode(name))
          return true
        }),
      )
      fs.releaseDirectory(handle)
      held.drop()
      return names.filter((name) => name !== "." && name !== "..")
    },
    stat: async (path, uid = 0) => {
      const caller = { uid, gid: uid, pid: 1 }
      const into = newAttributes()
      at(path, (node) => sure(fs.getAttributes(node, -1, caller, into)), caller)
      return {
        type: TYPES[into.mode & S_IFMT] ?? "other",
        mode: into.mode & 0o7777,
        uid: into.uid,
        gid: into.gid,
        size: into.size,
        links: into.links,
        modifyNs: BigInt(into.modifySeconds) * 1_000_000_000n + BigInt(into.modifyNanoseconds),
      }
    },
    makeDirectory: async (path) => {
      inParent(path, (parent, name) => made(fs.makeDirectory(parent, name, 0o755, root, newAttributes())))
    },
    symlink: async (target, path) => {
      const content = bytes(target)
      inParent(path, (parent, name) => made(fs.makeSymlink(parent, name, content, root, newAttributes())))
    },
    readLink: async (path) => {
      const into = new Uint8Array(PATH_MAX)
      return new TextDecoder().decode(
        into.subarray(
          0,
          at(path, (node) => sure(fs.readLink(node, into))),
        ),
      )
    },
    link: async (path, to) => {
      at(path, (node) =>
        inParent(to, (parent, name) => made(fs.link(node, parent, name, root, newAttributes()))),
      )
    },
    // Whoever takes a name away has looked it up.
    rename: async (from, to) => {
      at(from, () =>
        inParent(from, (parent, name) =>
          inParent(to, (other, newName) =>
            sure(fs.rename({ parent, name }, { parent: other, name: newName }, 0, root)),
          ),
        ),
      )
    },
    remove: async (path) => {
      at(path, () => inParent(path, (parent, name) => sure(fs.unlink(parent, name, root))))
    },
    removeDirectory: async (path) => {
      at(path, () => inParent(path, (parent, name) => sure(fs.removeDirectory(parent, name, root))))
    },
    chmod: async (path, mode) => change(path, { mode }),
    chown: async (path, uid, gid) => change(path, { uid, gid }),
    truncate: async (path, size) => change(path, { size }),
  }
}
