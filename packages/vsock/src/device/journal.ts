/**
 * What a device remembers beyond its own end: the streams that its guest knows of.
 *
 * @module
 */

export interface Pair {
  readonly guestPort: number
  readonly hostPort: number
}

/** Where the pairs are kept is the driver's affair. Neither call fails: what cannot be kept is found out by the guest's next packet. */
export interface Journal {
  /** Pairs that an earlier device left open: the guest may believe in them. */
  readonly left: readonly Pair[]
  /** The guest may know of this stream from now on. Cancels a `close` of the same pair that did not come into effect. */
  open(pair: Pair): void
  /** It knows no longer, or was told in a buffer that it has yet to be given: comes into effect when it was. */
  close(pair: Pair): void
}

/** Remembers nothing. */
export const NO_JOURNAL: Journal = { left: [], open: () => undefined, close: () => undefined }
