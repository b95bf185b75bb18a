/**
 * What a sender leaves to the receiver of a frame: a checksum to be finished, a segment to be cut.
 *
 * The fields are those of struct virtio_net_hdr (Virtual I/O Device 1.2, section 5.1.6), which TAP uses too.
 *
 * @module
 */

/** `gso` of a frame that is not to be cut. */
export const GSO_NONE = 0
/** TCP over IPv4, to be cut into segments of `segmentSize` bytes of payload. */
export const GSO_TCP4 = 1
/** TCP over IPv6. */
export const GSO_TCP6 = 4

/** UDP over either IP, to be cut into datagrams of `segmentSize` bytes of payload, the last one perhaps shorter. No link brings such. */
export const GSO_UDP = 5

/** Mutable, used again for each frame. Offsets count from the first byte of the Ethernet header. */
export interface Offload {
  /**
   * Where the sum begins that is still to be put at `checksumOffset` bytes after it (which holds the sum of the pseudo-header). 0 where all
   * checksums are complete.
   */
  checksumStart: number
  checksumOffset: number
  gso: number
  /** Bytes of payload of each segment. 0 without `gso`. */
  segmentSize: number
  /** Bytes before the payload. 0 without `gso`. */
  headerLength: number
}

export function noOffload(): Offload {
  return { checksumStart: 0, checksumOffset: 0, gso: GSO_NONE, segmentSize: 0, headerLength: 0 }
}

/** What the other end of a link finishes by itself, so that we need not. */
export interface Offloads {
  readonly checksum: boolean
  readonly tcp4: boolean
  readonly tcp6: boolean
  /** Cuts UDP too. It does not unless told. */
  readonly udp?: boolean
}

/** For whoever looks at single datagrams. */
export function withoutUdp({ checksum, tcp4, tcp6 }: Offloads): Offloads {
  return { checksum, tcp4, tcp6 }
}

export const NO_OFFLOADS: Offloads = { checksum: false, tcp4: false, tcp6: false }
