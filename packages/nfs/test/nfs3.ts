/**
 * The NFS procedures as a client of them writes and reads, RFC 1813: for tests.
 *
 * @module
 */
import { type Client, MOUNT, NFS } from "./client.ts"
import { XdrReader, XdrWriter } from "./xdr.ts"

export interface Fattr {
  readonly type: number
  readonly mode: number
  readonly links: number
  readonly uid: number
  readonly gid: number
  readonly size: bigint
  readonly used: bigint
  readonly rdev: readonly [number, number]
  readonly fsid: bigint
  readonly fileid: bigint
  readonly atime: readonly [number, number]
  readonly mtime: readonly [number, number]
  readonly ctime: readonly [number, number]
}

export interface Wcc {
  readonly before:
    | { readonly size: bigint; readonly mtime: readonly number[]; readonly ctime: readonly number[] }
    | undefined
  readonly after: Fattr | undefined
}

export interface Sattr {
  readonly mode?: number
  readonly uid?: number
  readonly gid?: number
  readonly size?: bigint | number
  readonly atime?: "now" | readonly [number, number]
  readonly mtime?: "now" | readonly [number, number]
}

export interface Entry {
  readonly fileid: bigint
  readonly name: string
  readonly cookie: bigint
  readonly attributes?: Fattr | undefined
  readonly handle?: Buffer | undefined
}

export const OK = 0

export function readFattr(r: XdrReader): Fattr {
  return {
    type: r.u32(),
    mode: r.u32(),
    links: r.u32(),
    uid: r.u32(),
    gid: r.u32(),
    size: r.u64(),
    used: r.u64(),
    rdev: [r.u32(), r.u32()],
    fsid: r.u64(),
    fileid: r.u64(),
    atime: [r.u32(), r.u32()],
    mtime: [r.u32(), r.u32()],
    ctime: [r.u32(), r.u32()],
  }
}

function readPost(r: XdrReader): Fattr | undefined {
  return r.u32() === 1 ? readFattr(r) : undefined
}

function readWcc(r: XdrReader): Wcc {
  const before =
    r.u32() === 1 ? { size: r.u64(), mtime: [r.u32(), r.u32()], ctime: [r.u32(), r.u32()] } : undefined
  return { before, after: readPost(r) }
}

export function writeSattr(w: XdrWriter, s: Sattr): XdrWriter {
  for (const value of [s.mode, s.uid, s.gid]) {
    if (value === undefined) w.u32(0)
    else w.u32(1).u32(value)
  }
  if (s.size === undefined) w.u32(0)
  else w.u32(1).u64(s.size)
  for (const time of [s.atime, s.mtime]) {
    if (time === undefined) w.u32(0)
    else if (time === "now") w.u32(1)
    else w.u32(2).u32(time[0]).u32(time[1])
  }
  return w
}

/** A client's procedures. Every answer is read to its end, so one that is too long or too short fails. */
export class Nfs3 {
  readonly client: Client

  constructor(client: Client) {
    this.client = client
  }

  mount(path = "/"): { status: number; handle: Buffer } {
    const r = this.#ok(MOUNT, 1, new XdrWriter().opaque(path))
    const status = r.u32()
    if (status !== OK) return this.#end(r, { status, handle: Buffer.alloc(0) })
    const handle = r.opaque()
    const flavors = Array.from({ length: r.u32() }, () => r.u32())
    if (flavors.join() !== "1") throw new Error(`flavors ${flavors.join()}`)
    return this.#end(r, { status, handle })
  }

  getattr(handle: Uint8Array): { status: number; attributes: Fattr | undefined } {
    const r = this.#ok(NFS, 1, new XdrWriter().opaque(handle))
    const status = r.u32()
    return this.#end(r, { status, attributes: status === OK ? readFattr(r) : undefined })
  }

  setattr(
    handle: Uint8Array,
    changes: Sattr,
    guard?: readonly [number, number],
  ): { status: number; wcc: Wcc } {
    const w = writeSattr(new XdrWriter().opaque(handle), changes)
    if (guard === undefined) w.u32(0)
    else w.u32(1).u32(guard[0]).u32(guard[1])
    const r = this.#ok(NFS, 2, w)
    return this.#end(r, { status: r.u32(), wcc: readWcc(r) })
  }

  lookup(directory: Uint8Array, name: string | Uint8Array) {
    const r = this.#ok(NFS, 3, new XdrWriter().opaque(directory).opaque(name))
    const status = r.u32()
    const handle = status === OK ? r.opaque() : Buffer.alloc(0)
    const attributes = status === OK ? readPost(r) : undefined
    return this.#end(r, { status, handle, attributes, directory: readPost(r) })
  }

