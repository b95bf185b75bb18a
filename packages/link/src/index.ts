/**
 * Frames to and from a machine.
 *
 * @module
 */
export { Frame, HEAD } from "./frame.ts"
export type { Link, LinkCounters, Receiver } from "./link.ts"
export type { Memory } from "./memory.ts"
export {
  GSO_NONE,
  GSO_TCP4,
  GSO_TCP6,
  NO_OFFLOADS,
  noOffload,
  type Offload,
  type Offloads,
} from "./offload.ts"
export { Parts } from "./parts.ts"
