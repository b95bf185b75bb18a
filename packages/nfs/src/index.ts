/**
 * NFSv3 and MOUNT over ONC RPC and a file system.
 *
 * @module
 */
export type { NfsCounters } from "./counters.ts"
export { type NfsExport, type NfsListen, NfsServer, type NfsServerOptions } from "./server.ts"
