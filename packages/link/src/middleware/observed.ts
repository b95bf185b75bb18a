/**
 * A link with somebody who sees every frame, both ways, and changes nothing.
 *
 * @module
 */

import { nobody } from "../counters.ts"
import type { Frame } from "../frame.ts"
import type { Link, LinkCounters, Receiver } from "../link.ts"
import type { Memory } from "../memory.ts"
import { noOffload, type Offload, type Offloads, withoutUdp } from "../offload.ts"
import { Parts } from "../parts.ts"

/** A frame on its way to the machine: `length` bytes of `headers` from `at` on, then `payload`. For the time of the call. */
export interface Outgoing {
  readonly headers: Uint8Array
  readonly at: number
  readonly length: number
  readonly payload: Parts
  readonly offload: Readonly<Offload>
}

export interface Observer {
  onIncoming(frame: Frame, memory: Memory): void
  /** Before it is sent. There may turn out to be no room for it. */
  onOutgoing(frame: Outgoing, memory: Memory): void
}

const NO_PAYLOAD = new Parts()
const NO_OFFLOAD = noOffload()

export class ObservedLink implements Link {
  receiver: Receiver = nobody
  readonly #inner: Link
  readonly #observer: Observer
  /** Payload lengths of what is lent; where the oldest that is not used begins in `lent`. */
  readonly #lengths: number[] = []
  #used = 0
  #usedBytes = 0
  readonly #payload = new Parts()

  /** Owns `inner`, which was not started. */
  constructor(inner: Link, observer: Observer) {
    this.#inner = inner
    this.#observer = observer
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

  /** Without UDP that is still to be cut: a record is to show each datagram. */
  get offloads(): Offloads {
    return withoutUdp(this.#inner.offloads)
  }

  get carrier(): boolean {
    return this.#inner.carrier
  }

  get counters(): Readonly<LinkCounters> {
    return this.#inner.counters
  }

  get lent(): Parts {
    return this.#inner.lent
  }

  start(): void {
    this.#inner.receiver = {
      onFrame: (frame) => {
        this.#observer.onIncoming(frame, this.memory)
        this.receiver.onFrame(frame)
      },
      onSettle: () => this.receiver.onSettle(),
      onRoom: () => this.receiver.onRoom(),
      onCarrier: (up) => this.receiver.onCarrier(up),
    }
    this.#inner.start()
  }

  send(headers: Uint8Array, at: number, length: number, payload?: Parts, offload?: Offload): boolean {
    const frame = { headers, at, length, payload: payload ?? NO_PAYLOAD, offload: offload ?? NO_OFFLOAD }
    this.#observer.onOutgoing(frame, this.memory)
    return this.#inner.send(headers, at, length, payload, offload)
  }

  lend(header: number, payload: number): boolean {
    if (!this.#inner.lend(header, payload)) return false
    this.#lengths.push(payload)
    return true
  }

  use(headers: Uint8Array, at: number, length: number, payload: number, offload?: Offload): void {
    this.#payload.clear()
    this.#payload.append(this.#inner.lent, this.#usedBytes, payload)
    this.#usedBytes += this.#lengths[this.#used] ?? 0
    this.#used++
    const frame = { headers, at, length, payload: this.#payload, offload: offload ?? NO_OFFLOAD }
    this.#observer.onOutgoing(frame, this.memory)
    this.#inner.use(headers, at, length, payload, offload)
  }

  unlend(): void {
    this.#lengths.length = 0
    this.#used = 0
    this.#usedBytes = 0
    this.#inner.unlend()
  }

  flush(): void {
    this.#inner.flush()
  }

  [Symbol.dispose](): void {
    this.#inner[Symbol.dispose]()
  }
}
