/**
 * What the gateway runs on: the host's sockets, time and memory, by system calls or by Node.
 *
 * @module
 */
import type { Memory } from "@skep/link"
import type { Clock, host } from "@skep/stack"

export interface FlowsDriver {
  readonly memory: Memory
  readonly clock: Clock
  readonly streams: host.StreamHost
  readonly datagrams: host.DatagramHost
  /** A number that nobody can guess. */
  readonly random32: () => number
  /** Does `callback` when others had their turn. */
  readonly later: (callback: () => void) => void
}
