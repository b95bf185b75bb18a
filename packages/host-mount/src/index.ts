/**
 * A directory of an SFTP server as a directory of the host. See the README for how the parts fit.
 *
 * @module
 */
export {
  type MountOptions,
  type MountRunning,
  type MountStatus,
  type MountWays,
  mountRemote,
} from "./mount.ts"
export {
  canonicalDirectory,
  isOurs,
  type MountEntry,
  mountOn,
  mountsHere,
  parseMountTable,
  unmountLazily,
} from "./mount-table.ts"
export type { Link } from "./remote.ts"
