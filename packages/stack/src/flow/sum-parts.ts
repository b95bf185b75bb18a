/**
 * The Internet checksum over bytes that lie in pieces (RFC 1071).
 *
 * @module
 */
import type { Memory, Parts } from "@skep/link"
import { append } from "@skep/wire/checksum"

/** Adds the sum of `length` bytes, after the first `skip` of `parts`, which begin at an even place of the whole, to `seed`. */
export function sumParts(memory: Memory, parts: Parts, skip: number, length: number, seed: number): number {
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
