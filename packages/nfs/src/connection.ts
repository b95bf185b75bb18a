/**
 * One client's connection: calls in, replies out, in whatever order they are ready.
 *
 * ```
 *  readable ─► receive ─► whole records ─► dispatch ─┬─► reply finished ─► queue ─► one sendmsg at the end of the turn
 *                 ▲                                  └─► operation under way … done ─► queue ─► sent at the end of the batch
 *                 └── stops while: too much unsent, too much under way, no memory
 * ```
 *
 * Its memory is bounded: by what it may leave unsent and under way, beyond which nothing more is received from it.
 *
 * @module
 */
import type { Registration, Scope } from "@skep/loop"
import type { Iovecs, Message } from "@skep/loop/memory"
import * as sys from "@skep/loop/sys"
import { type Chunk, LARGE, SMALL } from "./memory/pool.ts"
import { RECORD_MAX } from "./procedures/limits.ts"
import type { Dispatcher, Replies } from "./rpc/dispatch.ts"
import { Records } from "./rpc/records.ts"
import { type Outlet, Reply } from "./rpc/reply.ts"
import type { Service } from "./service.ts"

/** Calls of one connection before others have their turn. */
const TURN = 64
/** Unsent bytes at which it is sent within a turn, and beyond which nothing is received. */
const SEND_AT = 256 * 1024
const UNSENT_MAX = 4 * 1024 * 1024
const UNDER_WAY_MAX = 128
/** Who does not read for so long while we have something to say is gone, and so is who does not finish its record. */
const STALL_MS = 120_000

/** What connections of a server share to send by. */
export interface Sending {
  readonly iovecs: Iovecs
  readonly message: Message
}

export interface ConnectionOptions {
  readonly scope: Scope
  readonly fd: number
  readonly service: Service
  readonly dispatcher: Dispatcher
  readonly sending: Sending
  /** Is told that there is something to send at the end of the batch. */
  readonly onUnsent: (connection: Connection) => void
}

/** A part of a chunk that is to be sent; the queue has one reference for it. */
interface Segment {
  readonly chunk: Chunk
  start: number
  end: number
}

export class Connection implements Replies, Outlet {
  readonly #scope: Scope
  readonly #service: Service
  readonly #dispatcher: Dispatcher
  readonly #sending: Sending
  readonly #onUnsent: (connection: Connection) => void
  readonly #records: Records
  readonly #registration: Registration
  readonly #wake: () => void
  readonly #queue: Segment[] = []
  #first = 0
  #unsent = 0
  #underWay = 0
  #current: Chunk | undefined
  #large: Chunk | undefined
  #scheduled = false
  #inTurn = false
  #waiting = false
  #blocked = false
  #closed = false
  #progressAt: number

