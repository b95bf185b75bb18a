/**
 * What every sidecar process needs. See the README for how the parts fit.
 *
 * @module
 */
export { Cleanup } from "./cleanup.ts"
export { type ControlCall, call, type Subscription, stream, subscribe } from "./control/client.ts"
export { type Metric, renderMetrics, type Sample } from "./control/metrics.ts"
export { type ControlRequest, type Handler, type Routes, Text } from "./control/routes.ts"
export { type ControlOptions, type ControlServer, startControlServer } from "./control/server.ts"
export { listenPrivately } from "./control/socket.ts"
export { orAborted, type Resolvers, sleep, withDeadline, within, withResolvers } from "./deadline.ts"
export {
  checkSocketPath,
  describeFileError,
  errnoOf,
  privateDirectory,
  removeStaleSocket,
  SOCKET_PATH_MAX,
  writeFileWhole,
} from "./files.ts"
export { identityOf, isAlive, ownIdentity, signalProcess } from "./identity.ts"
export { Lines } from "./lines.ts"
export { type Lock, tryLock, waitForLock } from "./lock.ts"
export { type LogOptions, openLog, silentLog, withFields } from "./log.ts"
export { type AdoptOptions, adopt, notRunning, type Remote } from "./process/adopt.ts"
export type { Liveness } from "./process/liveness.ts"
export { LEAN, nodeArguments, type ProgramFiles } from "./process/program.ts"
export { EXIT, type Flag, type Health, type ServeOptions, serve } from "./process/serve.ts"
export { type SpawnCommand, spawn } from "./process/spawn.ts"
export { type SuperviseOptions, Supervisor } from "./process/supervise.ts"
export {
  forwardName,
  networkClient,
  networkRoutes,
  parseForwardRule,
  parseNetworkStatus,
} from "./roles/network.ts"
export {
  parseShareRule,
  parseSharesStatus,
  sameShare,
  sharesClient,
  sharesRoutes,
  type Unshare,
} from "./roles/shares.ts"
