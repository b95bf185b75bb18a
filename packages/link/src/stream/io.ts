/**
 * What moves the bytes of a stream link, and brings its peers, one at a time.
 *
 * @module
 */
import type { BrokenStream, Inflow, OnFrame } from "./inflow.ts"
import type { Queue } from "./queue.ts"

/** Why a peer is not there any more: it hung up, what it sent were no frames, or the name of an error number. */
export type StreamReason = "hung-up" | BrokenStream | `E${string}`

/** Made once and set many times. */
export interface StreamAlarm {
  after(delayMs: number): void
  cancel(): void
}

export interface StreamIoEvents {
  /** There is a peer. */
  onPeer(): void
  /** Bytes came: `take` hands on the frames among them, and is called once before this returns. */
  onBytes(take: (onFrame: OnFrame) => BrokenStream | undefined): void
  /** After "blocked": there is room again, and `sent` bytes of the queue have gone since. */
  onWritable(sent: number): void
  /** The peer has gone. */
  onGone(reason: StreamReason): void
}

export interface StreamIo extends Disposable {
  /** Throws the error of what refused. Bytes are read as the inflow wants them. */
  open(inflow: Inflow, events: StreamIoEvents): void
  /**
   * Sends from the front of the queue: how many bytes have gone, 0 where none can go yet. "blocked" where it takes no more, and `onWritable`
   * tells; until then the queue's memory is in use, unless the peer is hung up on. The name of an error otherwise.
   */
  send(queue: Queue): number | "blocked" | `E${string}`
  /** Lets go of the peer. Nothing is told of it any more. */
  hangUp(): void
  /** After the end of a peer: the next one is welcome. */
  again(): void
  /** Calls `callback` at the end of this turn and of every one after, until the function that is returned is called. */
  onTurnEnd(callback: () => void): () => void
  alarm(callback: () => void): StreamAlarm
}
