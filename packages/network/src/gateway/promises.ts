/**
 * Replies that promise an address to a machine, which wait until the promise is on the disk. RFC 2131, section 3.1, step 4: the server "commits the
 * binding for the client to persistent storage and responds with a DHCPACK message".
 *
 * Nothing else waits for them. A disk that takes longer than `WAIT_MS` is not waited for: a machine whose promise is lost may keep its address when it
 * asks for that again.
 *
 * @module
 */
import type { Port } from "@skep/link"
import type { Timer } from "./driver.ts"

const WAIT_MS = 500
/** Leases are given to the disk at most so often, whatever a machine asks for; those that come in between go together. */
const PACE_MS = 100
/** Replies that wait at one time. */
const WAITING_MAX = 1024

export interface PromisesOptions {
  readonly now: () => number
  readonly timer: (callback: () => void) => Timer
}

interface Waiting {
  readonly port: Port
  readonly send: () => void
  readonly until: number
  /** The number under which it was given to the disk; 0 before. */
  save: number
}

export class Promises {
  /** Replies that were sent although what they promise was not on the disk. */
  unsaved = 0
  readonly #options: PromisesOptions
  readonly #timer: Timer
  #givenAt = Number.NEGATIVE_INFINITY
  /** The oldest first. */
  #waiting: Waiting[] = []

  constructor(options: PromisesOptions) {
    this.#options = options
    this.#timer = options.timer(() => this.#giveUp())
  }

  /** Sends a reply when all leases of now are saved. */
  wait(port: Port, send: () => void): void {
    if (this.#waiting.length >= WAITING_MAX) {
      this.unsaved++
      send()
      return
    }
    this.#waiting.push({ port, send, until: this.#options.now() + WAIT_MS, save: 0 })
    if (this.#timer.deadline === Number.POSITIVE_INFINITY) this.#timer.after(WAIT_MS)
  }

  /** Whether there are some whose leases are to be given to the disk now. */
  get due(): boolean {
    return this.#waiting.at(-1)?.save === 0 && this.#options.now() - this.#givenAt >= PACE_MS
  }

  /** All leases of now were given to the disk. */
  given(save: number): void {
    this.#givenAt = this.#options.now()
    for (const each of this.#waiting) if (each.save === 0) each.save = save
  }

  saved(save: number, written: boolean): void {
    this.#send((each) => each.save !== 0 && each.save <= save, written)
  }

  /** The machine is gone. */
  forget(port: Port): void {
    this.#waiting = this.#waiting.filter((each) => each.port !== port)
  }

  #giveUp(): void {
    const now = this.#options.now()
    this.#send(({ until }) => until <= now, false)
    const [next] = this.#waiting
    if (next !== undefined) this.#timer.at(next.until)
  }

  #send(isDone: (each: Waiting) => boolean, written: boolean): void {
    const done = this.#waiting.filter(isDone)
    this.#waiting = this.#waiting.filter((each) => !isDone(each))
    if (!written) this.unsaved += done.length
    for (const { send } of done) send()
  }
}
