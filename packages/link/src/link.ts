/**
 * A link: Ethernet frames to and from one machine.
 *
 * From the machine, a turn at a time: `onFrame` for each frame, then `onSettle` once. The memory of every frame of the turn stays as it is until
 * `onSettle` returns, so payload can go on by one system call for many frames.
 *
 * To the machine, in one of two ways:
 *
 * ```
 *  send(headers, payload)                                 for what is small or already somewhere
 *  lend(room) × n ─► one read into `lent` ─► use(headers, bytes) × n, unlend()      for streams: payload goes where the machine reads it
 * ```
 *
 * All calls come on one thread. A receiver may send from within `onFrame`, `onSettle` and `onRoom`.
 *
 * @module
 */
import type { Frame } from "./frame.ts"
import type { Memory } from "./memory.ts"
import type { Offload, Offloads } from "./offload.ts"
import type { Parts } from "./parts.ts"

/** Who owns a link. */
export interface Receiver {
  /** A frame from the machine. It is a view: the object until this returns, the memory of its parts until `onSettle` returns. */
  onFrame(frame: Frame): void
  /** The turn is over. */
  onSettle(): void
  /** There is room again, after `send` or `lend` said false. */
  onRoom(): void
  /** The machine can be reached, or not any more; frames sent while it cannot are dropped and counted. */
  onCarrier(up: boolean): void
}

/** Counted by the link. Names are those of `status`. */
export interface LinkCounters {
  framesIn: number
  bytesIn: number
  framesOut: number
  bytesOut: number
  /** Frames from the machine that were no frames: too short, too long, in a broken descriptor chain. */
  malformed: number
  /** Frames to the machine that found no room or no machine. */
  droppedOut: number
}

/** The sending half of a link: all that whoever answers needs to have. */
export interface Outlet {
  /** For logs, counters and captures. */
  readonly name: string
  readonly memory: Memory
  /** The largest IP packet that goes over it uncut. */
  readonly mtu: number
  /** What the machine finishes for us. It may change when a driver starts anew, always before its first frame. */
  readonly offloads: Offloads
  /** Whether somebody is at the other end. */
  readonly carrier: boolean

  /**
   * Sends one frame: `length` bytes of `headers` from `at` on, then `payload`. Both are free when this returns. Returns false where there was no
   * room or no carrier: the frame is dropped and counted, and `onRoom` will tell.
   */
  send(headers: Uint8Array, at: number, length: number, payload?: Parts, offload?: Offload): boolean

  /** Where the payloads of the frames that were lent lie, in order. Each `lend` appends `payload` bytes in one or more parts. */
  readonly lent: Parts
  /** Takes room for a frame of at most `header` and at most `payload` bytes. Returns false where there is none now; `onRoom` will tell. */
  lend(header: number, payload: number): boolean
  /** Sends the oldest frame that was lent, with the first `payload` of its bytes. `payload` may be less than was lent. */
  use(headers: Uint8Array, at: number, length: number, payload: number, offload?: Offload): void
  /** Gives back what was lent and not used, and clears `lent`. After every round of `lend` and `use`. */
  unlend(): void
  /** Lets what was sent go, where the link gathers; at the latest at the end of the loop's batch it does so by itself. */
  flush(): void
}

export interface Link extends Outlet, Disposable {
  readonly counters: Readonly<LinkCounters>
  /** Set once by the owner, before `start`. */
  receiver: Receiver
  /** Frames come from now on. `onCarrier(true)` may be called from within. */
  start(): void
}
