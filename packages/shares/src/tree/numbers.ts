/**
 * How the numbers of many file systems become numbers of one: which of them a node or a handle belongs to is in its upper part.
 *
 * ```
 *  node, handle:   | place: 1 … 511 | number in its file system, 44 bits |
 *  place 0:        1 the tree's root · 1 + n the root of share n, whichever place it has
 * ```
 *
 * A life is what one directory at the path of a share is served by: lives are counted, and take the places in turn. So a place is another life's
 * only after 511 others, and file systems of the host give no number twice anyway (`FileSystem`). What the guest has of a life that is over is
 * stale. The root of a share keeps its number over all of them, so that what is mounted on it finds the next one.
 *
 * @module
 */

export const PLACE: number = 2 ** 44
/** What is left of 2^53, without the first. */
export const PLACES = 511
/** Shares of a machine at one time. */
export const SHARES_MAX = 256
/** Numbers of shares are given out once. */
export const NUMBER_MAX = 1_000_000

export const ROOT = 1

export function placeOf(number: number): number {
  return Math.floor(number / PLACE)
}

/** The place that a life takes. */
export function placeOfLife(life: number): number {
  return 1 + ((life - 1) % PLACES)
}

export function rootOfShare(share: number): number {
  return ROOT + share
}
