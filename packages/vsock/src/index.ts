/**
 * The vsock device, its bridge to Unix sockets, and the sidecar that has both. See `client.ts` and `dialect/` for the lighter entries.
 *
 * @module
 */

export {
  acknowledgement,
  checkSocketPath,
  connectPath,
  type Dialect,
  type FirecrackerDevice,
  firecrackerServicePath,
  forwardLink,
  forwardPath,
  GREETING_MAX,
  type Greeted,
  GreetingReader,
  type HyperkitDevice,
  hyperkitGreeting,
  type Platform,
  type PortMap,
  parseFirecracker,
  parseHyperkit,
  parseVfkit,
  type Refusal,
  servicePath,
  VPNKIT_PORT,
} from "@skep/vsock-host/dialect"
export {
  type AdoptVsock,
  adoptVsock,
  controlSocketOf,
  journalPath,
  ownPaths,
  parseVsockOptions,
  parseVsockStatus,
  type RemoteVsock,
  type VsockCommand,
  type VsockOptions,
  type VsockRunning,
  type VsockStatus,
  vsockProcess,
} from "./client.ts"
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
export { vsock } from "./vsock.ts"
