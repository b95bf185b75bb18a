/**
 * DHCP for the machines of a network: the server, and the file that its leases outlive it in. See lease-file.md for the file.
 *
 * @module
 */
export { hostNameOf, labelOf } from "./host-name.ts"
export type { Identity, Lease } from "./lease.ts"
export { type Edits, LeaseFile, type LeaseFileOptions } from "./lease-file.ts"
export { LeaseKeeper, type LeaseKeeperOptions } from "./lease-keeper.ts"
export type { DhcpNetwork, Reservation } from "./plan.ts"
export type { Reply } from "./reply.ts"
export {
  type Arrival,
  DEFAULT_BOUNDS,
  DhcpServer,
  type NamedLease,
  type ServerBounds,
  type ServerCounter,
  type ServerOptions,
} from "./server.ts"
export { memoryStore, type Store } from "./store.ts"
