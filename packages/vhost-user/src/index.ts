/**
 * A vhost-user back end: the protocol, the guest's memory, split virtqueues.
 *
 * @module
 */
export { Connection, type ConnectionOptions } from "./backend/connection.ts"
export type { Device } from "./backend/device.ts"
export { Queue, type Taken } from "./backend/queue.ts"
export { Server, type ServerOptions } from "./backend/server.ts"
export { ProtocolError, Session } from "./backend/session.ts"
export { type Front } from "./keeper/front-door.ts"
export { Handshake } from "./keeper/handshake.ts"
export { Keeper, type KeeperCounters, type KeeperOptions, type KeeperState } from "./keeper/keeper.ts"
export { type Copy, GuestMemory, type GuestMemoryOptions, newCopy, type View } from "./memory/guest-memory.ts"
export * as features from "./protocol/features.ts"
export {
  emitHeader,
  HEADER,
  type Header,
  type MalformedHeader,
  PAYLOAD_MAX,
  parseHeader,
  prettyHeader,
} from "./protocol/header.ts"
export * as payload from "./protocol/payload.ts"
export * as request from "./protocol/request.ts"
export { Chain, DESCRIPTOR, type MalformedChain } from "./ring/chain.ts"
export { LEDGER_WORDS, Ledger, type OpenedRing } from "./ring/ledger.ts"
export {
  type BrokenRing,
  type Popped,
  partsOf,
  type RingAddresses,
  type RingOptions,
  SIZE_MAX,
  SplitRing,
} from "./ring/split-ring.ts"
export { type AcceptorOptions, acceptClients } from "./socket/acceptor.ts"
export { connectUnix, listenUnix } from "./socket/unix.ts"