  constructor(options: ConnectionOptions) {
    this.#scope = options.scope
    this.#service = options.service
    this.#dispatcher = options.dispatcher
    this.#sending = options.sending
    this.#onUnsent = options.onUnsent
    this.#records = new Records(options.service.memory, RECORD_MAX)
    this.#progressAt = options.scope.loop.now
    this.#wake = () => this.#resume()
    this.#registration = options.scope.adopt(options.fd, sys.EPOLLIN, (events) => this.#handle(events))
    options.scope.onDispose(() => this.#end())
  }

  get closed(): boolean {
    return this.#closed
  }

  /** Closes one that has been waiting for its client for too long. */
  check(now: number): void {
    const idle = this.#unsent === 0 && !this.#records.partial
    if (idle || this.#underWay > 0) this.#progressAt = now
    else if (now - this.#progressAt > STALL_MS) this.close()
  }

  close(): void {
    this.#scope[Symbol.dispose]()
  }

  reserve(xid: number, bytes: number): Reply | undefined {
    const { memory } = this.#service
    const size = bytes > SMALL / 2 ? "large" : "small"
    let chunk = size === "large" ? this.#large : this.#current
    if (chunk?.alone === true) chunk.used = chunk.start
    if (chunk === undefined || chunk.room < bytes) {
      const next = memory.reply[size].take()
      if (next === undefined) return undefined
      chunk?.drop()
      chunk = next
      if (size === "large") this.#large = chunk
      else this.#current = chunk
    }
    return new Reply(this, memory, { chunk, bytes, xid })
  }

  finish(reply: Reply, start: number, end: number): void {
    const { chunk } = reply
    // What it did not need is the next one's, where it is the last one.
    if (reply.out.end === chunk.used) chunk.used = end
    if (reply.later) this.#underWay--
    if (this.#closed || start === end) {
      chunk.drop()
      return
    }
    const last = this.#queue.at(-1)
    if (last !== undefined && last.chunk === chunk && last.end === start) {
      last.end = end
      chunk.drop()
    } else this.#queue.push({ chunk, start, end })
    this.#unsent += end - start
    this.#schedule()
    if (reply.later && this.#records.partial) this.#resumeSoon()
  }

  /** Sends what is there. Called at the end of the batch. */
  flush(): void {
    this.#scheduled = false
    if (this.#closed) return
    if (!this.#blocked) this.#send()
  }

  #handle(events: number): void {
    if ((events & sys.EPOLLOUT) !== 0) {
      this.#blocked = false
      this.#send()
    }
    if (this.#closed) return
    // Nobody is there to read what we have, and who may not ask for more would hear of it again and again.
    if ((events & (sys.EPOLLHUP | sys.EPOLLERR)) !== 0 && this.#paused()) {
      this.close()
      return
    }
    this.#receive((events & (sys.EPOLLIN | sys.EPOLLHUP | sys.EPOLLERR)) !== 0)
  }

  #receive(readable: boolean): void {
    // First what is here already: it may have waited.
    if (this.#records.partial && !this.#turn()) return
    if (!readable || this.#paused()) {
      this.#listen()
      return
    }
    const at = this.#records.prepare()
    if (at < 0) {
      this.#waitForMemory()
      return
    }
    const { fd } = this.#registration
    const n = sys.receive(fd, this.#service.memory.address + at, this.#records.room, sys.MSG_DONTWAIT)
    if (n === -sys.EAGAIN) {
      this.#records.settle()
      this.#listen()
      return
    }
    if (n <= 0) {
      this.close()
      return
    }
    this.#progressAt = this.#scope.loop.now
    this.#records.add(n)
    this.#turn()
  }

  /** Carries out what is here, up to a turn of it. Returns false where receiving has to wait or the connection is over. */
  #turn(): boolean {
    this.#inTurn = true
    const free = this.#calls()
    this.#inTurn = false
    if (this.#closed) return false
    if (this.#unsent > 0) this.#schedule()
    else this.#releaseIdle()
    this.#listen()
    return free
  }

  #calls(): boolean {
    const records = this.#records
    const { now } = this.#scope.loop
    for (let count = 0; ; count++) {
      const next = records.next()
      if (next === "more") return true
      if (next !== "record") return this.#break()
      if (this.#paused()) return false
      if (count === TURN) {
        this.#registration.again(sys.EPOLLIN)
        return false
      }
      const { chunk, start, end } = records
      const result = this.#dispatcher.dispatch(this, { chunk, start, end }, now)
      if (result === "no-memory") {
        this.#waitForMemory()
        return false
      }
      if (result === "not-a-call") return this.#break()
      if (result === "later") this.#underWay++
      records.consume()
      if (this.#unsent >= SEND_AT && !this.#blocked) this.#send()
      if (this.#closed) return false
    }
  }

  #break(): boolean {
    this.#service.counters.connectionsBroken++
    this.close()
    return false
  }

  #paused(): boolean {
    return this.#waiting || this.#unsent > UNSENT_MAX || this.#underWay >= UNDER_WAY_MAX
  }

  #waitForMemory(): void {
    this.#service.counters.memoryWaits++
    this.#waiting = true
    this.#service.memory.whenFree(this.#wake)
    this.#listen()
  }

  #resume(): void {
    this.#waiting = false
    this.#resumeSoon()
  }

  #resumeSoon(): void {
    if (this.#closed) return
    this.#listen()
    this.#registration.again(sys.EPOLLIN)
  }

  #schedule(): void {
    if (this.#scheduled || this.#inTurn || this.#blocked) return
    this.#scheduled = true
    this.#onUnsent(this)
  }

  /** Asks the kernel for what we can use. */
  #listen(): void {
    if (this.#closed) return
    this.#registration.modify((this.#paused() ? 0 : sys.EPOLLIN) | (this.#blocked ? sys.EPOLLOUT : 0))
  }

  #send(): void {
    while (this.#unsent > 0) {
      const n = this.#sendOnce()
      if (n === -sys.EAGAIN) {
        this.#service.counters.outputWaits++
        this.#blocked = true
        break
      }
      if (n < 0) {
        this.close()
        return
      }
      this.#progressAt = this.#scope.loop.now
      this.#sent(n)
    }
    if (this.#inTurn) return
    this.#releaseIdle()
    this.#listen()
    // Calls that waited for this are here already: no event will tell of them.
    if (this.#records.partial && !this.#paused()) this.#registration.again(sys.EPOLLIN)
  }

  #sendOnce(): number {
    const { iovecs, message } = this.#sending
    const { address } = this.#service.memory
    const { fd } = this.#registration
    const first = this.#queue[this.#first]
    if (first === undefined) return 0
    if (this.#queue.length - this.#first === 1)
      return sys.send(fd, address + first.start, first.end - first.start, sys.MSG_DONTWAIT)
    iovecs.clear()
    for (let index = this.#first; index < this.#queue.length; index++) {
      const segment = this.#queue[index]
      if (segment === undefined || !iovecs.push(address + segment.start, segment.end - segment.start)) break
    }
    message.prepareSend(iovecs)
    return sys.sendMessage(fd, message.header, sys.MSG_DONTWAIT)
  }

  #sent(bytes: number): void {
    this.#unsent -= bytes
    let left = bytes
    while (left > 0) {
      const segment = this.#queue[this.#first]
      if (segment === undefined) break
      const length = segment.end - segment.start
      if (left < length) {
        segment.start += left
        break
      }
      left -= length
      this.#first++
      segment.chunk.drop()
    }
    if (this.#first < this.#queue.length) return
    this.#queue.length = 0
    this.#first = 0
  }

  /** A connection with nothing on its way keeps no memory. */
  #releaseIdle(): void {
    if (this.#current?.alone === true) {
      this.#current.drop()
      this.#current = undefined
    }
    if (this.#large?.alone === true) {
      this.#large.drop()
      this.#large = undefined
    }
  }

  #end(): void {
    if (this.#closed) return
    this.#closed = true
    this.#service.memory.forgetWaiting(this.#wake)
    this.#records.release()
    for (const { chunk } of this.#queue.splice(this.#first)) chunk.drop()
    this.#queue.length = 0
    this.#unsent = 0
    this.#current?.drop()
    this.#large?.drop()
    this.#current = undefined
    this.#large = undefined
  }
}

/** A reply of the longest READ fits into one chunk. */
if (LARGE < 2 * RECORD_MAX) throw new Error("Chunks are too small for records")
