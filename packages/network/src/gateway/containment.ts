/**
 * Exceptions of ours: bugs, which a guest may have found. Each costs what it came from, and nothing else. A machine that is behind many of them is cut
 * off, before they are too many: those end the thread, so that whoever runs it starts another.
 *
 * ```
 *  in a flow ─► that flow (TcpFlows, DatagramFlows) ─┐
 *  in a link ─► that link (Attachments) ─────────────┼─► counted, told ─┬─► FAULTS_OF_ONE of a machine within a minute: it is cut off
 *  elsewhere ─► that callback (`contained`) ─────────┘                  └─► FAULTS_MOST of all within a minute: the thread ends
 * ```
 *
 * @module
 */
import type { Driver } from "./driver.ts"

/** Within a minute. What goes wrong so often is no accident any more, and nobody knows what it leaves behind. */
export const FAULTS_MOST = 64
/** Of one machine within a minute: three others may do the same, and the thread still runs. */
export const FAULTS_OF_ONE = 16
const MINUTE_MS = 60_000

export interface Fault {
  /** Where it came from: "flow", "link", "timer" and so on. */
  readonly where: string
  /** Whose it was, where that is known. */
  readonly machine?: string
  readonly error: unknown
}

export interface ContainmentOptions {
  readonly now: () => number
  readonly tell: (fault: Fault) => void
  /** This machine is behind too many, and is to bring about no more for now. */
  readonly cutOff: (machine: string) => void
  /** There were too many. Called once. */
  readonly giveUp: (error: Error) => void
}

export class Containment {
  /** Since the start. */
  count = 0
  readonly #options: ContainmentOptions
  readonly #all = new Lately(FAULTS_MOST)
  readonly #ofMachine = new Map<string, Lately>()
  #gaveUp = false

  constructor(options: ContainmentOptions) {
    this.#options = options
  }

  note(fault: Fault): void {
    const { now, tell, cutOff, giveUp } = this.#options
    const { where, machine, error } = fault
    this.count++
    tell(fault)
    const at = now()
    if (machine !== undefined && this.#latelyOf(machine).areTooMany(at)) {
      this.#ofMachine.delete(machine)
      cutOff(machine)
    }
    if (!this.#all.areTooMany(at) || this.#gaveUp) return
    this.#gaveUp = true
    const last = error instanceof Error ? error.message : String(error)
    giveUp(
      new Error(`${FAULTS_MOST} exceptions within a minute, the last in a ${where}: ${last}`, {
        cause: error,
      }),
    )
  }

  /** The machine is gone for good. */
  forget(machine: string): void {
    this.#ofMachine.delete(machine)
  }

  #latelyOf(machine: string): Lately {
    const known = this.#ofMachine.get(machine) ?? new Lately(FAULTS_OF_ONE)
    this.#ofMachine.set(machine, known)
    return known
  }

  /** The callback, from which no exception comes any more. */
  guard(where: string, callback: () => void): () => void {
    return () => {
      try {
        callback()
      } catch (error) {
        this.note({ where, error })
      }
    }
  }
}

/** When the latest came, as many as are too many within a minute. */
class Lately {
  readonly #most: number
  readonly #times: number[] = []

  constructor(most: number) {
    this.#most = most
  }

  /** Notes another one. */
  areTooMany(at: number): boolean {
    this.#times.push(at)
    if (this.#times.length > this.#most) this.#times.shift()
    const [first = 0] = this.#times
    return this.#times.length === this.#most && at - first <= MINUTE_MS
  }
}

/** The driver, whose callbacks are guarded: those of sockets by their flows, those of links by their scopes, the others here. */
export function contained(driver: Driver, containment: Containment): Driver {
  const { clock, listeners } = driver
  return {
    ...driver,
    clock: {
      now: () => clock.now(),
      alarm: (callback) => clock.alarm(containment.guard("timer", callback)),
    },
    listeners: {
      tcp: (at, onClient) =>
        listeners.tcp(at, (client) => {
          const state = { isServed: false }
          try {
            onClient({
              serve: (events) => {
                state.isServed = true
                return client.serve(events)
              },
              close: () => client.close(),
            })
          } catch (error) {
            // Once it is served it is its flow's.
            if (!state.isServed) client.close()
            containment.note({ where: "listener", error })
          }
        }),
      udp: (at, buffer, onClient) =>
        listeners.udp(at, buffer, (socket) => {
          try {
            return onClient(socket)
          } catch (error) {
            containment.note({ where: "listener", error })
            return undefined
          }
        }),
    },
    later: (callback) => driver.later(containment.guard("deferred call", callback)),
    onTurnEnd: (callback) => driver.onTurnEnd(containment.guard("turn's end", callback)),
  }
}
