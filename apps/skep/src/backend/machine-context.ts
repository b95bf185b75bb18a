/**
 * What all machines of a user share.
 *
 * @module
 */
import type { Log, SidecarEvent } from "@skep/contract"
import type { Home } from "../home/paths.ts"
import type { Images } from "./image-builder/images.ts"
import type { MachineLeases } from "./leases/machine-leases.ts"
import type { HomeNetwork } from "./network/home-network.ts"
import type { Programs } from "./vm/context.ts"

export interface MachineContext {
  readonly home: Home
  readonly log: Log
  readonly emit: (event: SidecarEvent) => void
  readonly images: Images
  readonly network: HomeNetwork
  /** What machines have on it. */
  readonly leases: MachineLeases
  /** Where ports are published that name no address: the user's setting as it is now. */
  readonly publishAddress: () => Promise<string>
  readonly programs: Programs
  /** Whether guests may use the user's SSH agent: the user's setting as it is now. */
  readonly sharesSshAgent: () => Promise<boolean>
  /** An address on the vsock that no machine has. */
  readonly freeCid: () => number
}
