/**
 * The launcher: machine description to hypervisor; process, console, true state.
 *
 * @module
 */
export {
  type AdoptedLauncher,
  type AdoptLauncher,
  adoptLauncher,
  type LauncherCommand,
  launcherProcess,
} from "./client.ts"
export { LogFile } from "./console/log-file.ts"
export {
  type Boot,
  type Disk,
  LauncherOptions,
  MachineDescription,
  type MachineNetwork,
  parseLauncherOptions,
  type StreamNetwork,
  type UserNetwork,
  type VhostUserDevice,
  type VhostUserNetwork,
} from "./description.ts"
export { createDisk, DISK_BYTES_MIN, growDisk } from "./disk/raw.ts"
export {
  describeHost,
  type HostDescription,
  type HostProgram,
  type HostQuestion,
  hostPrograms,
  type KvmAccess,
} from "./host.ts"
export { hostForward, type QemuPlan, qemuArguments } from "./hypervisor/qemu.ts"
export { launcher } from "./launcher.ts"
export { pullPlug } from "./machine/pull-plug.ts"
export { hypervisorRuns } from "./machine/record.ts"
export { controlSocketOf, type MachinePaths, pathsOf } from "./paths.ts"
export { launcherClient, launcherRoutes, parseLauncherStatus } from "./routes.ts"
