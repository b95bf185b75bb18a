/**
 * A link with a bad network in between, both ways, the same for the same seed: for tests, benchmarks and whoever wants to see what his program does.
 *
 * ```
 *  machine ─► link ─► fate ─► now: on as it is                                     ─► receiver
 *                          └► later, or corrupted: a copy, held until its time     ─┘
 * ```
 *
 * @module
 */
import { u8 } from "@skep/wire/bytes"
import { nobody } from "../counters.ts"
import { finishChecksum, headOf } from "../finish/checksum.ts"
import { FRAME_MIN, Frame, HEAD } from "../frame.ts"
import type { Link, LinkCounters, Receiver } from "../link.ts"
import type { Memory } from "../memory.ts"
import { noOffload, type Offload, type Offloads, withoutUdp } from "../offload.ts"
import { Parts } from "../parts.ts"
import { type Fate, type FaultCounts, type Faults, Impairment } from "./impairment.ts"
import { type FaultClock, type Held, Later } from "./later.ts"
import { seededRandom } from "./random.ts"

/** Frames lent in one round. */
const LENT = 64

export interface FaultyOptions {
  readonly clock: FaultClock
  readonly seed: number
  /** From the machine. */
  readonly incoming?: Faults
  /** To the machine. */
  readonly outgoing?: Faults
}

/** What is lent and not used yet, in memory of our own. */
interface Lent {
  readonly address: number
  readonly payload: number
}

export class FaultyLink implements Link {
  receiver: Receiver = nobody
  readonly lent: Parts = new Parts()
  readonly #inner: Link
  readonly #clock: FaultClock
  readonly #random: () => number
  readonly #in: Impairment
  readonly #out: Impairment
  readonly #inLater: Later
  readonly #outLater: Later
  readonly #room: { at(deadline: number): void; cancel(): void }
  readonly #frame = new Frame()
  readonly #headers = new Uint8Array(HEAD)
  readonly #payload = new Parts()
  #passed = false
  /** Whose memory this round lends. */
  #round: "nobody" | "inner" | "own" = "nobody"
  readonly #own: Lent[] = []
  #used = 0
  #wantsRoom = false

