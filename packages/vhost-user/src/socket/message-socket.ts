/**
 * A Unix socket that carries vhost-user messages with their descriptors (docs/interop/vhost-user.rst; unix(7), SCM_RIGHTS).
 *
 * A message may arrive in pieces; its descriptors come with its first byte.
 *
 * @module
 */
import { Iovecs, Message, Scratch } from "@skep/loop/memory"
import * as sys from "@skep/loop/sys"
import { emitHeader, HEADER, type Header, PAYLOAD_MAX, parseHeader } from "../protocol/header.ts"
import { REGIONS_MAX } from "../protocol/payload.ts"

const SCRATCH = 16 * 1024

/** What `read` found: a whole message in `header`, `bytes` and `fds`; nothing more for now; or the end, for `reason`. */
export type ReadResult = "message" | "wait" | "end"

export class MessageSocket implements Disposable {
  readonly fd: number
  /** Descriptors of the message. Whoever wants one takes it out; `dropFds` closes the rest. */
  readonly fds: number[] = []
  /** Why it ended. */
  reason = ""
  #header: Header | undefined
  /** Descriptors that came before their message was whole. */
  readonly #arrived: number[] = []
  readonly #scratch = new Scratch(SCRATCH)
  readonly #in = this.#scratch.region("received", HEADER + PAYLOAD_MAX)
  readonly #out = this.#scratch.region("sent", HEADER + PAYLOAD_MAX)
  readonly #iovecs = new Iovecs(this.#scratch, "iovecs", 1)
  readonly #message = new Message(this.#scratch, "message", REGIONS_MAX)
  #have = 0

  /** Owns `fd`, which is non-blocking or not: nothing here ever waits. */
  constructor(fd: number) {
    this.fd = fd
  }

  /** Of the message that `read` found. */
  get header(): Header {
    if (this.#header === undefined) throw new Error("there is no message")
    return this.#header
  }

  /** Header and payload; the payload begins at `HEADER`. Valid until the next `read`. */
  get bytes(): Uint8Array {
    return this.#in.bytes
  }

  get end(): number {
    return HEADER + this.header.size
  }

  read(): ReadResult {
    this.dropFds()
    for (;;) {
      const parsed = this.#have < HEADER ? undefined : parseHeader(this.#in.bytes, 0, this.#have)
      if (typeof parsed === "string") return this.#ended(`the header of a message is malformed: ${parsed}`)
      const wanted = HEADER + (parsed?.size ?? 0)
      if (parsed !== undefined && this.#have === wanted) {
        this.#have = 0
        this.#header = parsed
        this.fds.push(...this.#arrived.splice(0))
        return "message"
      }
      const result = this.#receive(wanted)
      if (result !== "message") return result
    }
  }

  /** Reads on until `wanted` bytes are there. */
  #receive(wanted: number): ReadResult {
    this.#iovecs.clear()
    this.#iovecs.push(this.#in.address + this.#have, wanted - this.#have)
    this.#message.prepareReceive(this.#iovecs)
    const got = sys.receiveMessage(this.fd, this.#message.header, sys.MSG_DONTWAIT)
    if (got === -sys.EAGAIN) return "wait"
    if (got >= 0) this.#message.takeFds(this.#arrived)
    if (got < 0) return this.#ended(`recvmsg: ${sys.errnoName(-got)}`)
    if (got === 0) return this.#ended("the other side hung up")
    if (this.#message.truncated || this.#arrived.length > REGIONS_MAX)
      return this.#ended("descriptors were lost: too many came, or this process may open no more")
    this.#have += got
    return "message"
  }

  /**
   * Sends a message whole. The descriptors stay the caller's. Returns whether it went: both sides wait for each other's answers, so there is
   * always room for one that still reads.
   */
  send(header: Header, body: Uint8Array, fds: readonly number[] = []): boolean {
    emitHeader(header, this.#out.bytes, 0)
    this.#out.bytes.set(body, HEADER)
    this.#iovecs.clear()
    this.#iovecs.push(this.#out.address, HEADER + body.length)
    this.#message.prepareSend(this.#iovecs, fds)
    const sent = sys.sendMessage(this.fd, this.#message.header, sys.MSG_DONTWAIT)
    if (sent === HEADER + body.length) return true
    this.reason = sent < 0 ? `sendmsg: ${sys.errnoName(-sent)}` : "the other side does not read"
    return false
  }

  /** Closes what nobody has taken. */
  dropFds(): void {
    for (const fd of this.fds.splice(0)) sys.close(fd)
  }

  /** Closes the socket and every descriptor that came and was not taken. */
  [Symbol.dispose](): void {
    this.dropFds()
    for (const fd of this.#arrived.splice(0)) sys.close(fd)
    sys.close(this.fd)
    this.#scratch[Symbol.dispose]()
  }

  #ended(reason: string): "end" {
    this.reason = reason
    return "end"
  }
}
