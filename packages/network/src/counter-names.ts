/**
 * The names of the network's counters: what counts, then what was counted, in small letters with dashes. `/metrics` makes underscores of those.
 *
 * @module
 */

/** `badChecksum` of "tcp" is `tcp-bad-checksum`. */
export function named(prefix: string, counts: object): Record<string, number> {
  return Object.fromEntries(
    Object.entries(counts).map(([name, count]) => [`${prefix}-${dashed(name)}`, Number(count)]),
  )
}

function dashed(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`).replaceAll("_", "-")
}
