/**
 * A link that others can be put into while it runs, and taken out again: who watches its frames, and a bad network.
 *
 * ```
 *  nothing plugged   link ◄────────────────────────────────────► receiver
 *  watched           link ◄──► ObservedLink ◄──────────────────► receiver
 *  with faults       link ◄──► ObservedLink ◄──► FaultyLink ◄──► receiver
 * ```
 *
 * Who watches sees what the machine sends and gets, after the faults. Without anything in it a frame costs one more call.
 *
 * @module
 */
import { nobody } from "../counters.ts"
import type { Link, LinkCounters, Receiver } from "../link.ts"
import type { Memory } from "../memory.ts"
import type { Offload, Offloads } from "../offload.ts"
import type { Parts } from "../parts.ts"
import { FaultyLink } from "./faulty-link.ts"
import { FAULT_COUNTS, type FaultCounts, type Faults } from "./impairment.ts"
import type { FaultClock } from "./later.ts"
import { ObservedLink, type Observer } from "./observed.ts"

export interface InterposedFaults {
  /** From the machine. */
  readonly incoming: Faults
  /** To the machine. */
  readonly outgoing: Faults
  /** With it the numbers drawn begin anew. Without, those of the faults before go on; the first ones begin at 0. */
  readonly seed?: number
}

export class InterposedLink implements Link {
  receiver: Receiver = nobody
  readonly #inner: Link
  readonly #clock: FaultClock
  readonly #observers = new Set<Observer>()
  readonly #observed: ObservedLink
  #faulty: FaultyLink | undefined
  /** Taken out; what they hold is to arrive in a turn of its own. */
  readonly #leaving: FaultyLink[] = []
  readonly #release: ReturnType<FaultClock["timer"]>
  /** The faults of others that are out already, for the counters. */
  readonly #passed: FaultCounts = noFaults()
  /** Where frames to the machine go, and those from it. */
  #way: Link
  #back: Receiver
  readonly #straight: Receiver
  #watched: Receiver = nobody
  /** Frames were lent and not all given back, or a turn is under way: nothing is moved until it is over. */
  #lending = false
  #inTurn = false
  #moved = false

