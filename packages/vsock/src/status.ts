/**
 * What the vsock sidecar says of itself, checked where it comes over a control socket.
 *
 * @module
 */
import type { Counters, Running } from "@skep/contract"
import * as z from "zod"

export interface VsockStatus {
  /** Whether a hypervisor, or the keeper before it, is connected. */
  readonly connected: boolean
  readonly streams: number
  /** Streams of an earlier sidecar whose end the guest has not heard of yet. */
  readonly orphans: number
  /** Bytes of the guest that wait for sockets of the host. */
  readonly heldBytes: number
  readonly counters: Counters
}

export type VsockRunning = Running<VsockStatus>

const Status: z.ZodType<VsockStatus> = z.object({
  connected: z.boolean(),
  streams: z.int(),
  orphans: z.int(),
  heldBytes: z.int(),
  counters: z.record(z.string(), z.number()),
})

/** Checks a status that came over a socket. Throws zod's error for one that no build of ours sends. */
export function parseVsockStatus(value: unknown): VsockStatus {
  return Status.parse(value)
}
