/**
 * Looking at leases and taking them back, as a library: what the command and the sidecar do.
 *
 * @module
 */
export { nodeDisk } from "../file/disk.ts"
export type { HostOptions } from "../owners/host.ts"
export { readMachines } from "../owners/machines.ts"
export { type LeasesOptions, leasesSidecar, type Surroundings } from "./leases.ts"
export { hostNeighbours, type Neighbours } from "./neighbours.ts"
export { leasesClient, leasesRoutes, parseLeasesStatus } from "./serve.ts"
