/**
 * A link over a Unix stream: QEMU's `-netdev stream`, whose frames come after their lengths.
 *
 * ```
 *  readv ─► inbox │ 4 │ frame │ 4 │ frame │ … ─► onFrame × n, onSettle
 *  send, lend and use ─► queue │ 4 │ headers │ payload │ 4 │ … ─► one write for all, at `flush` or at the end of the batch
 * ```
 *
 * What moves the bytes is given: system calls (`loop-io.ts`) or Node's sockets (`node-io.ts`). At an MTU of 1500 a system call that carries a hundred frames is what makes this fast. Checksums are always ours: the protocol has no offload.
 *
 * @module
 */
import * as bytesOf from "@skep/wire/bytes"
import { newLinkCounters, nobody } from "../counters.ts"
import { FRAME_MAX, Frame } from "../frame.ts"
import type { Link, LinkCounters, Receiver } from "../link.ts"
import type { ArenaMemory } from "../memory/arena.ts"
import { copyBytes } from "../memory/element.ts"
import { NO_OFFLOADS, type Offload, type Offloads } from "../offload.ts"
import { Parts } from "../parts.ts"
import { type BrokenStream, Inflow, type OnFrame, PREFIX } from "./inflow.ts"
import type { StreamAlarm, StreamIo, StreamReason } from "./io.ts"
import { Queue } from "./queue.ts"

/** What may wait to be written, for small and for large frames. */
const QUEUE_SMALL = 512 * 1024
const QUEUE_LARGE = 1024 * 1024
const LARGE_MTU = 16_384
/** With so much ready the other side can begin, while we make more. */
const EARLY = 128 * 1024
/** What of the queue can be lent while the socket takes nothing: it is then full enough, and more would only wait. */
const BLOCKED_SHARE = 4
/** How long to wait where memory runs short. */
const MEMORY_MS = 5

export interface StreamCounters extends LinkCounters {
  /** Peers so far. */
  peers: number
  /** Peers whose stream made no sense. */
  broken: number
}

export interface StreamLinkOptions {
  readonly name: string
  readonly memory: ArenaMemory
  /** What moves its bytes; owned from now on. */
  readonly io: StreamIo
  /** What the machine was told to use. */
  readonly mtu: number
  /** Hears why a peer has gone, after `onCarrier(false)`. */
  readonly onEnd?: (reason: StreamReason) => void
}

export class StreamLink implements Link {
  readonly name: string
  readonly memory: ArenaMemory
  readonly mtu: number
  readonly offloads: Offloads = NO_OFFLOADS
  readonly lent: Parts = new Parts()
  receiver: Receiver = nobody
  readonly #options: StreamLinkOptions
  readonly #io: StreamIo
  readonly #counters: StreamCounters = { ...newLinkCounters(), peers: 0, broken: 0 }
  readonly #frame = new Frame()
  readonly #inflow: Inflow
  readonly #queue: Queue
  readonly #queueSize: number
  readonly #retry: StreamAlarm
  /** Blocks that are lent, the oldest at `#used`, and the room for headers in each. */
  readonly #blocks: number[] = []
  readonly #headers: number[] = []
  #used = 0
  #connected = false
  #blocked = false
  /** The memory of a round in which the peer went is kept until the round is over, that of a turn likewise. */
  #stale = false
  #reading = false
  #wantsRoom = false
  #unhook: (() => void) | undefined
  #closed = false
  readonly #onFrame = (at: number, length: number): boolean => this.#deliver(at, length)

  constructor(options: StreamLinkOptions) {
    this.name = options.name
    this.memory = options.memory
    this.mtu = options.mtu
    this.#options = options
    this.#io = options.io
    this.#queueSize = options.mtu >= LARGE_MTU ? QUEUE_LARGE : QUEUE_SMALL
    this.#queue = new Queue(options.memory, this.#queueSize)
    this.#inflow = new Inflow(options.memory)
    this.#retry = options.io.alarm(() => this.#tellRoom())
    this.#frame.bytes = options.memory.bytes
  }

  get carrier(): boolean {
    return this.#connected
  }

  get counters(): Readonly<StreamCounters> {
    return this.#counters
  }

