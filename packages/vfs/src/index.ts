/**
 * One interface to files for every protocol that serves them, and what implements it.
 *
 * @module
 */

export { type FaultOptions, type FaultyFileSystem, withFaults } from "./faults/file-system.ts"
export type { Calls, Delay, Failure, FaultPlan, Operation, WaitingOperation } from "./faults/plan.ts"
export { VirtualTime } from "./faults/virtual-time.ts"
export {
  type Attributes,
  type Caller,
  type Changes,
  type DirectoryEntry,
  type Done,
  DURABLE_MAX,
  type FileSystem,
  type Handle,
  type HowToCreate,
  type Lock,
  type Name,
  type NewNode,
  type NodeId,
  newAttributes,
  newUsage,
  type Pieces,
  type Place,
  RENAME_EXCHANGE,
  RENAME_NOREPLACE,
  type Timestamp,
  type Usage,
  type Visit,
  XATTR_CREATE,
  XATTR_REPLACE,
} from "./filesystem.ts"
export { type ExtendedCalls, forwarding, type KeepingFileSystem } from "./forwarding.ts"
export { type FileClock, tickingClock } from "./memory/clock.ts"
export { type MemoryFileSystem, type MemoryOptions, memoryFileSystem } from "./memory/file-system.ts"
export { type OwnedFileSystem, type OwnershipOptions, withOwnership } from "./ownership/file-system.ts"
export {
  allowed,
  type Identity,
  MAY_EXECUTE,
  MAY_READ,
  MAY_WRITE,
  refusedChange,
} from "./ownership/permission.ts"
export type { Owner } from "./ownership/record.ts"
export type { ImportedOwners } from "./ownership/transfer.ts"
export {
  Passthrough,
  type PassthroughCounts,
  type ReservedAttributes,
} from "./passthrough/file-system.ts"
export { openPassthrough, type PassthroughOptions } from "./passthrough/open.ts"