  access(handle: Uint8Array, asked: number) {
    const r = this.#ok(NFS, 4, new XdrWriter().opaque(handle).u32(asked))
    const status = r.u32()
    const attributes = readPost(r)
    return this.#end(r, { status, attributes, granted: status === OK ? r.u32() : 0 })
  }

  readlink(handle: Uint8Array) {
    const r = this.#ok(NFS, 5, new XdrWriter().opaque(handle))
    const status = r.u32()
    const attributes = readPost(r)
    return this.#end(r, { status, attributes, target: status === OK ? r.opaque().toString() : "" })
  }

  static readArgs(handle: Uint8Array, offset: bigint | number, count: number): XdrWriter {
    return new XdrWriter().opaque(handle).u64(offset).u32(count)
  }

  static readResult(r: XdrReader) {
    const status = r.u32()
    const attributes = readPost(r)
    if (status !== OK) return { status, attributes, eof: false, data: Buffer.alloc(0) }
    const count = r.u32()
    const eof = r.u32() === 1
    const data = r.opaque()
    if (data.length !== count) throw new Error(`count ${count}, ${data.length} bytes`)
    return { status, attributes, eof, data }
  }

  read(handle: Uint8Array, offset: bigint | number, count: number) {
    const r = this.#ok(NFS, 6, Nfs3.readArgs(handle, offset, count))
    return this.#end(r, Nfs3.readResult(r))
  }

  static writeArgs(handle: Uint8Array, offset: bigint | number, data: Uint8Array, stable: number): XdrWriter {
    return new XdrWriter().opaque(handle).u64(offset).u32(data.length).u32(stable).opaque(data)
  }

  static writeResult(r: XdrReader) {
    const status = r.u32()
    const wcc = readWcc(r)
    if (status !== OK) return { status, wcc, count: 0, committed: 0, verifier: "" }
    return { status, wcc, count: r.u32(), committed: r.u32(), verifier: r.fixed(8).toString("hex") }
  }

  write(handle: Uint8Array, offset: bigint | number, data: Uint8Array | string, stable = 0) {
    const bytes = typeof data === "string" ? Buffer.from(data) : data
    const r = this.#ok(NFS, 7, Nfs3.writeArgs(handle, offset, bytes, stable))
    return this.#end(r, Nfs3.writeResult(r))
  }

  create(directory: Uint8Array, name: string | Uint8Array, how: Sattr | Uint8Array, guarded = false) {
    const w = new XdrWriter().opaque(directory).opaque(name)
    if (how instanceof Uint8Array) w.u32(2).fixed(how)
    else writeSattr(w.u32(guarded ? 1 : 0), how)
    return this.#made(8, w)
  }

  mkdir(directory: Uint8Array, name: string | Uint8Array, attributes: Sattr = { mode: 0o755 }) {
    return this.#made(9, writeSattr(new XdrWriter().opaque(directory).opaque(name), attributes))
  }

  symlink(directory: Uint8Array, name: string, target: string) {
    return this.#made(10, writeSattr(new XdrWriter().opaque(directory).opaque(name), {}).opaque(target))
  }

  mknod(directory: Uint8Array, name: string, type: number, device?: readonly [number, number]) {
    const w = new XdrWriter().opaque(directory).opaque(name).u32(type)
    if (type === 3 || type === 4 || type === 6 || type === 7) writeSattr(w, { mode: 0o640 })
    if (device !== undefined) w.u32(device[0]).u32(device[1])
    return this.#made(11, w)
  }

  remove(directory: Uint8Array, name: string | Uint8Array) {
    return this.#changed(12, new XdrWriter().opaque(directory).opaque(name))
  }

  rmdir(directory: Uint8Array, name: string) {
    return this.#changed(13, new XdrWriter().opaque(directory).opaque(name))
  }

  rename(from: Uint8Array, name: string, to: Uint8Array, other: string) {
    const r = this.#ok(NFS, 14, new XdrWriter().opaque(from).opaque(name).opaque(to).opaque(other))
    return this.#end(r, { status: r.u32(), from: readWcc(r), to: readWcc(r) })
  }

  link(handle: Uint8Array, directory: Uint8Array, name: string) {
    const r = this.#ok(NFS, 15, new XdrWriter().opaque(handle).opaque(directory).opaque(name))
    return this.#end(r, { status: r.u32(), attributes: readPost(r), directory: readWcc(r) })
  }

