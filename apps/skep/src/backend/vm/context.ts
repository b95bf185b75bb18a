/**
 * What the parts of a running machine share.
 *
 * @module
 */
import type { Log, SidecarEvent } from "@skep/contract"
import type { Home, MachinePaths } from "../../home/paths.ts"
import type { MachineKeys } from "../../machine/keys.ts"
import type { MachineRecord } from "../../machine/record.ts"
import type { Images } from "../image-builder/images.ts"
import type { HomeNetwork } from "../network/home-network.ts"

/** Node's arguments that run the sidecars' programs. */
export interface Programs {
  readonly launcher: readonly string[]
  readonly vsock: readonly string[]
  readonly network: readonly string[]
  readonly passt: readonly string[]
  readonly gvproxy: readonly string[]
  readonly shares: readonly string[]
  /** What changes the host's exports, as root. */
  readonly exports: readonly string[]
  readonly virtiofsd: readonly string[]
}

export interface VmContext {
  readonly home: Home
  readonly paths: MachinePaths
  readonly record: MachineRecord
  readonly keys: () => Promise<MachineKeys>
  readonly images: Images
  readonly network: HomeNetwork
  /** Where ports are published that name no address: the user's setting as it is now. */
  readonly publishAddress: () => Promise<string>
  readonly programs: Programs
  /** Whether guests may use the user's SSH agent: the user's setting as it is now. */
  readonly sharesSshAgent: () => Promise<boolean>
  readonly log: Log
  readonly emit: (event: SidecarEvent) => void
}
