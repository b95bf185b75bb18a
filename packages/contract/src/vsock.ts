/**
 * The vsock role: leads between ports of a guest and Unix sockets of the host.
 *
 * It has no verbs. Whoever wants a port of the guest connects to one of the role's sockets, in the dialects of HyperKit or Firecracker or on a
 * socket that stands for one port; whoever serves the guest listens where the role looks for services. The sockets exist when `start` has
 * resolved, with mode 0600, and are gone when disposal has. Streams end with an end or an error on both sides, never with silence.
 *
 * @module
 */
import type { Counters, Running } from "./sidecar.ts"

export interface VsockStatus {
  /** Streams at this moment. */
  readonly streams: number
  readonly counters: Counters
}

export type VsockRunning = Running<VsockStatus>