  /** Owns `inner`, which was not started. */
  constructor(inner: Link, clock: FaultClock) {
    this.#inner = inner
    this.#clock = clock
    this.#straight = {
      onFrame: (frame) => this.receiver.onFrame(frame),
      onSettle: () => this.receiver.onSettle(),
      onRoom: () => this.receiver.onRoom(),
      onCarrier: (up) => this.receiver.onCarrier(up),
    }
    this.#observed = new ObservedLink(
      new Borrowed(inner, (receiver) => {
        this.#watched = receiver
      }),
      {
        onIncoming: (frame, memory) => {
          for (const observer of this.#observers) observer.onIncoming(frame, memory)
        },
        onOutgoing: (frame, memory) => {
          for (const observer of this.#observers) observer.onOutgoing(frame, memory)
        },
      },
    )
    this.#observed.start()
    this.#way = inner
    this.#back = this.#straight
    this.#release = clock.timer(() => this.#empty())
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

  get offloads(): Offloads {
    return this.#way.offloads
  }

  get carrier(): boolean {
    return this.#inner.carrier
  }

  get counters(): Readonly<LinkCounters> {
    return this.#inner.counters
  }

  get lent(): Parts {
    return this.#way.lent
  }

  /** What all faults have done since the link began, both ways. */
  get faultCounts(): Readonly<FaultCounts> {
    const counts = { ...this.#passed }
    if (this.#faulty !== undefined) addFaults(counts, this.#faulty)
    return counts
  }

  /** Shows the observer every frame from now on, until the function that is returned is called. */
  observe(observer: Observer): () => void {
    this.#observers.add(observer)
    this.#move()
    return () => {
      if (this.#observers.delete(observer)) this.#move()
    }
  }

  /**
   * Puts a bad network in between, or makes the one that is there another: what is under way arrives as it would have. Undefined takes it out, and
   * what is under way arrives in the next turn of the clock.
   */
  setFaults(faults: InterposedFaults | undefined): void {
    if (faults !== undefined && faults.seed === undefined && this.#faulty !== undefined) {
      this.#faulty.setFaults(faults.incoming, faults.outgoing)
      return
    }
    this.#takeOut()
    if (faults !== undefined) {
      const { incoming, outgoing, seed = 0 } = faults
      const below = new Borrowed(this.#observed, (receiver) => {
        this.#observed.receiver = receiver
      })
      this.#faulty = new FaultyLink(below, { clock: this.#clock, seed, incoming, outgoing })
      this.#faulty.receiver = this.#straight
    }
    this.#move()
  }

  start(): void {
    this.#inner.receiver = {
      onFrame: (frame) => {
        this.#inTurn = true
        this.#back.onFrame(frame)
      },
      onSettle: () => this.#onSettle(),
      onRoom: () => this.#back.onRoom(),
      onCarrier: (up) => this.#back.onCarrier(up),
    }
    this.#inner.start()
  }

  send(headers: Uint8Array, at: number, length: number, payload?: Parts, offload?: Offload): boolean {
    return this.#way.send(headers, at, length, payload, offload)
  }

  lend(header: number, payload: number): boolean {
    this.#lending = true
    return this.#way.lend(header, payload)
  }

  use(headers: Uint8Array, at: number, length: number, payload: number, offload?: Offload): void {
    this.#way.use(headers, at, length, payload, offload)
  }

  unlend(): void {
    this.#way.unlend()
    this.#lending = false
    if (this.#moved) this.#move()
  }

  flush(): void {
    this.#way.flush()
  }

  /** What is held is lost, and the link ends. */
  [Symbol.dispose](): void {
    this.#way.unlend()
    this.#release.cancel()
    for (const faulty of this.#leaving.splice(0)) faulty[Symbol.dispose]()
    this.#faulty?.[Symbol.dispose]()
    this.#observers.clear()
    this.#inner[Symbol.dispose]()
  }

  #onSettle(): void {
    this.#back.onSettle()
    this.#inTurn = false
    if (this.#moved) this.#move()
  }

  #takeOut(): void {
    const faulty = this.#faulty
    if (faulty === undefined) return
    this.#faulty = undefined
    addFaults(this.#passed, faulty)
    // One that was never in, since all came within one turn, holds nothing.
    if (this.#way === faulty) this.#leaving.push(faulty)
    else faulty[Symbol.dispose]()
  }

  /** After `move`: what arrives now may be answered, and the answers go the new way. */
  #empty(): void {
    for (const faulty of this.#leaving.splice(0)) {
      faulty.release()
      faulty[Symbol.dispose]()
    }
  }

  /** Leads frames through what is plugged in; later, where some are under way. */
  #move(): void {
    this.#moved = this.#lending || this.#inTurn
    if (this.#moved) return
    const watched = this.#faulty !== undefined || this.#observers.size > 0
    this.#way = this.#faulty ?? (watched ? this.#observed : this.#inner)
    this.#back = watched ? this.#watched : this.#straight
    if (this.#faulty === undefined) this.#observed.receiver = this.#straight
    else this.#faulty.start()
    if (this.#leaving.length > 0) this.#release.at(this.#clock.now)
  }
}

/** A link as those see it that are put upon it for a while: they neither start nor end it, and hear of it by the receiver that `wire` is given. */
class Borrowed implements Link {
  receiver: Receiver = nobody
  readonly #link: Link
  readonly #wire: (receiver: Receiver) => void

  constructor(link: Link, wire: (receiver: Receiver) => void) {
    this.#link = link
    this.#wire = wire
  }

  get name(): string {
    return this.#link.name
  }

  get memory(): Memory {
    return this.#link.memory
  }

  get mtu(): number {
    return this.#link.mtu
  }

  get offloads(): Offloads {
    return this.#link.offloads
  }

  get carrier(): boolean {
    return this.#link.carrier
  }

  get counters(): Readonly<LinkCounters> {
    return this.#link.counters
  }

  get lent(): Parts {
    return this.#link.lent
  }

  start(): void {
    this.#wire(this.receiver)
  }

  send(headers: Uint8Array, at: number, length: number, payload?: Parts, offload?: Offload): boolean {
    return this.#link.send(headers, at, length, payload, offload)
  }

  lend(header: number, payload: number): boolean {
    return this.#link.lend(header, payload)
  }

  use(headers: Uint8Array, at: number, length: number, payload: number, offload?: Offload): void {
    this.#link.use(headers, at, length, payload, offload)
  }

  unlend(): void {
    this.#link.unlend()
  }

  flush(): void {
    this.#link.flush()
  }

  [Symbol.dispose](): void {
    // The link is another's to end.
  }
}

function noFaults(): FaultCounts {
  return { lost: 0, corrupted: 0, duplicated: 0, reordered: 0, delayed: 0, overflowed: 0 }
}

function addFaults(counts: FaultCounts, { faults }: FaultyLink): void {
  for (const name of FAULT_COUNTS) counts[name] += faults.incoming[name] + faults.outgoing[name]
}
