/**
 * ONC RPC over a stream (RFC 5531) as the kernel's client does it: a hard mount, which connects again and asks again until there is an answer.
 *
 * @module
 */
import { connect, type NetConnectOpts, type Socket } from "node:net"
import { setTimeout as delay } from "node:timers/promises"
import { XdrReader, XdrWriter } from "../../../packages/nfs/test/xdr.ts"

const CALL = 0
const RPC_VERSION = 2
const AUTH_SYS = 1
const LAST = 0x8000_0000
/** Between attempts to reach a server that is not there. */
const AGAIN_MS = 20

export interface Procedure {
  readonly program: number
  readonly version: number
  readonly procedure: number
}

export interface Who {
  readonly uid: number
  readonly gid: number
}

interface Waiting {
  readonly message: Buffer
  readonly resolve: (answer: XdrReader) => void
  readonly reject: (error: Error) => void
}

export class HardRpc implements AsyncDisposable {
  readonly #to: NetConnectOpts
  readonly #waiting = new Map<number, Waiting>()
  readonly #ended = new AbortController()
  #socket: Socket | undefined
  #received: Buffer = Buffer.alloc(0)
  /** Of the record that is not whole yet. */
  #fragments: Buffer[] = []
  #xid = 1
  readonly #connected: Promise<void>

  constructor(to: NetConnectOpts) {
    this.#to = to
    this.#connected = this.#stayConnected()
  }

  /** Resolves with the results, whenever that is. Rejects for what the server does not carry out. */
  call(what: Procedure, args: XdrWriter, { uid, gid }: Who): Promise<XdrReader> {
    const xid = this.#xid++
    const credential = new XdrWriter().u32(0).opaque("guest").u32(uid).u32(gid).u32(0).done()
    const header = new XdrWriter().u32(xid).u32(CALL).u32(RPC_VERSION)
    header.u32(what.program).u32(what.version).u32(what.procedure)
    header.u32(AUTH_SYS).opaque(credential).u32(0).u32(0)
    const body = Buffer.concat([header.done(), args.done()])
    const message = Buffer.concat([new XdrWriter().u32(LAST | body.length).done(), body])
    const answer = new Promise<XdrReader>((resolve, reject) => {
      this.#waiting.set(xid, { message, resolve, reject })
      this.#socket?.write(message)
    })
    answer.catch(() => undefined) // for whoever awaits it: a guest may end with calls that nobody waits for any more
    return answer
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ended.abort()
    this.#socket?.destroy()
    await this.#connected
    for (const { reject } of this.#waiting.values()) reject(new Error("the guest has ended"))
  }

  async #stayConnected(): Promise<void> {
    const { signal } = this.#ended
    while (!signal.aborted) {
      const socket = connect(this.#to)
      socket.on("error", () => socket.destroy()) // told by "close"
      socket.on("connect", () => {
        this.#received = Buffer.alloc(0)
        this.#fragments = []
        for (const { message } of this.#waiting.values()) socket.write(message)
        this.#socket = socket
      })
      socket.on("data", (chunk: Buffer) => this.#take(chunk))
      await new Promise((resolve) => socket.on("close", resolve))
      this.#socket = undefined
      await delay(AGAIN_MS, undefined, { signal }).catch(() => undefined) // aborted: the loop ends
    }
  }

  #take(chunk: Buffer): void {
    this.#received = Buffer.concat([this.#received, chunk])
    while (this.#received.length >= 4) {
      const mark = this.#received.readUInt32BE(0)
      const length = mark & ~LAST
      if (this.#received.length < 4 + length) return
      this.#fragments.push(this.#received.subarray(4, 4 + length))
      this.#received = this.#received.subarray(4 + length)
      if (mark < LAST) continue
      this.#answered(new XdrReader(Buffer.concat(this.#fragments)))
      this.#fragments = []
    }
  }

  #answered(body: XdrReader): void {
    const xid = body.u32()
    const waiting = this.#waiting.get(xid)
    if (waiting === undefined) return // asked twice, answered twice
    this.#waiting.delete(xid)
    if (body.u32() !== 1 || body.u32() !== 0) return waiting.reject(new Error("the server denied a call"))
    body.u32()
    body.opaque()
    const status = body.u32()
    if (status === 0) waiting.resolve(body)
    else waiting.reject(new Error(`the server did not carry out a call: accept_stat ${status}`))
  }
}
