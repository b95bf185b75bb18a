/**
 * What the loop thread runs, whatever the guest's sockets are: the kernel's in `thread.ts`, others in tests.
 *
 * @module
 */
import { readdirSync } from "node:fs"
import type { Loop } from "@skep/loop"
import type { GuestSockets } from "./guest-sockets.ts"
import type { VhostVsockOptions } from "./options.ts"
import { RelayBridge } from "./relay-bridge.ts"
import { servicePorts } from "./services.ts"

export interface ThreadStatus {
  readonly streams: number
  readonly services: readonly number[]
  readonly counters: Readonly<Record<string, number>>
}

export interface ThreadCalls {
  status(argument: undefined): ThreadStatus
}

/** Opens the adapter's sockets on a loop. Throws the `SystemError` of the first that cannot be had. */
export function setUp(
  loop: Loop,
  options: VhostVsockOptions,
  guest: GuestSockets,
): { status(): ThreadStatus } {
  const services = servicePorts(options, namesIn)
  const bridge = new RelayBridge(loop.scope("vhost-vsock"), options, { guest, services })
  return { status: () => ({ streams: bridge.streams, services, counters: bridge.counts() }) }
}

function namesIn(directory: string): readonly string[] {
  try {
    return readdirSync(directory)
  } catch {
    return [] // not there yet, or not ours to read: then no service of ours is there
  }
}
