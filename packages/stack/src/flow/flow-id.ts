/**
 * Numbers that tell flows apart for people, in the order of their beginning: one row for all kinds of flows of a thread.
 *
 * @module
 */

let last = 0

export function nextId(): number {
  last++
  return last
}
