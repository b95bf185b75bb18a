/**
 * A mount of a guest: MOUNT and the NFS procedures (RFC 1813) that its programs' system calls become.
 *
 * @module
 */
import { setTimeout as delay } from "node:timers/promises"
import { type Fattr, readFattr, type Sattr, writeSattr } from "../../../packages/nfs/test/nfs3.ts"
import { type XdrReader, XdrWriter } from "../../../packages/nfs/test/xdr.ts"
import type { HardRpc, Who } from "./call.ts"

const NFS = { program: 100003, version: 3 }
const MOUNT = { program: 100005, version: 3 }
const JUKEBOX = 10008
/** As long as the kernel's client waits before it asks again is too long for a test. */
const JUKEBOX_MS = 50
const LIST_BYTES = 32 * 1024
export const UNSTABLE = 0

/** nfsstat3 and mountstat3 by the errno that a program sees. */
const ERRORS: Readonly<Record<number, string>> = {
  1: "EPERM",
  2: "ENOENT",
  5: "EIO",
  6: "ENXIO",
  13: "EACCES",
  17: "EEXIST",
  18: "EXDEV",
  19: "ENODEV",
  20: "ENOTDIR",
  21: "EISDIR",
  22: "EINVAL",
  27: "EFBIG",
  28: "ENOSPC",
  30: "EROFS",
  31: "EMLINK",
  63: "ENAMETOOLONG",
  66: "ENOTEMPTY",
  69: "EDQUOT",
  70: "ESTALE",
  10001: "ESTALE",
  10004: "EOPNOTSUPP",
  10006: "EREMOTEIO",
  10007: "EBADTYPE",
}

export type FileHandle = Buffer

export class NfsMount {
  readonly root: FileHandle
  readonly #rpc: HardRpc

  /** Asks for a path as mount(8) does. */
  static async at(path: string, { nfs, mount }: { nfs: HardRpc; mount: HardRpc }): Promise<NfsMount> {
    const args = new XdrWriter().opaque(path)
    const r = await mount.call({ ...MOUNT, procedure: 1 }, args, { uid: 0, gid: 0 })
    sure(r.u32())
    return new NfsMount(nfs, r.opaque())
  }

  constructor(rpc: HardRpc, root: FileHandle) {
    this.#rpc = rpc
    this.root = root
  }

  async attributes(file: FileHandle, who: Who): Promise<Fattr> {
    return readFattr(await this.#call(1, handle(file), who))
  }

  async change(file: FileHandle, changes: Sattr, who: Who): Promise<void> {
    await this.#call(2, writeSattr(handle(file), changes).u32(0), who)
  }

  async lookup(directory: FileHandle, name: string, who: Who): Promise<FileHandle> {
    return (await this.#call(3, handle(directory).opaque(name), who)).opaque()
  }

  async readLink(file: FileHandle, who: Who): Promise<string> {
    const r = await this.#call(5, handle(file), who)
    skipPost(r)
    return r.opaque().toString()
  }

  async read(file: FileHandle, offset: number, count: number, who: Who): Promise<Buffer> {
    const r = await this.#call(6, handle(file).u64(offset).u32(count), who)
    skipPost(r)
    r.u32()
    r.u32()
    return r.opaque()
  }

  /** Returns how much was written, and the verifier. */
  async write(file: FileHandle, offset: number, bytes: Uint8Array, who: Who) {
    const args = handle(file).u64(offset).u32(bytes.length).u32(UNSTABLE).opaque(bytes)
    const r = await this.#call(7, args, who)
    skipWcc(r)
    const count = r.u32()
    r.u32()
    return { count, verifier: r.fixed(8).toString("hex") }
  }

  async create(directory: FileHandle, name: string, who: Who): Promise<FileHandle> {
    const args = writeSattr(handle(directory).opaque(name).u32(0), { mode: 0o644 })
    return await this.#made(await this.#call(8, args, who), directory, name, who)
  }

  async makeDirectory(directory: FileHandle, name: string, who: Who): Promise<void> {
    await this.#call(9, writeSattr(handle(directory).opaque(name), { mode: 0o755 }), who)
  }

  async symlink(directory: FileHandle, name: string, target: string, who: Who): Promise<void> {
    await this.#call(10, writeSattr(handle(directory).opaque(name), {}).opaque(target), who)
  }

  async remove(directory: FileHandle, name: string, who: Who): Promise<void> {
    await this.#call(12, handle(directory).opaque(name), who)
  }

  async removeDirectory(directory: FileHandle, name: string, who: Who): Promise<void> {
    await this.#call(13, handle(directory).opaque(name), who)
  }

  async rename(from: readonly [FileHandle, string], to: readonly [FileHandle, string], who: Who) {
    const args = handle(from[0]).opaque(from[1]).opaque(to[0]).opaque(to[1])
    await this.#call(14, args, who)
  }

  async link(file: FileHandle, directory: FileHandle, name: string, who: Who): Promise<void> {
    await this.#call(15, handle(file).opaque(directory).opaque(name), who)
  }

  /** All names but `.` and `..`, by READDIRPLUS. */
  async list(directory: FileHandle, who: Who): Promise<readonly string[]> {
    const names: string[] = []
    let verifier = Buffer.alloc(8)
    for (let cookie = 0n; ; ) {
      const args = handle(directory).u64(cookie).fixed(verifier).u32(LIST_BYTES).u32(LIST_BYTES)
      const r = await this.#call(17, args, who)
      skipPost(r)
      verifier = Buffer.from(r.fixed(8))
      while (r.u32() === 1) {
        r.u64()
        names.push(r.opaque().toString())
        cookie = r.u64()
        skipPost(r)
        if (r.u32() === 1) r.opaque()
      }
      if (r.u32() === 1) return names.filter((name) => name !== "." && name !== "..")
    }
  }

  /** Returns the verifier. */
  async commit(file: FileHandle, who: Who): Promise<string> {
    const r = await this.#call(21, handle(file).u64(0).u32(0), who)
    skipWcc(r)
    return r.fixed(8).toString("hex")
  }

  /** A server need not say what it made. */
  async #made(r: XdrReader, directory: FileHandle, name: string, who: Who): Promise<FileHandle> {
    return r.u32() === 1 ? r.opaque() : await this.lookup(directory, name, who)
  }

  async #call(procedure: number, args: XdrWriter, who: Who): Promise<XdrReader> {
    for (;;) {
      const r = await this.#rpc.call({ ...NFS, procedure }, args, who)
      const status = r.u32()
      if (status !== JUKEBOX) {
        sure(status)
        return r
      }
      await delay(JUKEBOX_MS)
    }
  }
}

function handle(file: FileHandle): XdrWriter {
  return new XdrWriter().opaque(file)
}

function sure(status: number): void {
  if (status === 0) return
  const code = ERRORS[status] ?? `NFS3ERR ${status}`
  throw Object.assign(new Error(code), { code })
}

function skipPost(r: XdrReader): void {
  if (r.u32() === 1) readFattr(r)
}

function skipWcc(r: XdrReader): void {
  if (r.u32() === 1) r.fixed(24)
  skipPost(r)
}
