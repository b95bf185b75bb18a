/**
 * Frames to and from a machine.
 *
 * @module
 */
export { sumParts } from "./finish/checksum.ts"
export { Finisher, type Forwarded } from "./finish/finisher.ts"
export { FRAME_MAX, Frame, HEAD } from "./frame.ts"
export { Gather } from "./gather/gather.ts"
export type { Link, LinkCounters, Outlet, Receiver } from "./link.ts"
export type { ArenaMemory, ArenaOptions } from "./memory/arena.ts"
export { PoolMemory } from "./memory/pool-memory.ts"
export { SystemMemory, type SystemMemoryOptions } from "./memory/system-memory.ts"
export type { Memory } from "./memory.ts"
export { type Machine, type MachineFrame, MemoryLink, type MemoryLinkOptions } from "./memory-link.ts"
export { Capture, type CaptureOptions, captureFile } from "./middleware/capture.ts"
export { FaultyLink, type FaultyOptions } from "./middleware/faulty-link.ts"
export { type FaultCounts, type Faults } from "./middleware/impairment.ts"
export { type InterposedFaults, InterposedLink } from "./middleware/interposed.ts"
export { type Counted, counted, type Kind, type KindCount, type KindCounts } from "./middleware/kinds.ts"
export { type FaultClock } from "./middleware/later.ts"
export type { Observer, Outgoing } from "./middleware/observed.ts"
export {
  GSO_NONE,
  GSO_TCP4,
  GSO_TCP6,
  GSO_UDP,
  NO_OFFLOADS,
  noOffload,
  type Offload,
  type Offloads,
} from "./offload.ts"
export { Parts } from "./parts.ts"
export { type StreamEnd } from "./stream/door.ts"
export type { StreamAlarm, StreamIo, StreamIoEvents, StreamReason } from "./stream/io.ts"
export { LoopStreamIo, type LoopStreamIoOptions } from "./stream/loop-io.ts"
export { NodeStreamIo, type NodeStreamIoOptions, type NodeTurns } from "./stream/node-io.ts"
export { type StreamCounters, StreamLink, type StreamLinkOptions } from "./stream/stream-link.ts"
export { Budget } from "./switch/budget.ts"
export { Port, type PortCounters } from "./switch/port.ts"
export { type AttachOptions, type Gateway, Switch, type SwitchOptions } from "./switch/switch.ts"
export { adoptTap, openTap, type TapDevice, type TapOptions } from "./tap/device.ts"
export { inNamespace, type Namespace } from "./tap/namespace.ts"
export { openTapOfUser } from "./tap/of-user.ts"
export { TapLink, type TapLinkOptions } from "./tap/tap-link.ts"
export * as vnetHeader from "./tap/vnet-header.ts"
