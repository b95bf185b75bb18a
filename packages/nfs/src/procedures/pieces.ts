/**
 * One piece of memory as the file system takes it, described behind the place where the reply is written: it lives as long as the operation.
 *
 * @module
 */
import type { Pieces } from "@skep/vfs"
import type { Memory } from "../memory/pool.ts"

/** struct iovec, and what aligning it may cost. */
export const PIECE_ROOM: number = 16 + 8

const HIGH = 2 ** 32

/** Describes `bytes` at the offset `at`, in the last bytes before `end` of the reply. */
export function pieceOf(memory: Memory, at: number, bytes: number, end: number): Pieces {
  const place = (end - PIECE_ROOM + 7) & ~7
  const address = memory.address + at
  const { view } = memory
  view.setUint32(place, address, true)
  view.setUint32(place + 4, address / HIGH, true)
  view.setUint32(place + 8, bytes, true)
  view.setUint32(place + 12, 0, true)
  return { address: memory.address + place, count: 1, bytes }
}