  /** Throws the `SystemError` of what refused, as where the path is taken. */
  start(): void {
    this.#io.open(this.#inflow, {
      onPeer: () => this.#attach(),
      onBytes: (take) => this.#read(take),
      onWritable: (sent) => this.#unblock(sent),
      onGone: (reason) => this.#detach(reason),
    })
  }

  send(headers: Uint8Array, at: number, length: number, payload?: Parts, offload?: Offload): boolean {
    refuseOffload(offload)
    const size = length + (payload?.bytes ?? 0)
    const block = size > FRAME_MAX ? -1 : this.#take(PREFIX + size)
    if (block < 0) {
      this.#counters.droppedOut++
      // For one that is too long there will never be room.
      return size > FRAME_MAX || this.#wantRoom()
    }
    const { base, bytes } = this.memory
    const start = this.#queue.placeOf(block)
    bytesOf.putU32(bytes, start, size)
    copyBytes(headers, at, length, bytes, start + PREFIX)
    let to = base + start + PREFIX + length
    for (let index = 0; payload !== undefined && index < payload.count; index++) {
      const part = payload.lengthAt(index)
      this.memory.copy(payload.addressAt(index), to, part)
      to += part
    }
    this.#queue.use(block, 0, PREFIX + size)
    this.#count(size)
    return true
  }

  lend(header: number, payload: number): boolean {
    const limit = this.#blocked ? this.#queueSize / BLOCKED_SHARE : this.#queueSize
    const size = PREFIX + header + payload
    const block = this.#queue.bytes + this.lent.bytes + size <= limit ? this.#take(size) : -1
    if (block < 0) return this.#wantRoom()
    this.#blocks.push(block)
    this.#headers.push(header)
    this.lent.push(this.memory.base + this.#queue.placeOf(block) + PREFIX + header, payload)
    return true
  }

  use(headers: Uint8Array, at: number, length: number, payload: number, offload?: Offload): void {
    refuseOffload(offload)
    const block = this.#blocks[this.#used]
    const spare = (this.#headers[this.#used] ?? 0) - length
    if (block === undefined) throw new Error("Cannot use what was not lent")
    if (spare < 0) throw new RangeError("Cannot use more bytes of headers than were lent")
    this.#used++
    // The peer has gone in the midst of this round.
    if (!this.#connected) {
      this.#counters.droppedOut++
      return
    }
    const start = this.#queue.placeOf(block) + spare
    bytesOf.putU32(this.memory.bytes, start, length + payload)
    copyBytes(headers, at, length, this.memory.bytes, start + PREFIX)
    this.#queue.use(block, spare, PREFIX + length + payload)
    this.#count(length + payload)
  }

  unlend(): void {
    if (this.#stale) this.#queue.clear()
    else {
      for (let index = this.#blocks.length - 1; index >= this.#used; index--)
        this.#queue.giveBack(this.#blocks[index] ?? 0)
    }
    this.#stale = false
    this.#blocks.length = 0
    this.#headers.length = 0
    this.#used = 0
    this.lent.clear()
  }

  flush(): void {
    this.#write()
  }

  [Symbol.dispose](): void {
    if (this.#closed) return
    this.#closed = true
    this.receiver = nobody
    if (this.#connected) {
      // What was sent is on its way as far as the socket takes it.
      this.flush()
      this.#drop()
    }
    this.#retry.cancel()
    this.#io[Symbol.dispose]()
  }

  /** Returns whether everything that was ready has gone. */
  #write(): boolean {
    this.#unhook?.()
    this.#unhook = undefined
    while (!this.#blocked && this.#connected && this.#queue.bytes > 0) {
      const sent = this.#io.send(this.#queue)
      if (sent === "blocked") this.#blocked = true
      else if (typeof sent === "string") this.#detach(sent)
      // Lent in front of all: it goes once that is used or given back.
      else if (sent === 0) break
      else this.#queue.sent(sent)
    }
    return this.#connected && this.#queue.bytes === 0
  }

  #attach(): void {
    this.#connected = true
    this.#blocked = false
    this.#counters.peers++
    this.receiver.onCarrier(true)
    this.#tellRoom()
  }

  #read(take: (onFrame: OnFrame) => BrokenStream | undefined): void {
    const before = this.#counters.framesIn
    const lost = this.#inflow.lost
    this.#reading = true
    const broken = take(this.#onFrame)
    this.#counters.malformed += this.#inflow.lost - lost
    if (this.#counters.framesIn > before) this.receiver.onSettle()
    this.#reading = false
    this.#inflow.settle()
    if (!this.#connected) this.#inflow.clear()
    if (broken === undefined || !this.#connected) return
    this.#counters.malformed++
    this.#counters.broken++
    this.#detach(broken)
  }

  #deliver(at: number, length: number): boolean {
    const frame = this.#frame
    frame.at = at
    frame.head = length
    frame.length = length
    frame.parts.clear()
    frame.parts.push(this.memory.base + at, length)
    this.#counters.framesIn++
    this.#counters.bytesIn += length
    this.receiver.onFrame(frame)
    return this.#connected
  }

  #count(size: number): void {
    this.#counters.framesOut++
    this.#counters.bytesOut += size
    if (this.#queue.bytes >= EARLY && !this.#blocked) this.flush()
    else this.#unhook ??= this.#io.onTurnEnd(() => this.flush())
  }

  #unblock(sent: number): void {
    this.#blocked = false
    if (sent > 0) this.#queue.sent(sent)
    if (this.#write()) this.#tellRoom()
  }

  /** A place in the queue, after writing what waits there if need be. */
  #take(size: number): number {
    if (!this.#connected) return -1
    const block = this.#queue.take(size)
    if (block >= 0 || this.#blocked || this.#queue.bytes === 0) return block
    this.flush()
    return this.carrier ? this.#queue.take(size) : -1
  }

  #wantRoom(): false {
    this.#wantsRoom = true
    // Without a socket that will tell, what is missing is memory, or the end of this round.
    if (this.#connected && !this.#blocked) this.#retry.after(this.#queue.empty ? MEMORY_MS : 0)
    return false
  }

  #tellRoom(): void {
    if (!this.#wantsRoom || !this.#connected || this.#blocked) return
    this.#wantsRoom = false
    this.receiver.onRoom()
  }

  #detach(reason: StreamReason): void {
    if (!this.#connected) return
    this.#drop()
    this.receiver.onCarrier(false)
    this.#options.onEnd?.(reason)
    this.#io.again()
  }

  #drop(): void {
    this.#io.hangUp()
    this.#connected = false
    this.#unhook?.()
    this.#unhook = undefined
    if (this.#blocks.length > 0) this.#stale = true
    else this.#queue.clear()
    if (!this.#reading) this.#inflow.clear()
  }
}

function refuseOffload(offload: Offload | undefined): void {
  if (offload !== undefined && (offload.checksumStart !== 0 || offload.gso !== 0))
    throw new Error("Cannot leave a checksum to a stream: nobody would finish it")
}
