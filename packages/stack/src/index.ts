/**
 * A user-space TCP/IP between machines and their host: a core without I/O, and what drives it.
 *
 * @module
 */
export {
  type Datagram,
  type DatagramCounters,
  DatagramFlows,
  type DatagramFlowsOptions,
} from "./flow/datagram-flows.ts"
export type { Ends } from "./flow/ends.ts"
export { sumParts } from "./flow/sum-parts.ts"
export type { TcpCounters } from "./flow/tcp-counters.ts"
export { type Route, TcpFlows, type TcpFlowsOptions } from "./flow/tcp-flows.ts"
export type { Alarm, Clock } from "./host/clock.ts"
export * as host from "./host/host.ts"
export { loopClock } from "./loop/clock.ts"
export { SocketDatagramHost } from "./loop/datagram-host.ts"
export { TcpListener, UdpListener } from "./loop/listeners.ts"
export { SocketHost } from "./loop/stream-host.ts"
export { Transfer } from "./loop/transfer.ts"
