/**
 * How the numbers of many file systems become numbers of one: which of them a node or a handle belongs to is in its upper part.
 *
 * ```
 *  node, handle:   | slot: 1 … 4095 | number in its file system, 41 bits |
 *  slot 0:         1 the tree's root · 1 + n the root of share n, whichever slot it has
 * ```
 *
 * A slot is one life of a share's directory: given out once as long as a guest remembers its numbers, and void when the directory was taken
 * away. The root of a share keeps its number over all of them, so that what is mounted on it finds the next one.
 *
 * @module
 */

/** 2^41 nodes a life: a thousand new ones a second for seventy years. */
export const SLOT: number = 2 ** 41
/** What is left of 2^53. */
export const SLOT_MAX = 4095
/** Shares of a machine at one time. */
export const SHARES_MAX = 256
/** Numbers of shares are given out once as well. */
export const NUMBER_MAX = 1_000_000

export const ROOT = 1

export function slotOf(number: number): number {
  return Math.floor(number / SLOT)
}

export function rootOfShare(share: number): number {
  return ROOT + share
}