  readdir(directory: Uint8Array, cookie = 0n, count = 4096, verifier = 0n) {
    const r = this.#ok(NFS, 16, new XdrWriter().opaque(directory).u64(cookie).u64(verifier).u32(count))
    return this.#end(r, this.#listing(r, false))
  }

  readdirplus(directory: Uint8Array, cookie = 0n, limits: { names?: number; bytes?: number } = {}) {
    const { names = 4096, bytes = 32768 } = limits
    const w = new XdrWriter().opaque(directory).u64(cookie).u64(0).u32(names).u32(bytes)
    const r = this.#ok(NFS, 17, w)
    return this.#end(r, this.#listing(r, true))
  }

  /** All entries of a directory, by as many calls as it takes. */
  list(directory: Uint8Array, count = 1024): Entry[] {
    const all: Entry[] = []
    for (let cookie = 0n; ; ) {
      const { status, entries, eof } = this.readdir(directory, cookie, count)
      if (status !== OK) throw new Error(`READDIR says ${status}`)
      all.push(...entries)
      if (eof) return all
      cookie = entries.at(-1)?.cookie ?? 0n
    }
  }

  fsstat(handle: Uint8Array) {
    const r = this.#ok(NFS, 18, new XdrWriter().opaque(handle))
    const status = r.u32()
    const attributes = readPost(r)
    const sizes = status === OK ? Array.from({ length: 6 }, () => r.u64()) : []
    if (status === OK) r.u32()
    return this.#end(r, { status, attributes, sizes })
  }

  fsinfo(handle: Uint8Array) {
    const r = this.#ok(NFS, 19, new XdrWriter().opaque(handle))
    const status = r.u32()
    const attributes = readPost(r)
    if (status !== OK) return this.#end(r, { status, attributes, sizes: [], max: 0n, properties: 0 })
    const sizes = Array.from({ length: 7 }, () => r.u32())
    const max = r.u64()
    r.u64()
    return this.#end(r, { status, attributes, sizes, max, properties: r.u32() })
  }

  pathconf(handle: Uint8Array) {
    const r = this.#ok(NFS, 20, new XdrWriter().opaque(handle))
    const status = r.u32()
    const attributes = readPost(r)
    return this.#end(r, {
      status,
      attributes,
      facts: status === OK ? Array.from({ length: 6 }, () => r.u32()) : [],
    })
  }

  commit(handle: Uint8Array) {
    const r = this.#ok(NFS, 21, new XdrWriter().opaque(handle).u64(0).u32(0))
    const status = r.u32()
    const wcc = readWcc(r)
    return this.#end(r, { status, wcc, verifier: status === OK ? r.fixed(8).toString("hex") : "" })
  }

  /** Makes a file with this in it; returns its handle. */
  file(directory: Uint8Array, name: string, content: Uint8Array | string = "", mode = 0o644): Buffer {
    const { status, handle } = this.create(directory, name, { mode })
    if (status !== OK) throw new Error(`CREATE says ${status}`)
    if (content.length > 0) this.write(handle, 0, content)
    return handle
  }

  #ok(program: number, procedure: number, args: XdrWriter): XdrReader {
    const { kind, stat, body } = this.client.call(program, procedure, args.done())
    if (kind !== "accepted" || stat !== 0) throw new Error(`procedure ${procedure}: ${kind} ${stat}`)
    return body
  }

  #made(procedure: number, args: XdrWriter) {
    const r = this.#ok(NFS, procedure, args)
    const status = r.u32()
    const handle = status === OK && r.u32() === 1 ? r.opaque() : Buffer.alloc(0)
    const attributes = status === OK ? readPost(r) : undefined
    return this.#end(r, { status, handle, attributes, directory: readWcc(r) })
  }

  #changed(procedure: number, args: XdrWriter) {
    const r = this.#ok(NFS, procedure, args)
    return this.#end(r, { status: r.u32(), directory: readWcc(r) })
  }

  #listing(r: XdrReader, plus: boolean) {
    const status = r.u32()
    const attributes = readPost(r)
    const entries: Entry[] = []
    if (status !== OK) return { status, attributes, entries, eof: false, bytes: r.at }
    r.u64()
    while (r.u32() === 1) {
      const entry = { fileid: r.u64(), name: r.opaque().toString("latin1"), cookie: r.u64() }
      if (!plus) entries.push(entry)
      else entries.push({ ...entry, attributes: readPost(r), handle: r.u32() === 1 ? r.opaque() : undefined })
    }
    return { status, attributes, entries, eof: r.u32() === 1, bytes: r.at }
  }

  #end<T>(r: XdrReader, result: T): T {
    if (r.left !== 0) throw new Error(`${r.left} bytes are left of the answer`)
    return result
  }
}
