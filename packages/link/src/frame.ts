/**
 * One Ethernet frame from a machine, as a view.
 *
 * ```
 *  bytes ─► …│ the first `head` bytes, for reading headers │…          `at` is where the Ethernet header begins
 *  parts ─► │ the whole frame by address, in pieces │ … │              headers included
 * ```
 *
 * @module
 */
import { noOffload, type Offload } from "./offload.ts"
import { Parts } from "./parts.ts"

/** At least so much of a longer frame can be read at `bytes`: Ethernet, IPv6 with some extension headers, TCP with all options. */
export const HEAD = 256
/** An Ethernet header: a frame has at least that. */
export const FRAME_MIN = 14
/** The largest IP packet of all, and an Ethernet header with a VLAN tag. */
export const FRAME_MAX: number = 65_535 + 18

/** Made once by a link and filled for each frame. */
export class Frame {
  /** Where its first bytes are. They may be changed by nobody but the link. */
  bytes: Uint8Array = new Uint8Array(0)
  at = 0
  /** Bytes readable at `at`: all of a frame of up to `HEAD` bytes, at least `HEAD` of a longer one. */
  head = 0
  /** Bytes of the whole frame, from the Ethernet header on; without a frame check sequence. */
  length = 0
  /** The whole frame by address. */
  readonly parts: Parts = new Parts()
  readonly offload: Offload = noOffload()
  /** The sender vouches for the checksums: they were checked, or are still to be finished (`offload`). */
  trusted = false
}
