/**
 * DHCP for the machines of a network: the server, and the file that its leases outlive it in. See lease-file.md for the file.
 *
 * @module
 */
export { labelOf } from "./host-name.ts"
export type { Identity, Lease } from "./lease.ts"
export { type Edits, LeaseFile } from "./lease-file.ts"
export { LeaseKeeper } from "./lease-keeper.ts"
export type { DhcpNetwork } from "./plan.ts"
export { type KeptAddress, NOTHING_REMEMBERED, type Remembered } from "./remembered.ts"
export type { Reply } from "./reply.ts"
export {
  DEFAULT_BOUNDS,
  DhcpServer,
  type ServerBounds,
  type ServerOptions,
} from "./server.ts"
export { memoryStore } from "./store.ts"
