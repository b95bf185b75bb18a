/**
 * The NIC of a virtual machine over vhost-user: a link whose frames lie in the guest's own memory.
 *
 * Virtual I/O Device 1.2, section 5.1, and docs/interop/vhost-user.rst. Queue 0 takes frames to the guest, queue 1 those from it; further pairs,
 * where there are any, are read from, and frames to the guest stay with the first. The control queue is QEMU's.
 *
 * ```
 *  new Server(loop, { device: link, fd })          QEMU, or a keeper before it, connects
 *                      │
 *  receiver ◄── onFrame × n, onSettle ── FromMachine ◄── transmit queues
 *     └──────── send, lend, use ───────► ToMachine ────► receive queue
 * ```
 *
 * @module
 */
import type { Scope } from "@skep/loop"
import { Scratch } from "@skep/loop/memory"
import type { Device, Queue } from "@skep/vhost-user"
import { Frame } from "../frame.ts"
import type { Link, LinkCounters, Receiver } from "../link.ts"
import type { Memory } from "../memory.ts"
import { NO_OFFLOADS, type Offload, type Offloads } from "../offload.ts"
import type { Parts } from "../parts.ts"
import * as announcement from "./announcement.ts"
import { type Dialect, dialectOf, offered } from "./features.ts"
import { FromMachine, type MalformedCounters } from "./from-machine.ts"
import { ToMachine } from "./to-machine.ts"

const RX = 0
const TX = 1
const TURN = 64
const MTU = 1500
/** What an IPv6 link has at least (RFC 8200, section 5), and what an IP packet can have at most. */
const MTU_MIN = 1280
const MTU_MAX = 65_535

export interface VhostNetOptions {
  /** For logs, counters and captures. */
  readonly name: string
  /** The link lives in a child of it. */
  readonly scope: Scope
  /** Copies between addresses of this process: the guest's memory is mapped into it. */
  readonly memory: Memory
  /** 1500 unless told. A smaller one that the front end was given (`host_mtu`) counts instead. */
  readonly mtu?: number
  /** Pairs of queues, 1 unless told. */
  readonly pairs?: number
  /** Frames of a turn: as many are let go on together. 64 unless told, at most 1024. */
  readonly turn?: number
}

