/**
 * How large the heap of a driver's memory is.
 *
 * @module
 */

/** What it is a multiple of. */
const GRAIN = 4 << 20
/** A machine on a stream has a queue of half a MiB while something is in it: 256 of them. Pages that nobody used are not there. */
const QUEUES = 128 << 20

/** The bytes of a heap where so much may be kept of what guests have sent. Queues of links have room of their own beside that. */
export function heapBytesFor(maxHeldBytes: number): number {
  return Math.ceil(maxHeldBytes / GRAIN) * GRAIN + QUEUES
}
