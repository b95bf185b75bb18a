/**
 * An NFS client for tests, in the same thread as the server's loop: it sends, drives the loop until the answer is there, and reads it.
 *
 * @module
 */
import { Loop } from "@skep/loop"
import { type Region, Scratch } from "@skep/loop/memory"
import * as sys from "@skep/loop/sys"
import type { FileSystem } from "@skep/vfs"
import { NfsServer, type NfsServerOptions } from "../src/index.ts"
import { XdrReader, XdrWriter } from "./xdr.ts"

export const NFS = 100003
export const MOUNT = 100005
export const PORTMAP = 100000

const BUFFER = 4 * 1024 * 1024
const STEPS_MAX = 20_000

export interface Identity {
  readonly uid: number
  readonly gid: number
  readonly groups?: readonly number[]
  readonly machine?: string
}

export const ROOT: Identity = { uid: 0, gid: 0 }

/** A server on a loop that is driven by hand. */
export class Rig implements Disposable {
  readonly loop: Loop
  readonly server: NfsServer
  readonly time: { ms: number } = { ms: 1_000_000 }
  readonly errors: unknown[] = []
  readonly #clients: Client[] = []

  constructor(fileSystem: FileSystem, options: Partial<NfsServerOptions> & { readOnly?: boolean } = {}) {
    const { readOnly, ...rest } = options
    this.loop = new Loop({ clock: { now: () => this.time.ms }, onError: (error) => this.errors.push(error) })
    this.server = new NfsServer({
      scope: this.loop.root,
      exports: { "/": { fileSystem, readOnly: readOnly === true } },
      identity: Buffer.from("sixteen secret bytes"),
      ...rest,
    })
  }

  client(identity: Identity = ROOT): Client {
    const fds = new Int32Array(2)
    sys.check(sys.socketPair(sys.AF_UNIX, sys.SOCK_STREAM | sys.SOCK_NONBLOCK, fds), "socketpair")
    const [ours = -1, theirs = -1] = fds
    this.server.serve(theirs)
    const client = new Client(this.loop, ours, identity)
    this.#clients.push(client)
    return client
  }

  [Symbol.dispose](): void {
    for (const client of this.#clients) client.close()
    this.server[Symbol.dispose]()
    this.loop[Symbol.dispose]()
    if (this.errors.length > 0) throw new Error("the loop had errors", { cause: this.errors[0] })
  }
}

export interface Answer {
  readonly xid: number
  /** "accepted" with accept_stat, or "denied" with reject_stat. */
  readonly kind: "accepted" | "denied"
  readonly stat: number
  readonly body: XdrReader
}

export class Client {
  readonly #loop: Loop
  readonly #fd: number
  readonly #scratch = new Scratch(BUFFER + 4096)
  readonly #region: Region
  readonly #answers: Answer[] = []
  #identity: Identity
  #xid = 1
  #received: Buffer = Buffer.alloc(0)
  #closed = false
  ended = false

  constructor(loop: Loop, fd: number, identity: Identity) {
    this.#loop = loop
    this.#fd = fd
    this.#identity = identity
    this.#region = this.#scratch.region("bytes", BUFFER)
  }

  as(identity: Identity): this {
    this.#identity = identity
    return this
  }

  /** Calls and waits for the answer to it. */
  call(program: number, procedure: number, args: Uint8Array = new Uint8Array(0), version = 3): Answer {
    const xid = this.#xid++
    this.send(mark(this.request(xid, { program, version, procedure }, args)))
    return this.answer(xid)
  }

  /** The message of a call, without its mark. */
  request(
    xid: number,
    what: { readonly program: number; readonly version: number; readonly procedure: number },
    args: Uint8Array,
  ): Buffer {
    const header = new XdrWriter()
      .u32(xid)
      .u32(0)
      .u32(2)
      .u32(what.program)
      .u32(what.version)
      .u32(what.procedure)
    const { uid, gid, groups = [], machine = "test" } = this.#identity
    const credential = new XdrWriter().u32(7).opaque(machine).u32(uid).u32(gid).u32(groups.length)
    for (const group of groups) credential.u32(group)
    header.u32(1).opaque(credential.done()).u32(0).u32(0)
    return Buffer.concat([header.done(), args])
  }

  /** Sends bytes as they are, driving the loop where the socket is full. */
  send(bytes: Uint8Array): void {
    for (let sent = 0, steps = 0; sent < bytes.length; steps++) {
      if (steps > STEPS_MAX) throw new Error("the server does not read")
      const part = bytes.subarray(sent, sent + BUFFER)
      this.#region.bytes.set(part)
      const n = sys.send(this.#fd, this.#region.address, part.length)
      if (n > 0) sent += n
      else if (n !== -sys.EAGAIN) {
        this.ended = true
        return
      }
      this.#loop.step()
    }
  }

  /** Drives the loop until the answer to `xid` is there. Others that come before it are kept. */
  answer(xid: number): Answer {
    for (let steps = 0; steps < STEPS_MAX; steps++) {
      for (let next = this.next(); next !== undefined; next = this.next()) this.#answers.push(next)
      const index = this.#answers.findIndex((answer) => answer.xid === xid)
      const [found] = index < 0 ? [] : this.#answers.splice(index, 1)
      if (found !== undefined) return found
      if (this.ended) throw new Error("the server closed the connection")
      this.#loop.step()
      this.receive()
    }
    throw new Error(`no answer to ${xid}`)
  }

  /** The next whole answer of those received, if there is one. */
  next(): Answer | undefined {
    if (this.#received.length < 4) return undefined
    const length = this.#received.readUInt32BE(0) & 0x7fff_ffff
    if (this.#received.length < 4 + length) return undefined
    const body = new XdrReader(Buffer.from(this.#received.subarray(4, 4 + length)))
    this.#received = this.#received.subarray(4 + length)
    const xid = body.u32()
    if (body.u32() !== 1) throw new Error("no reply")
    if (body.u32() === 1) return { xid, kind: "denied", stat: body.u32(), body }
    body.u32()
    body.opaque()
    return { xid, kind: "accepted", stat: body.u32(), body }
  }

  /** Takes what the socket has. Returns how much. */
  receive(): number {
    if (this.#closed) return 0
    const n = sys.receive(this.#fd, this.#region.address, BUFFER)
    if (n === 0 || (n < 0 && n !== -sys.EAGAIN)) this.ended = true
    if (n <= 0) return 0
    this.#received = Buffer.concat([this.#received, this.#region.bytes.subarray(0, n)])
    return n
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    sys.close(this.#fd)
    this.#scratch[Symbol.dispose]()
  }
}

/** One record of one fragment. */
export function mark(message: Uint8Array, last = true): Buffer {
  const header = Buffer.alloc(4)
  header.writeUInt32BE(((last ? 0x8000_0000 : 0) | message.length) >>> 0)
  return Buffer.concat([header, message])
}
