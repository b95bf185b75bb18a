/**
 * The files of a share as the contract suite uses them, over NFS: what a guest's kernel makes of its programs' system calls, without caches.
 *
 * NFS knows no open files. A file that is open here and loses its name gets another one until it is closed, `.nfs…`, as all kernels do.
 *
 * @module
 */
import type { GuestFiles, GuestStat, OpenFile } from "@skep/contract-tests"
import type { Who } from "./call.ts"
import type { FileHandle, NfsMount } from "./mount.ts"

const ONCE = 64 * 1024
const TYPES: Readonly<Record<number, GuestStat["type"]>> = { 1: "file", 2: "directory", 5: "symlink" }
const ROOT: Who = { uid: 0, gid: 0 }
const NS = 1_000_000_000n

interface Open {
  count: number
  /** Where its other name is, once it has one. */
  hidden?: readonly [FileHandle, string]
}

/** `share` is the path of the share below what was mounted. */
export function nfsFiles(mount: NfsMount, share: string): GuestFiles {
  const open = new Map<string, Open>()
  let hiddenNames = 0

  const walk = async (path: string, who: Who = ROOT): Promise<FileHandle> => {
    let at = mount.root
    for (const name of [...share.split("/"), ...path.split("/")].filter((part) => part !== ""))
      at = await mount.lookup(at, name, who)
    return at
  }
  const place = async (path: string): Promise<readonly [FileHandle, string]> => {
    const slash = path.lastIndexOf("/")
    return [await walk(path.slice(0, Math.max(slash, 0))), path.slice(slash + 1)]
  }
  const write = async (file: FileHandle, offset: number, bytes: Uint8Array): Promise<readonly string[]> => {
    const verifiers = new Set<string>()
    for (let at = 0; at < bytes.length; ) {
      const { count, verifier } = await mount.write(file, offset + at, bytes.subarray(at, at + ONCE), ROOT)
      verifiers.add(verifier)
      at += count
    }
    return [...verifiers]
  }
  const opened = (file: FileHandle): OpenFile => {
    const key = file.toString("hex")
    const entry = open.get(key) ?? { count: 0 }
    entry.count++
    open.set(key, entry)
    let uncommitted: readonly string[] = []
    return {
      read: (offset, length) => mount.read(file, offset, length, ROOT),
      write: async (offset, bytes) => {
        uncommitted = [...uncommitted, ...(await write(file, offset, bytes))]
      },
      sync: async () => {
        const verifier = await mount.commit(file, ROOT)
        if (uncommitted.some((other) => other !== verifier))
          throw new Error("the server began anew: what was written is to be sent again")
        uncommitted = []
      },
      close: async () => {
        if (--entry.count > 0) return
        open.delete(key)
        if (entry.hidden !== undefined) await mount.remove(...entry.hidden, ROOT)
      },
    }
  }

  return {
    open: async (path) => opened(await walk(path)),
    write: async (path, bytes) => {
      const [directory, name] = await place(path)
      const file = await mount.lookup(directory, name, ROOT).catch((error: unknown) => {
        if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined
        throw error
      })
      if (file === undefined) await write(await mount.create(directory, name, ROOT), 0, bytes)
      else {
        await mount.change(file, { size: 0 }, ROOT)
        await write(file, 0, bytes)
      }
    },
    read: async (path) => {
      const file = await walk(path)
      const pieces: Uint8Array[] = []
      for (let offset = 0; ; ) {
        const piece = await mount.read(file, offset, ONCE, ROOT)
        pieces.push(piece)
        offset += piece.length
        if (piece.length === 0) return Buffer.concat(pieces)
      }
    },
    list: async (path) => await mount.list(await walk(path), ROOT),
    stat: async (path, uid = 0) => {
      const who = { uid, gid: uid }
      const found = await mount.attributes(await walk(path, who), who)
      return {
        type: TYPES[found.type] ?? "other",
        mode: found.mode & 0o7777,
        uid: found.uid,
        gid: found.gid,
        size: Number(found.size),
        links: found.links,
        modifyNs: BigInt(found.mtime[0]) * NS + BigInt(found.mtime[1]),
      }
    },
    makeDirectory: async (path) => await mount.makeDirectory(...(await place(path)), ROOT),
    symlink: async (target, path) => await mount.symlink(...(await place(path)), target, ROOT),
    readLink: async (path) => await mount.readLink(await walk(path), ROOT),
    link: async (path, to) => await mount.link(await walk(path), ...(await place(to)), ROOT),
    rename: async (from, to) => await mount.rename(await place(from), await place(to), ROOT),
    remove: async (path) => {
      const [directory, name] = await place(path)
      const entry = open.get((await mount.lookup(directory, name, ROOT)).toString("hex"))
      if (entry === undefined) return await mount.remove(directory, name, ROOT)
      const hidden = [directory, `.nfs${String(++hiddenNames).padStart(8, "0")}`] as const
      await mount.rename([directory, name], hidden, ROOT)
      entry.hidden = hidden
    },
    removeDirectory: async (path) => await mount.removeDirectory(...(await place(path)), ROOT),
    chmod: async (path, mode) => await mount.change(await walk(path), { mode }, ROOT),
    chown: async (path, uid, gid) => await mount.change(await walk(path), { uid, gid }, ROOT),
    truncate: async (path, size) => await mount.change(await walk(path), { size }, ROOT),
  }
}
