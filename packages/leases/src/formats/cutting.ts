/**
 * Bytes of a file without some ranges of it.
 *
 * @module
 */
import { mayRewrite } from "../format.ts"
import type { Document, Lease } from "../model.ts"

export interface Range {
  readonly start: number
  readonly end: number
}

/** The chosen leases in the order of the file. Throws what `mayRewrite` throws; a lease of another document is a mistake of the caller's. */
export function chosenOf(document: Document, leases: Iterable<Lease>): readonly Lease[] {
  const chosen = new Set(leases)
  if (chosen.size === 0) return []
  mayRewrite(document)
  const found = document.leases.filter((lease) => chosen.has(lease))
  if (found.length !== chosen.size) throw new Error("A lease of another document was to be removed")
  return found
}

/** `LeaseFormat.remove` where an entry is all of its range. */
export function removeEntries(document: Document, leases: Iterable<Lease>): Uint8Array {
  return without(
    document.bytes,
    chosenOf(document, leases).map(({ source }) => source),
  )
}

/** What is not in the ranges, which are in order and apart. The bytes themselves where there are none. */
export function without(bytes: Uint8Array, ranges: readonly Range[]): Uint8Array {
  if (ranges.length === 0) return bytes
  const kept = new Uint8Array(ranges.reduce((size, { start, end }) => size - (end - start), bytes.length))
  let from = 0
  let to = 0
  for (const { start, end } of [...ranges, { start: bytes.length, end: bytes.length }]) {
    kept.set(bytes.subarray(from, start), to)
    to += start - from
    from = end
  }
  return kept
}
