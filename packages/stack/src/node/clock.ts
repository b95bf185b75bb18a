/**
 * Node's timers for the core.
 *
 * An alarm is moved with almost every segment, mostly to a later time: the timer below stays as it is then, and looks again when it fires.
 *
 * @module
 */
import type { Alarm, Clock } from "../host/clock.ts"
import type { Turns } from "./turns.ts"

/** What setTimeout takes. */
const LONGEST_MS = 2 ** 31 - 1

export class NodeClock implements Clock, Disposable {
  readonly #turns: Turns
  readonly #set = new Set<NodeAlarm>()

  constructor(turns: Turns) {
    this.#turns = turns
  }

  now(): number {
    return performance.now()
  }

  alarm(callback: () => void): Alarm {
    const alarm: NodeAlarm = new NodeAlarm({
      isSet: (set) => void (set ? this.#set.add(alarm) : this.#set.delete(alarm)),
      fire: () => {
        this.#turns.begin()
        callback()
      },
    })
    return alarm
  }

  /** Cancels every alarm. */
  [Symbol.dispose](): void {
    for (const alarm of this.#set) alarm.cancel()
  }
}

interface AlarmOptions {
  /** Told when its timer begins, and when it ends. */
  readonly isSet: (set: boolean) => void
  readonly fire: () => void
}

class NodeAlarm implements Alarm {
  deadline: number = Number.POSITIVE_INFINITY
  readonly #options: AlarmOptions
  #timer: NodeJS.Timeout | undefined
  /** When the timer fires. */
  #firesAt = Number.POSITIVE_INFINITY

  constructor(options: AlarmOptions) {
    this.#options = options
  }

  at(deadline: number): void {
    if (deadline === Number.POSITIVE_INFINITY) return this.cancel()
    this.deadline = deadline
    if (this.#timer === undefined || deadline < this.#firesAt) this.#start()
  }

  cancel(): void {
    this.deadline = Number.POSITIVE_INFINITY
    if (this.#timer === undefined) return
    clearTimeout(this.#timer)
    this.#stopped()
  }

  #start(): void {
    clearTimeout(this.#timer)
    const now = performance.now()
    const delay = Math.min(LONGEST_MS, Math.max(0, Math.ceil(this.deadline - now)))
    this.#firesAt = now + delay
    if (this.#timer === undefined) this.#options.isSet(true)
    this.#timer = setTimeout(() => this.#look(), delay)
  }

  #look(): void {
    if (performance.now() < this.deadline) return this.#start()
    this.#stopped()
    this.deadline = Number.POSITIVE_INFINITY
    this.#options.fire()
  }

  #stopped(): void {
    this.#timer = undefined
    this.#firesAt = Number.POSITIVE_INFINITY
    this.#options.isSet(false)
  }
}
