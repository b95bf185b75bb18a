/**
 * What the heap of a driver's memory is a multiple of.
 *
 * @module
 */

export const HEAP_GRAIN: number = 4 << 20
