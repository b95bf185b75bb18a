/**
 * The adapter with Unix sockets in the place of the kernel's, so that everything of it but AF_VSOCK itself is run.
 *
 * @module
 */
import { type VhostVsockSidecar, vhostVsockOn } from "../../src/vhost-vsock/vhost-vsock.ts"

export const onUnix: VhostVsockSidecar = vhostVsockOn({
  thread: new URL("./unix-thread.ts", import.meta.url),
  probe: () => ({ state: "opens", reason: "Unix sockets stand in for it" }),
})
