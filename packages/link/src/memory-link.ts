/**
 * A link in memory, for tests: one end is a `Link`, the other a machine that a test speaks for. Nothing happens but in `deliver`, in the order in which
 * it was sent, so every run is the same.
 *
 * ```
 *  machine.send(bytes) ─► waiting ─► deliver ─► onFrame × 16, onSettle
 *  link.send, link.use ─► waiting ─► deliver ─► machine.onFrame, or machine.received
 * ```
 *
 * It is as strict as the strictest link: no more than `HEAD` bytes of a frame can be read directly, and if the test wants it the rest comes in pieces.
 *
 * @module
 */
import { newLinkCounters, nobody } from "./counters.ts"
import { FRAME_MAX, FRAME_MIN, Frame, HEAD } from "./frame.ts"
import type { Link, LinkCounters, Receiver } from "./link.ts"
import type { Memory } from "./memory.ts"
import { NO_OFFLOADS, noOffload, type Offload, type Offloads } from "./offload.ts"
import { Parts } from "./parts.ts"

const MTU = 1500
const FRAMES = 16
const ROOM = 1024

/** A frame that came to the machine. */
export interface MachineFrame {
  readonly bytes: Uint8Array
  readonly offload: Offload
}

export interface MemoryLinkOptions {
  readonly memory: Memory
  readonly name?: string
  /** 1500 unless told. */
  readonly mtu?: number
  /** None unless told. */
  readonly offloads?: Offloads
  /** Frames of one turn; 16 unless told. */
  readonly framesPerTurn?: number
  /** Frames that may wait for the machine; 1024 unless told. */
  readonly room?: number
  /** Bytes of each part of a frame from the machine, and of each part lent; all in one unless told. */
  readonly pieces?: number
  /** Called when there is something to deliver, until `deliver` has been called. Without it the test calls by itself. */
  readonly schedule?: (deliver: () => void) => void
}

export class MemoryLink implements Link {
  readonly name: string
  readonly memory: Memory
  readonly mtu: number
  readonly offloads: Offloads
  readonly machine: Machine
  readonly lent: Parts = new Parts()
  receiver: Receiver = nobody
  readonly #options: MemoryLinkOptions
  readonly #counters: LinkCounters = newLinkCounters()
  readonly #frame = new Frame()
  readonly #fromMachine: (MachineFrame & { readonly trusted: boolean })[] = []
  readonly #toMachine: MachineFrame[] = []
  /** What is lent, the oldest first; and how many of them were used. */
  readonly #rounds: Place[] = []
  #used = 0
  #plugged = true
  #started = false
  #wantsRoom = false
  #scheduled = false

  constructor(options: MemoryLinkOptions) {
    this.#options = options
    this.name = options.name ?? "memory"
    this.memory = options.memory
    this.mtu = options.mtu ?? MTU
    this.offloads = options.offloads ?? NO_OFFLOADS
    this.machine = new Machine({
      send: (frame, trusted) => {
        this.#fromMachine.push({ ...frame, trusted })
        this.#schedule()
      },
      plug: (on) => this.#plug(on),
      taken: () => this.#schedule(),
    })
  }

  get carrier(): boolean {
    return this.#started && this.#plugged
  }

  get counters(): Readonly<LinkCounters> {
    return this.#counters
  }

