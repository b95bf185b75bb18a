/**
 * Checksums that a sender left to be finished: virtio's NEEDS_CSUM, Linux's CHECKSUM_PARTIAL. The field holds the sum of the pseudo-header, so what
 * is missing is the sum over all from `checksumStart` on, that field included.
 *
 * @module
 */
import { putU16 } from "@skep/wire/bytes"
import { append, finish, sum } from "@skep/wire/checksum"
import type { Memory } from "../memory.ts"
import type { Offload } from "../offload.ts"
import type { Parts } from "../parts.ts"

/** Where UDP has its checksum, behind its own beginning. */
const UDP_OFFSET = 6
const FIELD = 2

/**
 * The sum of `length` bytes after the first `skip` of `parts`, added to `seed`: all of them unless told. They begin at an even place of what is
 * summed up.
 */
export function sumParts(
  memory: Memory,
  parts: Parts,
  skip = 0,
  length: number = parts.bytes - skip,
  seed = 0,
): number {
  let total = seed
  let before = skip
  let done = 0
  for (let index = 0; index < parts.count && done < length; index++) {
    const there = parts.lengthAt(index)
    if (before >= there) {
      before -= there
      continue
    }
    const part = Math.min(there - before, length - done)
    total = append(total, memory.sum(parts.addressAt(index) + before, part, 0), done)
    done += part
    before = 0
  }
  return total
}

/** How many bytes of the frame must be at hand to finish its checksum. */
export function headOf(offload: Readonly<Offload>): number {
  return offload.checksumStart + offload.checksumOffset + FIELD
}

/** Puts the checksum of a frame that begins at `at` and is readable up to `head`; `rest` is the sum of what comes after that. */
export function finishChecksum(
  bytes: Uint8Array,
  at: number,
  head: number,
  rest: number,
  offload: Readonly<Offload>,
): void {
  const start = at + offload.checksumStart
  const checksum = finish(append(sum(bytes, start, head), rest, head - start))
  // RFC 768: a UDP checksum of 0 says that there is none.
  const none = checksum === 0 && offload.checksumOffset === UDP_OFFSET
  putU16(bytes, start + offload.checksumOffset, none ? 0xffff : checksum)
}
