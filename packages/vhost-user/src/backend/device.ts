/**
 * What a device is to the back end: its features, its configuration, and what it does with its queues.
 *
 * @module
 */
import type { Queue } from "./queue.ts"

/**
 * All calls come on the loop's thread. A device that throws loses its connection and nothing else; the front end sees the device end.
 */
export interface Device {
  /** For logs and counters. */
  readonly name: string
  readonly queueCount: number
  /** The device's own feature bits; those of the ring are added. */
  readonly features: bigint
  /** The configuration space, where the front end asks the back end for it (`PROTOCOL_F_CONFIG`). */
  readonly config?: Uint8Array
  /** The front end has chosen these features; before any queue starts. */
  onFeatures?(features: bigint): void
  /** The queue runs from now on and may hold chains already; `onKick` follows. */
  onStart(queue: Queue): void
  /** The guest may have offered chains. */
  onKick(queue: Queue): void
  /** The queue stops: every address of its chains is void when this returns. What was taken and not given back is lost. */
  onStop(queue: Queue): void
  /** The guest broke the rules of this queue: nothing comes from it or goes to it until it is stopped and started anew. */
  onBroken?(queue: Queue): void
  /** The front end is gone, and with it the guest, as far as this device knows. After every `onStop`. */
  onGone?(): void
}