  /** Owns `inner`, which was not started. */
  constructor(inner: Link, options: FaultyOptions) {
    this.#inner = inner
    this.#clock = options.clock
    this.#random = seededRandom(options.seed)
    // Each direction has its own numbers, so that frames of one do not change what happens in the other.
    this.#in = new Impairment(options.incoming ?? {}, seededRandom(options.seed + 1))
    this.#out = new Impairment(options.outgoing ?? {}, seededRandom(options.seed + 2))
    this.#inLater = new Later(inner.memory, options.clock, (due) => this.#arriveIn(due))
    this.#outLater = new Later(inner.memory, options.clock, (due) => this.#arriveOut(due))
    this.#room = options.clock.timer(() => {
      this.#wantsRoom = false
      this.receiver.onRoom()
    })
  }

  get name(): string {
    return this.#inner.name
  }

  get memory(): Memory {
    return this.#inner.memory
  }

  get mtu(): number {
    return this.#inner.mtu
  }

  /** Without UDP that is still to be cut: each datagram has its own luck. */
  get offloads(): Offloads {
    return withoutUdp(this.#inner.offloads)
  }

  get carrier(): boolean {
    return this.#inner.carrier
  }

  get counters(): Readonly<LinkCounters> {
    return this.#inner.counters
  }

  /** What has happened so far. */
  get faults(): { readonly incoming: Readonly<FaultCounts>; readonly outgoing: Readonly<FaultCounts> } {
    return { incoming: this.#in.counts, outgoing: this.#out.counts }
  }

  /** Makes the network another from now on. What is under way arrives as it would have. */
  setFaults(incoming: Faults, outgoing: Faults): void {
    this.#in.faults = incoming
    this.#out.faults = outgoing
  }

  /** Lets what is under way arrive now, in its order, and who waits for room try again. Not from within a turn, or between `lend` and `unlend`. */
  release(): void {
    this.#outLater.release()
    this.#inLater.release()
    this.#room.cancel()
    if (!this.#wantsRoom) return
    this.#wantsRoom = false
    this.receiver.onRoom()
  }

  start(): void {
    this.#inner.receiver = {
      onFrame: (frame) => this.#onFrame(frame),
      onSettle: () => this.#onSettle(),
      onRoom: () => this.receiver.onRoom(),
      onCarrier: (up) => {
        // Who found no room in our own memory while nobody was there asks nobody else.
        if (up && this.#wantsRoom) this.#room.at(this.#clock.now)
        this.receiver.onCarrier(up)
      },
    }
    this.#inner.start()
  }

  send(headers: Uint8Array, at: number, length: number, payload?: Parts, offload?: Offload): boolean {
    const fate = this.#out.decide(length + (payload?.bytes ?? 0), this.#clock.now)
    if (fate.copies === 0) return true
    if (fate.corrupt || fate.at > this.#clock.now || !this.#outLater.empty) {
      const held = this.#outLater.copy(headers, at, length, payload)
      if (held !== undefined) this.#hold(this.#outLater, held, fate, offload)
      return true
    }
    const { copies } = fate
    const sent = this.#inner.send(headers, at, length, payload, offload)
    if (sent && copies > 1) this.#inner.send(headers, at, length, payload, offload)
    return sent
  }

  lend(header: number, payload: number): boolean {
    if (this.#round === "nobody") this.#round = this.#out.idle && this.#outLater.empty ? "inner" : "own"
    if (this.#round === "inner") {
      const before = this.#inner.lent.bytes
      if (!this.#inner.lend(header, payload)) return false
      this.lent.append(this.#inner.lent, before, payload)
      return true
    }
    const room = this.carrier && this.#own.length < LENT
    const address = room ? this.memory.allocate(Math.max(1, payload)) : 0
    if (address === 0) {
      this.#wantsRoom = true
      return false
    }
    this.#own.push({ address, payload })
    this.lent.push(address, payload)
    return true
  }

  use(headers: Uint8Array, at: number, length: number, payload: number, offload?: Offload): void {
    if (this.#round !== "own") {
      this.#inner.use(headers, at, length, payload, offload)
      return
    }
    const lent = this.#own[this.#used]
    if (lent === undefined) throw new Error("Cannot use what was not lent")
    this.#used++
    const parts = new Parts()
    parts.push(lent.address, payload)
    this.send(headers, at, length, parts, offload)
  }

  unlend(): void {
    if (this.#round === "inner") this.#inner.unlend()
    for (const { address, payload } of this.#own) this.memory.free(address, Math.max(1, payload))
    this.#own.length = 0
    this.#used = 0
    this.#round = "nobody"
    this.lent.clear()
    if (this.#wantsRoom && this.carrier) this.#room.at(this.#clock.now)
  }

  flush(): void {
    this.#inner.flush()
  }

  [Symbol.dispose](): void {
    this.unlend()
    this.#room.cancel()
    this.#inLater[Symbol.dispose]()
    this.#outLater[Symbol.dispose]()
    this.#inner[Symbol.dispose]()
  }

  #onFrame(frame: Frame): void {
    const fate = this.#in.decide(frame.length, this.#clock.now)
    if (fate.copies === 0) return
    if (fate.corrupt || fate.at > this.#clock.now || !this.#inLater.empty) {
      const held = this.#inLater.copy(frame.bytes, frame.at, 0, frame.parts)
      if (held === undefined) return
      held.trusted = frame.trusted
      this.#hold(this.#inLater, held, fate, frame.offload)
      return
    }
    this.#passed = true
    for (let copy = 0; copy < fate.copies; copy++) this.receiver.onFrame(frame)
  }

  #onSettle(): void {
    if (this.#passed) this.receiver.onSettle()
    this.#passed = false
  }

  /** Keeps a copy until its time, which may have come. */
  #hold(later: Later, held: Held, fate: Readonly<Fate>, offload: Readonly<Offload> = noOffload()): void {
    Object.assign(held.offload, offload)
    held.copies = fate.copies
    if (fate.corrupt) this.#corrupt(held)
    later.add(held, fate.at)
  }

  /** Another bit, after the checksums were finished: otherwise whoever finishes them would make it right again. */
  #corrupt(held: Held): void {
    const bytes = new Uint8Array(held.length)
    this.memory.read(held.address, held.length, bytes, 0)
    if (held.offload.checksumStart !== 0 && headOf(held.offload) <= held.length)
      finishChecksum(bytes, 0, held.length, 0, held.offload)
    Object.assign(held.offload, noOffload())
    held.trusted = false
    // Not in the Ethernet header, where it would only be another loss.
    const bit = Math.floor(this.#random() * (held.length - FRAME_MIN) * 8) + FRAME_MIN * 8
    const at = Math.min(bit >>> 3, held.length - 1)
    bytes[at] = u8(bytes, at) ^ (1 << (bit & 7))
    this.memory.write(bytes, 0, held.length, held.address)
  }

  #arriveIn(due: readonly Held[]): void {
    const frame = this.#frame
    for (const held of due) {
      frame.bytes = this.#headers
      frame.at = 0
      frame.head = Math.min(HEAD, held.length)
      frame.length = held.length
      frame.trusted = held.trusted
      this.memory.read(held.address, frame.head, this.#headers, 0)
      for (let copy = 0; copy < held.copies; copy++) {
        frame.parts.clear()
        frame.parts.push(held.address, held.length)
        Object.assign(frame.offload, held.offload)
        this.receiver.onFrame(frame)
      }
    }
    this.receiver.onSettle()
  }

  #arriveOut(due: readonly Held[]): void {
    for (const held of due) {
      const head = Math.min(FRAME_MIN, held.length)
      this.memory.read(held.address, head, this.#headers, 0)
      this.#payload.clear()
      this.#payload.push(held.address + head, held.length - head)
      for (let copy = 0; copy < held.copies; copy++)
        this.#inner.send(this.#headers, 0, head, this.#payload, held.offload)
    }
  }
}
