/**
 * The vsock device and its bridge to Unix sockets: so far their pure cores. See the README for what is missing.
 *
 * @module
 */
export { connectUnix } from "./bridge/bridge.ts"
export { Connection } from "./device/connection.ts"
export type { Counter } from "./device/counts.ts"
export type { End, HostSide } from "./device/host-side.ts"
export {
  CID_HOST,
  EVENT_TRANSPORT_RESET,
  HEADER,
  type Malformed,
  type Packet,
  type PacketView,
  packetView,
  parse as parsePacket,
  pretty,
} from "./device/packet.ts"
export type { State } from "./device/state.ts"
export {
  DEFAULT_LIMITS,
  HOST_PORT_FIRST,
  HOST_PORT_LAST,
  type StreamLimits,
  Streams,
  type StreamsOptions,
} from "./device/streams.ts"
export {
  acknowledgement,
  type Dialect,
  hyperkitGreeting,
  type Refusal,
  VPNKIT_PORT,
} from "./dialect/greeting.ts"
export { type Greeted, GreetingReader } from "./dialect/greeting-reader.ts"
export {
  type FirecrackerDevice,
  type HyperkitDevice,
  type PortMap,
  parseFirecracker,
  parseHyperkit,
  parseVfkit,
} from "./dialect/option-string.ts"
export {
  checkSocketPath,
  connectPath,
  firecrackerServicePath,
  forwardLink,
  forwardPath,
  type Platform,
  servicePath,
} from "./dialect/socket-path.ts"
export { ownPaths, parseVsockOptions, type VsockOptions } from "./options.ts"
export { type VsockRunning, type VsockStatus, vsock } from "./vsock.ts"
