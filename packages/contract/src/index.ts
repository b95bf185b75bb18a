/**
 * What a sidecar is, and what each role adds. Types and one class; imports nothing.
 *
 * @module
 */
export { type ErrorBody, type ErrorCode, SidecarError, type SidecarErrorOptions } from "./error.ts"
export type {
  Accelerator,
  DeviceStatus,
  GuestPhase,
  LauncherRunning,
  LauncherStatus,
  MachineState,
  NicStatus,
} from "./launcher.ts"
export type {
  LeaseChoice,
  LeaseEntry,
  LeaseKind,
  LeaseOwner,
  LeasePool,
  LeasesRunning,
  LeasesStatus,
  SweepOutcome,
  SweepRule,
} from "./leases.ts"
export type {
  Forward,
  ForwardRule,
  NetworkMachine,
  NetworkRunning,
  NetworkStatus,
  Transport,
} from "./network.ts"
export type {
  Share,
  ShareCache,
  ShareOwnership,
  ShareProtocol,
  ShareRule,
  ShareState,
  SharesRunning,
  SharesStatus,
} from "./shares.ts"
export type {
  Context,
  Counters,
  Fields,
  Identity,
  Instance,
  Log,
  Running,
  Sidecar,
  SidecarEvent,
} from "./sidecar.ts"
export type { VsockRunning, VsockStatus } from "./vsock.ts"
