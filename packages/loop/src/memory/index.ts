/**
 * Memory by address: a scratch area with named regions, iovecs, message headers, and mappings that are safe to drop.
 *
 * @module
 */
export { detach } from "./detach.ts"
export { Iovecs } from "./iovecs.ts"
export {
  Mapping,
  type MapSharedOptions,
  mapAnonymous,
  mapShared,
  type Views,
  WINDOW_OVERLAP,
  WINDOW_SHIFT,
  WINDOW_STRIDE,
} from "./mapping.ts"
export { Message } from "./message.ts"
export { type Region, Scratch } from "./scratch.ts"
export { at, getU64, setU64 } from "./words.ts"
