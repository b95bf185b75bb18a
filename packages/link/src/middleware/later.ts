/**
 * Frames that arrive later: copies in memory of their own, in the order of their time.
 *
 * @module
 */
import type { Memory } from "../memory.ts"
import { noOffload, type Offload } from "../offload.ts"
import type { Parts } from "../parts.ts"

/** Bytes held at one time, in whole units: no more, so that a slow line takes no other link's memory. */
const MOST = 16 * 1024 * 1024
const UNIT = 1024

/** Time and timers: those of a loop, or of a test. */
export interface FaultClock {
  readonly now: number
  timer(callback: () => void): { at(deadline: number): void; cancel(): void }
}

/** A frame that is held. */
export interface Held {
  readonly address: number
  readonly length: number
  readonly offload: Offload
  trusted: boolean
  copies: number
  /** When it is due. */
  at: number
}

export class Later implements Disposable {
  readonly #memory: Memory
  readonly #clock: FaultClock
  readonly #timer: { at(deadline: number): void; cancel(): void }
  readonly #onDue: (due: readonly Held[]) => void
  /** By time, those of the same time by their coming. */
  readonly #held: Held[] = []
  #bytes = 0

  /** Calls `onDue` with the frames whose time has come; their memory is given back when it returns. */
  constructor(memory: Memory, clock: FaultClock, onDue: (due: readonly Held[]) => void) {
    this.#memory = memory
    this.#clock = clock
    this.#onDue = onDue
    this.#timer = clock.timer(() => this.#arrive())
  }

  get empty(): boolean {
    return this.#held.length === 0
  }

  /** A copy of `length` bytes and the parts behind them, to be added; undefined where there is no memory for it, and it is lost. */
  copy(bytes: Uint8Array, at: number, length: number, parts: Parts | undefined): Held | undefined {
    const whole = length + (parts?.bytes ?? 0)
    if (this.#bytes + sizeOf(whole) > MOST) return undefined
    const address = this.#memory.allocate(whole)
    if (address === 0) return undefined
    this.#bytes += sizeOf(whole)
    this.#memory.write(bytes, at, length, address)
    let to = address + length
    for (let index = 0; parts !== undefined && index < parts.count; index++) {
      this.#memory.copy(parts.addressAt(index), to, parts.lengthAt(index))
      to += parts.lengthAt(index)
    }
    return { address, length: whole, offload: noOffload(), trusted: false, copies: 1, at: 0 }
  }

  add(held: Held, at: number): void {
    held.at = at
    let index = this.#held.length
    while (index > 0 && (this.#held[index - 1]?.at ?? 0) > at) index--
    this.#held.splice(index, 0, held)
    if (index === 0) this.#timer.at(at)
  }

  /** Lets all of them arrive now, in their order. */
  release(): void {
    this.#timer.cancel()
    this.#handOn(this.#held.splice(0))
  }

  [Symbol.dispose](): void {
    this.#timer.cancel()
    this.#free(this.#held.splice(0))
  }

  #arrive(): void {
    const { now } = this.#clock
    const end = this.#held.findIndex(({ at }) => at > now)
    const due = this.#held.splice(0, end < 0 ? this.#held.length : end)
    this.#handOn(due)
    const [next] = this.#held
    if (next !== undefined) this.#timer.at(next.at)
  }

  #handOn(due: readonly Held[]): void {
    if (due.length > 0) this.#onDue(due)
    this.#free(due)
  }

  #free(held: readonly Held[]): void {
    for (const { address, length } of held) {
      this.#memory.free(address, length)
      this.#bytes -= sizeOf(length)
    }
  }
}

/** What a frame of so many bytes takes, small ones too. */
function sizeOf(length: number): number {
  return Math.ceil(length / UNIT) * UNIT
}
