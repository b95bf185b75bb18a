/**
 * What a device is to the back end: its features, its configuration, and what it does with its queues.
 *
 * @module
 */
import type { Ledger } from "../ring/ledger.ts"
import type { Queue } from "./queue.ts"

/**
 * All calls come on the loop's thread. A device that throws loses its connection and nothing else; the front end sees the device end.
 */
export interface Device {
  /** For logs and counters. */
  readonly name: string
  readonly queueCount: number
  /** What the front end hears when it asks how many queues there are: `queueCount` unless told. A NIC counts pairs. */
  readonly announcedQueues?: number
  /** The device's own feature bits; those of the ring are added. */
  readonly features: bigint
  /** The configuration space, where the front end asks the back end for it (`PROTOCOL_F_CONFIG`). */
  readonly config?: Uint8Array
  /** The front end has chosen these features; before any queue starts. */
  onFeatures?(features: bigint): void
  /** For NICs, where the guest's was told an MTU (`PROTOCOL_F_MTU`). Returns false where the device cannot have that one. */
  onMtu?(mtu: number): boolean
  /** For NICs, after a migration (`PROTOCOL_F_RARP`): the network is to learn where the machine with these six bytes is now. */
  onAnnounce?(mac: Uint8Array): void
  /** Where a queue keeps what was taken and not given back, for devices that give chains back in any order and have successors. */
  ledgerOf?(queue: number): Ledger
  /** The queue runs from now on, unless it is still disabled, and may hold chains already; `onKick` follows. */
  onStart(queue: Queue): void
  /** A queue that was started is enabled or disabled. When it is enabled `onKick` follows. */
  onEnable?(queue: Queue, on: boolean): void
  /** The guest may have offered chains. */
  onKick(queue: Queue): void
  /** The queue stops: every address of its chains is void when this returns. What was taken and not given back is lost. */
  onStop(queue: Queue): void
  /** The guest broke the rules of this queue: nothing comes from it or goes to it until it is stopped and started anew. */
  onBroken?(queue: Queue): void
  /** The front end is gone, and with it the guest, as far as this device knows. After every `onStop`. */
  onGone?(): void
}
