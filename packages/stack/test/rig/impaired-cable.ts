/**
 * Two links joined by a cable that loses, delays, doubles and reorders frames: in virtual time, by a seed.
 *
 * @module
 */
import {
  Frame,
  type Link,
  type LinkCounters,
  type Memory,
  NO_OFFLOADS,
  type Offload,
  type Offloads,
  Parts,
  type Receiver,
} from "@skep/link"
import type { VirtualClock } from "./virtual-clock.ts"

export interface Impairment {
  /** 0 to 1. */
  readonly loss?: number
  readonly duplicate?: number
  /** The share of frames that take `delayMs` longer. */
  readonly reorder?: number
  readonly delayMs?: number
  readonly corrupt?: number
}

export interface CableOptions {
  readonly clock: VirtualClock
  readonly memory: Memory
  readonly random: () => number
  readonly mtu: number
  readonly offloads?: Offloads
  readonly impairment?: Impairment
  /** Frames on their way at most: a queue that runs over. */
  readonly queue?: number
  readonly onFrame?: (from: string, frame: Uint8Array) => void
}

const SOUND: Required<Impairment> = { loss: 0, duplicate: 0, reorder: 0, delayMs: 0.02, corrupt: 0 }
const SLOT = 65_536 + 256

export function impairedCable(options: CableOptions): readonly [CableEnd, CableEnd] {
  const a = new CableEnd("a", options)
  const b = new CableEnd("b", options)
  a.other = b
  b.other = a
  return [a, b]
}

export class CableEnd implements Link {
  readonly name: string
  readonly memory: Memory
  readonly mtu: number
  readonly offloads: Offloads
  readonly carrier = true
  readonly counters: LinkCounters = {
    framesIn: 0,
    bytesIn: 0,
    framesOut: 0,
    bytesOut: 0,
    malformed: 0,
    droppedOut: 0,
  }
  receiver: Receiver = { onFrame: () => {}, onSettle: () => {}, onRoom: () => {}, onCarrier: () => {} }
  other: CableEnd | undefined
  lost = 0
  readonly lent = new Parts()
  readonly #options: CableOptions
  readonly #slots: number[] = []
  readonly #queue: { readonly address: number; readonly room: number }[] = []
  readonly #frame = new Frame()
  readonly #incoming: number
  #onWay = 0
  #freeAt = 0

  constructor(name: string, options: CableOptions) {
    this.name = name
    this.#options = options
    this.memory = options.memory
    this.mtu = options.mtu
    this.offloads = options.offloads ?? NO_OFFLOADS
    this.#incoming = options.memory.allocate(SLOT)
  }

  start(): void {}

  send(headers: Uint8Array, at: number, length: number, payload?: Parts, offload?: Offload): boolean {
    const frame = new Uint8Array(length + (payload?.bytes ?? 0))
    frame.set(headers.subarray(at, at + length))
    let to = length
    for (let index = 0; index < (payload?.count ?? 0); index++) {
      this.memory.read(payload?.addressAt(index) ?? 0, payload?.lengthAt(index) ?? 0, frame, to)
      to += payload?.lengthAt(index) ?? 0
    }
    this.#transmit(frame, (offload?.checksumStart ?? 0) > 0)
    return true
  }

  lend(_header: number, payload: number): boolean {
    const address = this.#slots.pop() ?? this.memory.allocate(SLOT)
    if (address === 0) return false
    this.#queue.push({ address, room: payload })
    this.lent.push(address, payload)
    return true
  }

  use(headers: Uint8Array, at: number, length: number, payload: number, offload?: Offload): void {
    const slot = this.#queue.shift()
    if (slot === undefined || payload > slot.room) throw new Error("used more than was lent")
    const parts = new Parts()
    parts.push(slot.address, payload)
    this.send(headers, at, length, parts, offload)
    this.#slots.push(slot.address)
  }

  unlend(): void {
    for (const { address } of this.#queue.splice(0)) this.#slots.push(address)
    this.lent.clear()
  }

  flush(): void {}

  [Symbol.dispose](): void {
    for (const address of this.#slots.splice(0)) this.memory.free(address, SLOT)
    this.memory.free(this.#incoming, SLOT)
  }

  #transmit(frame: Uint8Array, trusted: boolean): void {
    const { random, queue = Number.POSITIVE_INFINITY } = this.#options
    const impairment = { ...SOUND, ...this.#options.impairment }
    this.#options.onFrame?.(this.name, frame)
    this.counters.framesOut++
    if (random() < impairment.loss || this.#onWay >= queue) {
      this.lost++
      return
    }
    if (random() < impairment.corrupt) {
      const at = Math.floor(random() * frame.length)
      frame[at] = (frame[at] ?? 0) ^ (1 + Math.floor(random() * 255))
    }
    const copies = random() < impairment.duplicate ? 2 : 1
    const late = random() < impairment.reorder ? impairment.delayMs : 0
    for (let copy = 0; copy < copies; copy++) this.#carry(frame, trusted, impairment.delayMs + late)
  }

  /** A cable of 10 Gbit/s: what is longer takes longer, and nothing overtakes unless it is told to. */
  #carry(frame: Uint8Array, trusted: boolean, delayMs: number): void {
    const { clock } = this.#options
    this.#freeAt = Math.max(this.#freeAt, clock.now()) + frame.length / 1.25e6
    this.#onWay++
    clock.after(this.#freeAt - clock.now() + delayMs, () => {
      this.#onWay--
      this.other?.arrive(frame, trusted)
    })
  }

  arrive(bytes: Uint8Array, trusted: boolean): void {
    const frame = this.#frame
    this.memory.write(bytes, 0, bytes.length, this.#incoming)
    frame.bytes = bytes
    frame.at = 0
    frame.head = Math.min(bytes.length, 256)
    frame.length = bytes.length
    frame.parts.clear()
    frame.parts.push(this.#incoming, bytes.length)
    frame.trusted = trusted
    this.receiver.onFrame(frame)
    this.receiver.onSettle()
  }
}
