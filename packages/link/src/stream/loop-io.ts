/**
 * Bytes of a stream link by system calls: readv(2) into the inbox, writev(2) out of the queue.
 *
 * @module
 */
import type { Registration, Scope } from "@skep/loop"
import * as sys from "@skep/loop/sys"
import type { SystemMemory } from "../memory/system-memory.ts"
import { Door, type StreamEnd } from "./door.ts"
import type { Inflow } from "./inflow.ts"
import type { StreamAlarm, StreamIo, StreamIoEvents } from "./io.ts"
import type { Queue } from "./queue.ts"

const QUIET = sys.EPOLLIN | sys.EPOLLRDHUP
const BLOCKED = QUIET | sys.EPOLLOUT
/** Asked of the kernel, which gives what it allows: with more room there is less waiting for the other side. */
const SEND_BUFFER = 256 * 1024

export interface LoopStreamIoOptions {
  readonly scope: Scope
  readonly memory: SystemMemory
  readonly end: StreamEnd
}

export class LoopStreamIo implements StreamIo {
  readonly #options: LoopStreamIoOptions
  #door: Door | undefined
  #inflow: Inflow | undefined
  #events: StreamIoEvents | undefined
  #registration: Registration | undefined
  /** The socket took less than it was given: it would take nothing now. */
  #full = false

  constructor(options: LoopStreamIoOptions) {
    this.#options = options
  }

  open(inflow: Inflow, events: StreamIoEvents): void {
    const { scope, end } = this.#options
    this.#inflow = inflow
    this.#events = events
    this.#door = new Door({ scope, end, onPeer: (fd) => this.#attach(fd) })
    this.#door.open()
  }

  send(queue: Queue): number | "blocked" | `E${string}` {
    const { iovecs } = this.#options.memory
    const registration = this.#registration
    queue.gather(iovecs)
    if (iovecs.bytes === 0 || registration === undefined) return 0
    const { fd } = registration
    if (this.#full) return this.#block(registration)
    const sent =
      iovecs.count === 1
        ? sys.send(fd, iovecs.addressAt(0), iovecs.bytes)
        : sys.writev(fd, iovecs.address, iovecs.count)
    if (sent === -sys.EAGAIN) return this.#block(registration)
    if (sent < 0) return errorName(sent)
    this.#full = sent < iovecs.bytes
    return sent
  }

  hangUp(): void {
    this.#registration?.close()
    this.#registration = undefined
    this.#full = false
  }

  again(): void {
    this.#door?.again(true)
  }

  onTurnEnd(callback: () => void): () => void {
    return this.#options.scope.onBatchEnd(callback)
  }

  alarm(callback: () => void): StreamAlarm {
    return this.#options.scope.timer(callback)
  }

  [Symbol.dispose](): void {
    this.hangUp()
    this.#door?.[Symbol.dispose]()
  }

  #attach(fd: number): void {
    // It is as large as it was where this is refused.
    sys.setOption(fd, sys.SOL_SOCKET, sys.SO_SNDBUF, SEND_BUFFER)
    this.#registration = this.#options.scope.adopt(fd, QUIET, (events) => this.#onEvent(events))
    this.#events?.onPeer()
  }

  /** Nobody has to ask whether it is full who can be told when it is not any more. */
  #block(registration: Registration): "blocked" {
    this.#full = false
    registration.modify(BLOCKED)
    return "blocked"
  }

  #onEvent(events: number): void {
    if ((events & sys.EPOLLOUT) !== 0) {
      this.#registration?.modify(QUIET)
      this.#events?.onWritable(0)
    }
    if ((events & ~sys.EPOLLOUT) !== 0) this.#read()
  }

  #read(): void {
    const inflow = this.#inflow
    const registration = this.#registration
    if (registration === undefined || inflow === undefined) return
    const { iovecs } = this.#options.memory
    inflow.prepare(iovecs)
    const got = sys.readv(registration.fd, iovecs.address, iovecs.count)
    if (got === -sys.EAGAIN) return
    if (got <= 0) this.#events?.onGone(got === 0 ? "hung-up" : errorName(got))
    else this.#events?.onBytes((onFrame) => inflow.take(got, onFrame))
  }
}

function errorName(result: number): `E${string}` {
  return `E${sys.errnoName(result).slice(1)}`
}
