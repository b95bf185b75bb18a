/**
 * Names in requests: bytes ended by NUL, the last things in a message.
 *
 * @module
 */
import { at } from "@skep/loop/memory"

/** As Linux has it. */
export const NAME_MAX = 255
/** Of a link's target, with its NUL. */
export const PATH_MAX = 4096

export type MalformedName = "name-empty" | "name-unterminated"

/** Where the NUL of the name at `offset` is; -1 where there is none before `end`. */
export function endOfName(bytes: Uint8Array, offset: number, end: number): number {
  let last = offset
  while (last < end && at(bytes, last) !== 0) last++
  return last < end ? last : -1
}

/** Writes a name and its NUL; returns where the next thing goes. */
export function emitName(name: Uint8Array, bytes: Uint8Array, offset: number): number {
  bytes.set(name, offset)
  bytes[offset + name.length] = 0
  return offset + name.length + 1
}
