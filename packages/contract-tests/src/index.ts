/**
 * The compliance suites: what a sidecar and each role must do, run against ours and against replacements.
 *
 * @module
 */
export { freeRule } from "./free-port.ts"
export {
  type GuestLease,
  type GuestOutcome,
  LEASE_LINE,
  type NetworkGuest,
  parseLease,
} from "./guest/guest.ts"
export {
  type NamespaceGuest,
  type NamespaceGuestOptions,
  namespaceGuest,
  namespaceGuestUnavailable,
  type TapGuest,
  tapGuest,
} from "./guest/namespace.ts"
export { type LeaseClient, type LeasesFixture, type LeasesSuite, leasesContract } from "./leases-contract.ts"
export { type NetworkFixture, type NetworkSuite, networkContract } from "./network-contract.ts"
export { killNetwork, loneNetwork, type StreamNetwork, streamTraffic } from "./network-fixtures.ts"
export type { TrafficFixture } from "./network-traffic.ts"
export { sharesContract } from "./shares-contract.ts"
export type { GuestFiles, GuestStat, OpenFile, SharesFixture, SharesSuite } from "./shares-fixture.ts"
export { type SidecarFixture, type SidecarSuite, sidecarContract, testContext } from "./sidecar-contract.ts"
export { vsockContract } from "./vsock-contract.ts"
export {
  type VsockFixture,
  type VsockGuest,
  type VsockSetup,
  type VsockSuite,
  vsockSetup,
} from "./vsock-fixture.ts"
