/**
 * Exceptions of ours: bugs, which a guest may have found. Each costs what it came from, and nothing else; too many of them end the thread, so that
 * whoever runs it starts another.
 *
 * ```
 *  in a flow ─► that flow (TcpFlows, DatagramFlows) ─┐
 *  in a link ─► that link (Attachments) ─────────────┼─► counted, told ─► FAULTS_MOST within a minute: the thread ends
 *  elsewhere ─► that callback (`contained`) ─────────┘
 * ```
 *
 * @module
 */
import type { Driver } from "./driver.ts"

/** Within a minute. What goes wrong so often is no accident any more, and nobody knows what it leaves behind. */
export const FAULTS_MOST = 64
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
  /** There were too many. Called once. */
  readonly giveUp: (error: Error) => void
}

export class Containment {
  /** Since the start. */
  count = 0
  readonly #options: ContainmentOptions
  /** When the latest came. */
  readonly #times: number[] = []
  #gaveUp = false

  constructor(options: ContainmentOptions) {
    this.#options = options
  }

  note(fault: Fault): void {
    const { now, tell, giveUp } = this.#options
    this.count++
    tell(fault)
    const at = now()
    this.#times.push(at)
    if (this.#times.length > FAULTS_MOST) this.#times.shift()
    const [first = 0] = this.#times
    if (this.#gaveUp || this.#times.length < FAULTS_MOST || at - first > MINUTE_MS) return
    this.#gaveUp = true
    const { where, error } = fault
    const last = error instanceof Error ? error.message : String(error)
    giveUp(
      new Error(`${FAULTS_MOST} exceptions within a minute, the last in a ${where}: ${last}`, {
        cause: error,
      }),
    )
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
