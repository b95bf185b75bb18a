/**
 * Memory by address, piece by piece: struct iovec as `| base u64 | length u64 |`, little-endian as every host of ours.
 *
 * @module
 */
import { getU64 } from "@skep/loop/memory"
import * as sys from "@skep/loop/sys"
import type { Pieces } from "../filesystem.ts"

const WORDS = sys.IOVEC.size / Uint32Array.BYTES_PER_ELEMENT

/** Calls `visit` with each piece that is not empty, until it returns false. */
export function eachPiece(pieces: Pieces, visit: (address: number, length: number) => boolean): void {
  if (pieces.count === 0) return
  const words = new Uint32Array(pieces.count * WORDS)
  sys.copyFromMemory(new Uint8Array(words.buffer), pieces.address)
  for (let index = 0; index < pieces.count; index++) {
    const length = getU64(words, index * WORDS + 2)
    if (length > 0 && !visit(getU64(words, index * WORDS), length)) return
  }
}
