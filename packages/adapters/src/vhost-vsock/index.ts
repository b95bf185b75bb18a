/**
 * The adapter to the kernel's vsock. See `choice.ts` for whether to use it.
 *
 * @module
 */
export { parseVhostVsockOptions, type VhostVsockOptions } from "./options.ts"
export { type VhostVsockSidecar, vhostVsock } from "./vhost-vsock.ts"
