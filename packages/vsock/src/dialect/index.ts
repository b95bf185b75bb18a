/**
 * The dialects of the bridge's sockets, for programs that speak them: `import … from "@skep/vsock/dialect"`. They are those of
 * `@skep/vsock-host`, which all bridges share.
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
