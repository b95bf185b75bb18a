/**
 * A link over a TAP device: frames to and from an interface of the kernel, in this network namespace or in another.
 *
 * ```
 *  read × n ─► inbox │ vnet header 10 │ frame │ … ─► onFrame × n, onSettle          one read is one frame
 *  lend ─► slot │ headroom … vnet header, headers │ payload │ ─► one write          one write is one frame
 *  send ─► writev: vnet header and headers from scratch memory, payload from where it is
 * ```
 *
 * The kernel takes every frame at once, so there is always room while the interface is up.
 *
 * @module
 */
import type { Registration, Scope, Timer } from "@skep/loop"
import * as sys from "@skep/loop/sys"
import { newLinkCounters, nobody } from "../counters.ts"
import { FRAME_MAX, FRAME_MIN, Frame } from "../frame.ts"
import type { Link, LinkCounters, Receiver } from "../link.ts"
import { copyBytes } from "../memory/element.ts"
import { HEADROOM, SLOT, SLOT_PAYLOAD } from "../memory/slots.ts"
import type { SystemMemory } from "../memory/system-memory.ts"
import { NO_OFFLOADS, type Offload, type Offloads } from "../offload.ts"
import { Parts } from "../parts.ts"
import type { TapDevice } from "./device.ts"
import * as vnet from "./vnet-header.ts"

/** Frames of one turn: enough for one system call to serve many, and few enough that they stay in the caches. Of large ones fewer have room. */
const FRAMES = 64
/** Where the next frame begins is a multiple of that. */
const ALIGN = 64
/** Frames lent at once. */
const LENT = 32
/** How often an interface that is down is looked at. */
const PROBE_MS = 200

export interface TapLinkOptions {
  readonly name: string
  readonly scope: Scope
  readonly memory: SystemMemory
  /** Owned from now on. */
  readonly device: TapDevice
}

export class TapLink implements Link {
  readonly name: string
  readonly memory: SystemMemory
  readonly mtu: number
  readonly offloads: Offloads
  readonly lent: Parts = new Parts()
  receiver: Receiver = nobody
  readonly #device: TapDevice
  readonly #scope: Scope
  readonly #frame = new Frame()
  readonly #counters: LinkCounters = newLinkCounters()
  readonly #probe: Timer
  /** Bytes before each frame. */
  readonly #before: number
  /** Slots of what is lent, the oldest at `#used`. */
  readonly #slots: number[] = []
  #used = 0
  #registration: Registration | undefined
  #carrier = false
  #wantsRoom = false
  #closed = false

  constructor(options: TapLinkOptions) {
    this.name = options.name
    this.memory = options.memory
    this.#scope = options.scope
    this.#device = options.device
    this.mtu = options.device.mtu
    this.#before = options.device.vnetHeader ? vnet.VNET_HEADER : 0
    const { vnetHeader, cutsUdp } = options.device
    this.offloads = vnetHeader ? { checksum: true, tcp4: true, tcp6: true, udp: cutsUdp } : NO_OFFLOADS
    this.#probe = options.scope.timer(() => this.#look())
    this.#frame.bytes = this.memory.bytes
  }

  get carrier(): boolean {
    return this.#carrier
  }

  get counters(): Readonly<LinkCounters> {
    return this.#counters
  }

  start(): void {
    this.#registration = this.#scope.add(this.#device.fd, sys.EPOLLIN, (events) => this.#onEvent(events))
    this.#look()
  }

