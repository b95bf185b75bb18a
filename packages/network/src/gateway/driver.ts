/**
 * What a network runs on: the host's sockets, time, memory and links, by system calls or by Node.
 *
 * A turn is what the host brings at one time: events, timers, deferred work. At its end everything that came is settled together.
 *
 * @module
 */
import type { Link, Memory } from "@skep/link"
import type { Alarm, BoundedMemory, Clock, host } from "@skep/stack"
import type { LinkSpec } from "../links/link-spec.ts"

export interface FlowsDriver {
  readonly memory: Memory
  readonly clock: Clock
  readonly streams: host.StreamHost
  readonly datagrams: host.DatagramHost
  /** Does `callback` when others had their turn. */
  readonly later: (callback: () => void) => void
}

export interface OpenedLink extends Disposable {
  readonly link: Link
  /** What it listens on, or has opened. */
  readonly endpoint: string
}

export interface LinkOptions {
  /** The network's. */
  readonly mtu: number
  /** The guest broke the rules of its queues, or its stream those of frames. */
  readonly onBroken: (reason: string) => void
  /** An exception in a handler of the link has ended it: a bug of ours. */
  readonly onError: (error: unknown) => void
}

export interface Driver extends FlowsDriver {
  readonly memory: BoundedMemory
  readonly listeners: host.ListenerHost
  /** Calls `callback` at the end of every turn. */
  readonly onTurnEnd: (callback: () => void) => void
  /** Opens the link of a machine. Throws the error of what refused, or a SidecarError. Disposing it gives back what it was opened with. */
  readonly openLink: (spec: LinkSpec, options: LinkOptions) => OpenedLink
  /** Ends the engine after this turn, of its own accord. */
  readonly end: () => void
  /** Ends it after this turn by an error. */
  readonly fail: (error: Error) => void
}

/** An alarm that is also set by how long it takes. */
export interface Timer extends Alarm {
  after(delayMs: number): void
}

export function timerOf(clock: Clock, callback: () => void): Timer {
  const alarm = clock.alarm(callback)
  return {
    get deadline() {
      return alarm.deadline
    },
    at: (deadline) => alarm.at(deadline),
    after: (delayMs) => alarm.at(clock.now() + delayMs),
    cancel: () => alarm.cancel(),
  }
}
