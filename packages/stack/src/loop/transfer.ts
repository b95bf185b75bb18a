/**
 * The one place where payload is handed to the kernel: pieces as iovecs, and the message header for peeking.
 *
 * @module
 */
import type { Parts } from "@skep/link"
import { Iovecs, Message, Scratch } from "@skep/loop/memory"
import * as sys from "@skep/loop/sys"

const SCRATCH = 64 * 1024

/** Shared by all sockets of a thread: nothing is kept in it between calls. */
export class Transfer implements Disposable {
  readonly #scratch = new Scratch(SCRATCH)
  readonly #iovecs = new Iovecs(this.#scratch, "payload")
  readonly #message = new Message(this.#scratch, "peek", 0)

  /** writev(2): bytes, or `-errno`. Takes as many pieces as one call does. */
  write(fd: number, parts: Parts): number {
    // An empty datagram is one too, but writev(2) of no pieces sends none.
    if (parts.count === 0) return sys.send(fd, this.#iovecs.address, 0, sys.MSG_DONTWAIT)
    if (parts.count === 1) return sys.send(fd, parts.addressAt(0), parts.lengthAt(0), sys.MSG_DONTWAIT)
    this.#fill(parts)
    return sys.writev(fd, this.#iovecs.address, this.#iovecs.count)
  }

  /** recvmsg(2) with MSG_PEEK: bytes, 0 at the end, or `-errno`. */
  peek(fd: number, into: Parts): number {
    if (into.count === 1)
      return sys.receive(fd, into.addressAt(0), into.lengthAt(0), sys.MSG_PEEK | sys.MSG_DONTWAIT)
    this.#fill(into)
    this.#message.prepareReceive(this.#iovecs)
    return sys.receiveMessage(fd, this.#message.header, sys.MSG_PEEK | sys.MSG_DONTWAIT)
  }

  /** readv(2): bytes, 0 at the end, or `-errno`. */
  read(fd: number, into: Parts): number {
    if (into.count === 1) return sys.receive(fd, into.addressAt(0), into.lengthAt(0), sys.MSG_DONTWAIT)
    this.#fill(into)
    return sys.readv(fd, this.#iovecs.address, this.#iovecs.count)
  }

  [Symbol.dispose](): void {
    this.#scratch[Symbol.dispose]()
  }

  #fill(parts: Parts): void {
    this.#iovecs.clear()
    for (let index = 0; index < parts.count; index++) {
      if (!this.#iovecs.push(parts.addressAt(index), parts.lengthAt(index))) return
    }
  }
}
