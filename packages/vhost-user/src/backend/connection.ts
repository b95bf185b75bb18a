/**
 * The connection to a front end: messages in, answers out. Every failure ends the connection, never the loop.
 *
 * @module
 */
import type { Registration, Scope } from "@skep/loop"
import * as sys from "@skep/loop/sys"
import { prettyHeader } from "../protocol/header.ts"
import { isAnswered } from "../protocol/request.ts"
import { MessageSocket } from "../socket/message-socket.ts"
import type { Device } from "./device.ts"
import { ProtocolError, Session, type SessionOptions } from "./session.ts"

/** Messages handled before others have their turn. */
const TURN = 16

export interface ConnectionOptions extends Omit<SessionOptions, "scope"> {
  /** Owned from now on. */
  readonly fd: number
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
  readonly #device: Device
  readonly #scope: Scope
  readonly #socket: MessageSocket
  readonly #registration: Registration
  #ended = false
  #told = false

  constructor(options: ConnectionOptions) {
    this.#options = options
    this.#device = options.device
    // Exceptions of the device end up here: this connection is gone with its scope, all else stays.
    this.#scope = options.scope.scope(`${this.#device.name} front end`, (error) => {
      this.#tell(error instanceof Error ? error.message : String(error))
    })
    this.session = new Session({ ...options, scope: this.#scope })
    this.#socket = new MessageSocket(options.fd)
    this.#scope.onDispose(() => {
      this.#ended = true
      this.session[Symbol.dispose]()
      this.#socket[Symbol.dispose]()
    })
    this.#registration = this.#scope.add(options.fd, sys.EPOLLIN, () => this.#readable())
    this.#scope.onBatchEnd(() => this.session.flush())
  }

  [Symbol.dispose](): void {
    this.#end("closed")
  }

  #readable(): void {
    for (let left = TURN; left > 0 && !this.#ended; left--) {
      const result = this.#socket.read()
      if (result === "wait") return
      if (result === "end") return this.#end(this.#socket.reason)
      this.#handle()
    }
  }

  #handle(): void {
    const { header, bytes, fds } = this.#socket
    this.#options.onMessage?.(prettyHeader(header))
    let answer: Uint8Array | undefined
    try {
      answer = this.session.handle({ header, bytes, fds })
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error)
      // Who asked for an acknowledgement can go on without what was refused; who did not would go on in error.
      if (error instanceof ProtocolError || !header.needReply || isAnswered(header.request))
        this.#end(`${prettyHeader(header)}: ${reason}`)
      else this.#send(header.request, REFUSED)
      return
    }
    if (answer !== undefined) this.#send(header.request, answer)
    else if (header.needReply) this.#send(header.request, DONE)
  }

  #send(request: number, body: Uint8Array): void {
    const header = { request, reply: true, needReply: false, size: body.length }
    if (!this.#socket.send(header, body)) this.#end(this.#socket.reason)
  }

  #end(reason: string): void {
    if (this.#ended) return
    this.#ended = true
    this.#registration.remove()
    this.#scope[Symbol.dispose]()
    this.#tell(reason)
  }

  #tell(reason: string): void {
    if (this.#told) return
    this.#told = true
    this.#options.onEnd(reason)
  }
}

const DONE = new Uint8Array(8)
const REFUSED = Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0)
