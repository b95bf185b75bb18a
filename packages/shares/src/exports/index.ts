/**
 * Exports of the host's own NFS server, on macOS and Linux. See README.md in this directory for how the parts fit.
 *
 * @module
 */
export { addressOf } from "./address.ts"
export { type Applied, applyExports, previewExports, removeExports } from "./apply.ts"
export { type AsRoot, exportAsRoot, takeBackAsRoot } from "./as-root.ts"
export { type Plan, planExports, planRemoval, targetPath } from "./plan.ts"
export {
  type ExportedDirectory,
  type ExportPlatform,
  type ExportRequest,
  parseExportRequest,
} from "./request.ts"
export { checkHost, findServer, type ServerHost, type ServerPorts } from "./server.ts"
export { exportedMachines } from "./state.ts"
export { type ExportsSystem, type RunProgram, thisSystem } from "./system.ts"
