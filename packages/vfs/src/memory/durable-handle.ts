/**
 * Durable handles of files in memory: `| "MEM1" | 0 u32 | number u64 | generation u64 |`, big-endian. They live as long as the file system.
 *
 * @module
 */
import type { Inode } from "./inode.ts"

const MAGIC = 0x4d_45_4d_31
export const BYTES = 24

export interface DurableHandle {
  readonly ino: number
  readonly generation: number
}

export function emit(into: Uint8Array, { ino, generation }: Pick<Inode, "ino" | "generation">): void {
  const view = new DataView(into.buffer, into.byteOffset, into.byteLength)
  view.setUint32(0, MAGIC)
  view.setUint32(4, 0)
  view.setBigUint64(8, BigInt(ino))
  view.setBigUint64(16, BigInt(generation))
}

/** Undefined for what is no handle of this kind. */
export function parse(bytes: Uint8Array): DurableHandle | undefined {
  if (bytes.length !== BYTES) return undefined
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (view.getUint32(0) !== MAGIC || view.getUint32(4) !== 0) return undefined
  return { ino: Number(view.getBigUint64(8)), generation: Number(view.getBigUint64(16)) }
}
