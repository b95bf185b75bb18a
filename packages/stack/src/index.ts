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
export { DatagramHeaders } from "./flow/datagram-headers.ts"
export type { Ends } from "./flow/ends.ts"
export type { GuestComplaint, GuestError } from "./flow/guest-error.ts"
export { FlowKey } from "./flow/key.ts"
export type { TcpCounters } from "./flow/tcp-counters.ts"
export { type Route, TcpFlows, type TcpFlowsOptions } from "./flow/tcp-flows.ts"
export type { BoundedMemory } from "./host/backlog.ts"
export type { Alarm, Clock } from "./host/clock.ts"
export * as host from "./host/host.ts"
export { Counts } from "./ip/counts.ts"
export { Cutter, type Outgoing } from "./ip/cutter.ts"
export { EchoReply } from "./ip/echo.ts"
export { Errors, type Original, type Problem, type ProblemKind } from "./ip/errors.ts"
export { type Gateway, gatewayOf, isForMany, owns } from "./ip/gateway.ts"
export { type Deceit, Guard, type GuardOptions } from "./ip/guard.ts"
export { isNdp } from "./ip/ndp-responder.ts"
export { Neighbours, type NeighboursOptions } from "./ip/neighbours.ts"
export { OUT_SIZE } from "./ip/packet-writer.ts"
export { parseQuoted, type Quoted, quoted, type Unquoted } from "./ip/quoted.ts"
export { type Expired, Reassembly } from "./ip/reassembly.ts"
export { screen, type Unwelcome } from "./ip/screening.ts"
export { loopClock } from "./loop/clock.ts"
export { SocketDatagramHost } from "./loop/datagram-host.ts"
export { SocketListenerHost } from "./loop/listeners.ts"
export { SocketHost, type SocketHostOptions } from "./loop/stream-host.ts"
export { Transfer } from "./loop/transfer.ts"
export { NodeClock } from "./node/clock.ts"
export { NodeDatagramHost } from "./node/datagram-host.ts"
export { NodeListenerHost } from "./node/listeners.ts"
export { NodeHost } from "./node/stream-host.ts"
export { Turns } from "./node/turns.ts"