export class VhostNetLink implements Link, Device {
  readonly name: string
  readonly memory: Memory
  receiver: Receiver = NOBODY
  readonly queueCount: number
  readonly announcedQueues: number
  readonly features: bigint
  readonly lent: Parts
  readonly #scope: Scope
  readonly #counters: LinkCounters = {
    framesIn: 0,
    bytesIn: 0,
    framesOut: 0,
    bytesOut: 0,
    malformed: 0,
    droppedOut: 0,
  }
  readonly #from: FromMachine
  readonly #to: ToMachine
  /** Those that were started. */
  readonly #queues: (Queue | undefined)[] = []
  #mtu: number
  #dialect: Dialect = dialectOf(0n)
  #started = false
  /** What the receiver was told of the carrier. */
  #told = false
  #looking = false
  /** When queues were flushed at the end of a batch. */
  #settledAt = -1
  #late = false
  #announces: { readonly scratch: Scratch; readonly frame: Frame } | undefined

  constructor({ name, scope, memory, mtu = MTU, pairs = 1, turn = TURN }: VhostNetOptions) {
    this.name = name
    this.memory = memory
    this.queueCount = 2 * pairs
    this.announcedQueues = pairs
    this.features = offered(pairs)
    this.#mtu = mtu
    this.#scope = scope.scope(name)
    this.#from = new FromMachine({ counters: this.#counters, turn })
    this.#to = new ToMachine(this.#counters, memory)
    this.lent = this.#to.lent
    this.#scope.onBatchEnd(() => this.#settle())
    this.#scope.onDispose(() => this.#end())
  }

  get mtu(): number {
    return this.#mtu
  }

  get offloads(): Offloads {
    return this.carrier ? this.#dialect.theirs : NO_OFFLOADS
  }

  get carrier(): boolean {
    return this.#queues[RX]?.running === true && this.#queues[TX]?.running === true
  }

  get counters(): Readonly<LinkCounters> {
    return this.#counters
  }

  /** Frames from the machine that were none, by reason: the parts of `counters.malformed`. */
  get malformed(): Readonly<MalformedCounters> {
    return this.#from.malformed
  }

  /** Buffers that the guest offers for frames, at this moment. */
  get spareBuffers(): number {
    return this.#queues[RX]?.offered ?? 0
  }

  start(): void {
    this.#started = true
    this.#look()
  }

  send(headers: Uint8Array, at: number, length: number, payload?: Parts, offload?: Offload): boolean {
    const sent = this.#to.send(headers, at, length, payload, offload)
    if (sent) this.#touch()
    return sent
  }

  lend(header: number, payload: number): boolean {
    return this.#to.lend(header, payload)
  }

  use(headers: Uint8Array, at: number, length: number, payload: number, offload?: Offload): void {
    this.#to.use(headers, at, length, payload, offload)
    this.#touch()
  }

  unlend(): void {
    if (this.#to.unlend()) this.#scope.defer(() => this.#room())
  }

  flush(): void {
    this.#to.flush()
  }

  /** Ends the link: the receiver hears nothing more. Whoever serves it as a device ends that before. */
  [Symbol.dispose](): void {
    this.#scope[Symbol.dispose]()
  }

  // ---- The device

  onFeatures(features: bigint): void {
    this.#dialect = dialectOf(features)
  }

  onMtu(mtu: number): boolean {
    if (mtu < MTU_MIN || mtu > MTU_MAX) return false
    this.#mtu = Math.min(this.#mtu, mtu)
    return true
  }

  onAnnounce(mac: Uint8Array): void {
    if (!this.#started) return
    const { frame } = this.#announcement()
    announcement.emit(frame.bytes, 0, mac)
    this.receiver.onFrame(frame)
    this.receiver.onSettle()
  }

  onStart(queue: Queue): void {
    this.#queues[queue.index] = queue
    if (queue.index === RX) this.#to.start(queue, this.#dialect)
    this.#look()
  }

  onEnable(): void {
    this.#look()
  }

  onKick(queue: Queue): void {
    this.#look()
    // Until there is a carrier all waits; then each queue is looked at again.
    if (!this.#told || !this.carrier) return
    if (queue.index === RX) {
      if (this.#to.more()) this.#room()
    } else if (queue.index % 2 === TX) {
      this.#from.drain(queue, this.#dialect, this.receiver)
      queue.flush()
      this.flush()
    }
  }

  onStop(queue: Queue): void {
    this.#queues[queue.index] = undefined
    if (queue.index === RX) this.#to.stop()
    this.#look()
  }

  onBroken(): void {
    this.#look()
  }

  // ---- Carrier, room, and the end of a batch

  /** Tells of the carrier where it has changed. That it went is told later in the batch: while memory moves, queues stop and start at once. */
  #look(): void {
    if (!this.#started || this.carrier === this.#told || this.#looking) return
    if (this.#told) {
      this.#looking = true
      this.#scope.defer(() => {
        this.#looking = false
        if (this.carrier) return this.#resume()
        this.#told = false
        this.receiver.onCarrier(false)
      })
      return
    }
    this.#told = true
    this.receiver.onCarrier(true)
    this.#scope.defer(() => this.#resume())
  }

  /** Looks at queues whose kicks came too early. */
  #resume(): void {
    for (const queue of this.#queues) if (queue !== undefined) this.onKick(queue)
  }

  #room(): void {
    if (this.#started && this.carrier) this.receiver.onRoom()
  }

  #settle(): void {
    this.flush()
    this.#settledAt = this.#scope.loop.now
  }

  /** Who sends from a later hook of the same batch has its frames let go in the next one, which follows at once. */
  #touch(): void {
    if (this.#settledAt !== this.#scope.loop.now || this.#late) return
    this.#late = true
    this.#scope.defer(() => {
      this.#late = false
      this.flush()
    })
  }

  #end(): void {
    this.#started = false
    this.#told = false
    this.#to.stop()
    this.#queues.length = 0
    this.receiver = NOBODY
    this.#announces?.scratch[Symbol.dispose]()
  }

  /** Made when first needed: most machines never move. */
  #announcement(): { readonly scratch: Scratch; readonly frame: Frame } {
    if (this.#announces !== undefined) return this.#announces
    const scratch = new Scratch(announcement.ANNOUNCEMENT)
    const { bytes, address } = scratch.region("announcement", announcement.ANNOUNCEMENT)
    const frame = new Frame()
    frame.bytes = bytes
    frame.head = announcement.ANNOUNCEMENT
    frame.length = announcement.ANNOUNCEMENT
    frame.parts.push(address, announcement.ANNOUNCEMENT)
    this.#announces = { scratch, frame }
    return this.#announces
  }
}

const NOBODY: Receiver = {
  onFrame: () => undefined,
  onSettle: () => undefined,
  onRoom: () => undefined,
  onCarrier: () => undefined,
}