  start(): void {
    this.#started = true
    if (this.#plugged) this.receiver.onCarrier(true)
  }

  send(headers: Uint8Array, at: number, length: number, payload?: Parts, offload?: Offload): boolean {
    if (!this.#hasRoom()) {
      this.#counters.droppedOut++
      return false
    }
    const bytes = new Uint8Array(length + (payload?.bytes ?? 0))
    bytes.set(headers.subarray(at, at + length))
    if (payload !== undefined) this.#read(payload, payload.bytes, bytes, length)
    this.#out(bytes, offload)
    return true
  }

  lend(_header: number, payload: number): boolean {
    if (!this.#hasRoom()) return false
    const place = this.#place(payload)
    if (place === undefined) {
      this.#wantsRoom = true
      return false
    }
    this.#rounds.push(place)
    this.lent.append(place.parts, 0, payload)
    return true
  }

  use(headers: Uint8Array, at: number, length: number, payload: number, offload?: Offload): void {
    const round = this.#rounds[this.#used]
    if (round === undefined || payload > round.parts.bytes) throw new Error("Cannot use what was not lent")
    this.#used++
    const bytes = new Uint8Array(length + payload)
    bytes.set(headers.subarray(at, at + length))
    this.#read(round.parts, payload, bytes, length)
    if (this.carrier) this.#out(bytes, offload)
    else this.#counters.droppedOut++
  }

  unlend(): void {
    for (const place of this.#rounds.splice(0)) this.#free(place)
    this.#used = 0
    this.lent.clear()
  }

  flush(): void {
    // What was sent waits for `deliver`.
  }

  /** One turn from the machine, then all that waits for it, then room. Returns whether anything happened. */
  deliver(): boolean {
    this.#scheduled = false
    const turned = this.#turn()
    const frames = this.#toMachine.splice(0)
    for (const frame of frames) this.machine.take(frame)
    if (this.#wantsRoom && this.#hasRoom()) {
      this.#wantsRoom = false
      this.receiver.onRoom()
    }
    if (this.#fromMachine.length > 0) this.#schedule()
    return turned || frames.length > 0
  }

  /** Delivers until nothing is left to be delivered. Throws where that never comes. */
  settle(): void {
    const DELIVERIES = 100_000
    for (let count = 0; this.deliver(); count++) {
      if (count > DELIVERIES) throw new Error(`Cannot settle link ${this.name}: both sides go on and on`)
    }
  }

  [Symbol.dispose](): void {
    this.unlend()
    this.receiver = nobody
    this.#started = false
    this.#fromMachine.length = 0
    this.#toMachine.length = 0
  }

  #turn(): boolean {
    if (!this.carrier) return false
    const frames = this.#fromMachine.splice(0, this.#options.framesPerTurn ?? FRAMES)
    const places: Place[] = []
    for (const { bytes, offload, trusted } of frames) {
      if (bytes.length < FRAME_MIN || bytes.length > FRAME_MAX) {
        this.#counters.malformed++
        continue
      }
      const place = this.#place(bytes.length)
      if (place === undefined) throw new Error(`Cannot deliver to link ${this.name}: there is no memory left`)
      places.push(place)
      this.#write(bytes, place.parts)
      const frame = this.#frame
      frame.bytes = bytes.slice(0, HEAD)
      frame.at = 0
      frame.head = frame.bytes.length
      frame.length = bytes.length
      frame.parts.clear()
      frame.parts.append(place.parts, 0, bytes.length)
      Object.assign(frame.offload, offload)
      frame.trusted = trusted
      this.#counters.framesIn++
      this.#counters.bytesIn += bytes.length
      this.receiver.onFrame(frame)
    }
    if (places.length > 0) this.receiver.onSettle()
    for (const place of places) this.#free(place)
    return frames.length > 0
  }

  #place(length: number): Place | undefined {
    const piece = this.#options.pieces ?? Math.max(1, length)
    // A byte between two pieces, so that nobody takes them for one.
    const size = length + Math.ceil(length / piece)
    const address = this.memory.allocate(size)
    if (address === 0) return undefined
    const parts = new Parts()
    for (let done = 0; done < length; done += piece)
      parts.push(address + done + done / piece, Math.min(piece, length - done))
    return { address, size, parts }
  }

  #free(place: Place): void {
    this.memory.free(place.address, place.size)
  }

  #write(bytes: Uint8Array, parts: Parts): void {
    let done = 0
    for (let index = 0; index < parts.count; index++) {
      this.memory.write(bytes, done, parts.lengthAt(index), parts.addressAt(index))
      done += parts.lengthAt(index)
    }
  }

  #read(parts: Parts, count: number, into: Uint8Array, at: number): void {
    let done = 0
    for (let index = 0; index < parts.count && done < count; index++) {
      const length = Math.min(parts.lengthAt(index), count - done)
      this.memory.read(parts.addressAt(index), length, into, at + done)
      done += length
    }
  }

  #out(bytes: Uint8Array, offload: Offload = noOffload()): void {
    this.#counters.framesOut++
    this.#counters.bytesOut += bytes.length
    this.#toMachine.push({ bytes, offload: { ...offload } })
    this.#schedule()
  }

  #hasRoom(): boolean {
    const waiting = this.#toMachine.length + this.#rounds.length - this.#used + this.machine.received.length
    const has = this.carrier && waiting < (this.#options.room ?? ROOM)
    if (!has) this.#wantsRoom = true
    return has
  }

  #plug(on: boolean): void {
    if (this.#plugged === on) return
    this.#plugged = on
    this.#toMachine.length = 0
    this.#fromMachine.length = 0
    if (!this.#started) return
    this.receiver.onCarrier(on)
    this.#schedule()
  }

  #schedule(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    this.#options.schedule?.(() => void this.deliver())
  }
}

interface Place {
  readonly address: number
  readonly size: number
  readonly parts: Parts
}

interface Wire {
  readonly send: (frame: MachineFrame, trusted: boolean) => void
  readonly plug: (on: boolean) => void
  readonly taken: () => void
}

/** The machine's end. */
export class Machine {
  /** What came and was not taken yet. It counts against the room of the link. */
  readonly received: MachineFrame[] = []
  /** Hears each frame in place of `received`. */
  onFrame: ((frame: MachineFrame) => void) | undefined
  readonly #wire: Wire

  /** Made by its link. */
  constructor(wire: Wire) {
    this.#wire = wire
  }

  /** Sends a frame, a copy of it. `trusted` unless told where something is left to the receiver. */
  send(bytes: Uint8Array, offload: Partial<Offload> = {}, trusted?: boolean): void {
    const whole = { ...noOffload(), ...offload }
    this.#wire.send({ bytes: bytes.slice(), offload: whole }, trusted ?? whole.checksumStart !== 0)
  }

  /** Takes all that came. */
  takeAll(): readonly MachineFrame[] {
    const frames = this.received.splice(0)
    this.#wire.taken()
    return frames
  }

  /** Takes the machine off its link, or puts it back; what was under way is lost. */
  unplug(): void {
    this.#wire.plug(false)
  }

  plug(): void {
    this.#wire.plug(true)
  }

  /** For the link. */
  take(frame: MachineFrame): void {
    if (this.onFrame === undefined) this.received.push(frame)
    else this.onFrame(frame)
  }
}
