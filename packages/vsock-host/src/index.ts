/**
 * The host's side of a vsock bridge: its sockets in all dialects, greetings, options. What it leads to is the bridge's own.
 *
 * @module
 */
export { socketsMax } from "./descriptors.ts"
export { type HostCounters, HostSockets, type HostSocketsOptions } from "./host-sockets.ts"
export { type HostOptions, hostPaths } from "./options.ts"
