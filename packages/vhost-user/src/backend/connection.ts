/**
 * The socket to a front end: messages with their descriptors in, answers out.
 *
 * A message may arrive in pieces; its descriptors come with its first byte (unix(7)). Every failure ends the connection, never the loop.
 *
 * @module
 */
import type { Registration, Scope } from "@skep/loop"
import { Iovecs, Scratch, Message as SocketMessage } from "@skep/loop/memory"
import * as sys from "@skep/loop/sys"
import {
  emitHeader,
  HEADER,
  type Header,
  PAYLOAD_MAX,
  parseHeader,
  prettyHeader,
} from "../protocol/header.ts"
import { REGIONS_MAX } from "../protocol/payload.ts"
import { isAnswered } from "../protocol/request.ts"
import type { Device } from "./device.ts"
import { closeAll, ProtocolError, Session, type SessionOptions } from "./session.ts"

const SCRATCH = 64 * 1024
/** Messages handled before others have their turn. */
const TURN = 16

export interface ConnectionOptions extends Omit<SessionOptions, "scope" | "device"> {
  /** Owned from now on. */
  readonly fd: number
  readonly device: Device
  /** The scope that the connection lives in; its own is a child of it. */
  readonly scope: Scope
  /** Hears once why it ended: the front end hung up, broke the protocol, or the device threw. */
  readonly onEnd: (reason: string) => void
  /** Hears of each message, for logs. */
  readonly onMessage?: (text: string) => void
}

export class Connection implements Disposable {
  readonly session: Session
  readonly #options: ConnectionOptions
  readonly #scope: Scope
  readonly #scratch = new Scratch(SCRATCH)
  readonly #buffer = this.#scratch.region("message", HEADER + PAYLOAD_MAX)
  readonly #iovecs = new Iovecs(this.#scratch, "message iovecs", 2)
  readonly #message = new SocketMessage(this.#scratch, "message header", REGIONS_MAX)
  readonly #registration: Registration
  readonly #fds: number[] = []
  #have = 0
  #ended = false

  constructor(options: ConnectionOptions) {
    this.#options = options
    // Exceptions of the device end up here: this connection goes, all else stays.
    this.#scope = options.scope.scope(`${options.device.name} front end`, (error) => {
      this.#end(error instanceof Error ? error.message : String(error))
    })
    this.session = new Session({ ...options, scope: this.#scope })
    this.#scope.onDispose(() => this.#close())
    this.#registration = this.#scope.adopt(options.fd, sys.EPOLLIN, () => this.#readable())
    this.#scope.onBatchEnd(() => this.session.flush())
  }

  [Symbol.dispose](): void {
    this.#end("closed")
  }

  #readable(): void {
    for (let left = TURN; left > 0 && !this.#ended; left--) {
      if (!this.#readMessage()) return
    }
  }

  /** Returns whether there was a whole message. */
  #readMessage(): boolean {
    for (;;) {
      const header = this.#have < HEADER ? undefined : this.#header()
      if (this.#ended) return false
      const wanted = header === undefined ? HEADER : HEADER + header.size
      if (header !== undefined && this.#have === wanted) {
        this.#have = 0
        this.#handle(header)
        return true
      }
      if (!this.#receive(wanted)) return false
    }
  }

  #header(): Header | undefined {
    const header = parseHeader(this.#buffer.bytes, 0, this.#have)
    if (typeof header !== "string") return header
    this.#end(`the header of a message is malformed: ${header}`)
    return undefined
  }

  /** Reads on until `wanted` bytes are there. Returns false where there is nothing now, or the connection has ended. */
  #receive(wanted: number): boolean {
    this.#iovecs.clear()
    this.#iovecs.push(this.#buffer.address + this.#have, wanted - this.#have)
    this.#message.prepareReceive(this.#iovecs)
    const got = sys.receiveMessage(this.#options.fd, this.#message.header, sys.MSG_DONTWAIT)
    if (got === -sys.EAGAIN) return false
    if (got >= 0) this.#message.takeFds(this.#fds)
    if (got <= 0) this.#end(got === 0 ? "the front end hung up" : `recvmsg: ${sys.errnoName(-got)}`)
    else if (this.#message.truncated || this.#fds.length > REGIONS_MAX) this.#end("too many descriptors came")
    if (this.#ended) return false
    this.#have += got
    return true
  }

  #handle(header: Header): void {
    this.#options.onMessage?.(prettyHeader(header))
    let answer: Uint8Array | undefined
    try {
      answer = this.session.handle({ header, bytes: this.#buffer.bytes, fds: this.#fds })
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error)
      closeAll(this.#fds)
      // Who asked for an acknowledgement can go on without what was refused; who did not would go on in error.
      if (error instanceof ProtocolError || !header.needReply || isAnswered(header.request))
        this.#end(`${prettyHeader(header)}: ${reason}`)
      else this.#send(header.request, REFUSED)
      return
    }
    closeAll(this.#fds)
    if (answer !== undefined) this.#send(header.request, answer)
    else if (header.needReply) this.#send(header.request, DONE)
  }

  #send(request: number, body: Uint8Array): void {
    const { bytes, address } = this.#buffer
    emitHeader({ request, reply: true, needReply: false, size: body.length }, bytes, 0)
    bytes.set(body, HEADER)
    const length = HEADER + body.length
    const sent = sys.send(this.#options.fd, address, length, sys.MSG_DONTWAIT)
    // A front end waits for each answer, so there is always room for one.
    if (sent !== length)
      this.#end(sent < 0 ? `send: ${sys.errnoName(-sent)}` : "the front end reads no answers")
  }

  #end(reason: string): void {
    if (this.#ended) return
    this.#ended = true
    this.#scope[Symbol.dispose]()
    this.#options.onEnd(reason)
  }

  #close(): void {
    this.#ended = true
    this.session[Symbol.dispose]()
    closeAll(this.#fds)
    this.#registration.close()
    this.#scratch[Symbol.dispose]()
  }
}

const DONE = new Uint8Array(8)
const REFUSED = Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0)