  send(headers: Uint8Array, at: number, length: number, payload?: Parts, offload?: Offload): boolean {
    const { arena, base, bytes, iovecs } = this.memory
    const start = arena.scratch
    const head = this.#before + length
    if (this.#before > 0) vnet.emit(bytes, start, offload)
    copyBytes(headers, at, length, bytes, start + this.#before)
    if (payload === undefined || payload.count === 0)
      return this.#wrote(sys.write(this.#device.fd, base + start, head), length)
    iovecs.clear()
    iovecs.push(base + start, head)
    for (let index = 0; index < payload.count; index++) {
      if (!iovecs.push(payload.addressAt(index), payload.lengthAt(index))) return this.#dropped()
    }
    return this.#wrote(sys.writev(this.#device.fd, iovecs.address, iovecs.count), length + payload.bytes)
  }

  lend(header: number, payload: number): boolean {
    if (payload > SLOT_PAYLOAD || header + this.#before > HEADROOM)
      throw new RangeError(`Cannot lend ${payload} bytes after ${header} of headers`)
    const slot =
      !this.#carrier || this.#slots.length - this.#used >= LENT ? -1 : this.memory.arena.slots.take()
    if (slot < 0) {
      this.#wantsRoom = true
      return false
    }
    this.#slots.push(slot)
    this.lent.push(this.memory.base + slot + HEADROOM, payload)
    return true
  }

  use(headers: Uint8Array, at: number, length: number, payload: number, offload?: Offload): void {
    const slot = this.#slots[this.#used]
    if (slot === undefined) throw new Error("Cannot use what was not lent")
    this.#used++
    const { arena, base, bytes } = this.memory
    const start = slot + HEADROOM - length - this.#before
    if (this.#before > 0) vnet.emit(bytes, start, offload)
    copyBytes(headers, at, length, bytes, start + this.#before)
    const result = sys.write(this.#device.fd, base + start, this.#before + length + payload)
    arena.slots.give(slot)
    this.#wrote(result, length + payload)
  }

  unlend(): void {
    const { slots } = this.memory.arena
    for (let index = this.#used; index < this.#slots.length; index++) slots.give(this.#slots[index] ?? -1)
    this.#slots.length = 0
    this.#used = 0
    this.lent.clear()
    // The rest of the round is what there was no room beside.
    if (this.#wantsRoom && this.#carrier) this.#scope.defer(() => this.#tellRoom())
  }

  /** Every frame went when it was sent. */
  flush(): void {
    // Nothing is gathered here: one write is one frame.
  }

  [Symbol.dispose](): void {
    if (this.#closed) return
    this.#closed = true
    this.#carrier = false
    this.unlend()
    this.#probe.cancel()
    this.#registration?.remove()
    sys.close(this.#device.fd)
    this.#device.interface?.[Symbol.dispose]()
  }

  #onEvent(events: number): void {
    const { arena, base } = this.memory
    const end = arena.inbox + arena.inboxLength
    let frames = 0
    let at = arena.inbox
    for (let turn = 0; turn < FRAMES && end - at >= SLOT && !this.#closed; turn++) {
      const got = sys.read(this.#device.fd, base + at, SLOT)
      if (got < 0) {
        if (got !== -sys.EAGAIN) this.#gone()
        break
      }
      if (!this.#parse(at, got)) continue
      at += Math.ceil(got / ALIGN) * ALIGN
      frames++
      this.receiver.onFrame(this.#frame)
    }
    if (frames > 0) this.receiver.onSettle()
    // Whatever could not be read is not worth being told of again and again.
    else if ((events & (sys.EPOLLERR | sys.EPOLLHUP)) !== 0) this.#gone()
    if (frames > 0 && !this.#carrier) this.#setCarrier(true)
  }

  #parse(start: number, got: number): boolean {
    const frame = this.#frame
    const length = got - this.#before
    const at = start + this.#before
    if (length < FRAME_MIN || length > FRAME_MAX) return this.#malformed()
    if (this.#before > 0) {
      const trusted = vnet.parse(this.memory.bytes, start, length, frame.offload)
      if (typeof trusted === "string") return this.#malformed()
      frame.trusted = trusted
    }
    frame.at = at
    frame.head = length
    frame.length = length
    frame.parts.clear()
    frame.parts.push(this.memory.base + at, length)
    this.#counters.framesIn++
    this.#counters.bytesIn += length
    return true
  }

  #malformed(): boolean {
    this.#counters.malformed++
    return false
  }

  /** What a write of a frame of `length` bytes came to. */
  #wrote(result: number, length: number): boolean {
    if (result >= 0) {
      this.#counters.framesOut++
      this.#counters.bytesOut += length
      return true
    }
    // The interface is down: tun_get_user() of Linux says EIO.
    if (result === -sys.EIO) {
      this.#setCarrier(false)
      this.#probe.after(PROBE_MS)
    } else if (result === -sys.EBADFD) this.#gone()
    else if (result === -sys.EINVAL) {
      // The kernel did not like this frame; it may like the next.
      this.#counters.droppedOut++
      return true
    } else this.#probe.after(1)
    return this.#dropped()
  }

  #dropped(): boolean {
    this.#counters.droppedOut++
    this.#wantsRoom = true
    return false
  }

  /** Looks whether the interface is up. Where that cannot be asked it is taken to be, until a write says otherwise. */
  #look(): void {
    const up = this.#device.interface === undefined ? true : this.#device.interface.up
    if (up === true) {
      this.#setCarrier(true)
      this.#tellRoom()
    } else if (up === false) this.#probe.after(PROBE_MS)
    else this.#gone()
  }

  #tellRoom(): void {
    if (!this.#wantsRoom || this.#closed) return
    this.#wantsRoom = false
    this.receiver.onRoom()
  }

  /** The interface is no more, and never will be for this descriptor. */
  #gone(): void {
    this.#registration?.remove()
    this.#probe.cancel()
    this.#setCarrier(false)
  }

  #setCarrier(up: boolean): void {
    if (this.#carrier === up || this.#closed) return
    this.#carrier = up
    this.receiver.onCarrier(up)
  }
}
