/**
 * The NIC over vhost-user.
 *
 * @module
 */
export type { MalformedCounters, MalformedFrame } from "./from-machine.ts"
export { VhostNetLink, type VhostNetOptions } from "./vhost-net-link.ts"
