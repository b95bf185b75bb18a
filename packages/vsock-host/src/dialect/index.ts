/**
 * How programs of the host speak to a vsock bridge: greetings, names of sockets, option strings. `import … from "@skep/vsock-host/dialect"`.
 *
 * Pure: no descriptor, no native code.
 *
 * @module
 */
export { CID_HOST, CID_MAX, PORT_MAX } from "./address.ts"
export {
  acknowledgement,
  type Dialect,
  GREETING_MAX,
  hyperkitGreeting,
  type Refusal,
  VPNKIT_PORT,
} from "./greeting.ts"
export { type Greeted, GreetingReader } from "./greeting-reader.ts"
export {
  type FirecrackerDevice,
  type HyperkitDevice,
  type PortMap,
  parseFirecracker,
  parseHyperkit,
  parseVfkit,
} from "./option-string.ts"
export {
  checkSocketPath,
  connectPath,
  firecrackerServicePath,
  forwardLink,
  forwardPath,
  type Platform,
  servicePath,
} from "./socket-path.ts"
