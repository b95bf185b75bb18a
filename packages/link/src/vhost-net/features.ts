/**
 * What the device offers, and what follows from what the driver took of it (Virtual I/O Device 1.2, section 5.1.3).
 *
 * Address, control queue and status of the link are the front end's own: it shows them to the guest without asking us.
 *
 * @module
 */
import { features as ring } from "@skep/vhost-user"
import type { Offloads } from "../offload.ts"
import { HEADER, LEGACY_HEADER } from "./header.ts"

/** The driver leaves checksums to us. */
const CSUM: bigint = 1n << 0n
/** We leave checksums to the driver. */
const GUEST_CSUM: bigint = 1n << 1n
const MTU: bigint = 1n << 3n
/** We send it segments that it need not have cut. */
const GUEST_TSO4: bigint = 1n << 7n
const GUEST_TSO6: bigint = 1n << 8n
/** It sends us segments that are still to be cut. */
const HOST_TSO4: bigint = 1n << 11n
const HOST_TSO6: bigint = 1n << 12n
/** A frame may lie in several of its buffers. */
const MRG_RXBUF: bigint = 1n << 15n
const STATUS: bigint = 1n << 16n
/** Several pairs of queues. */
const MQ: bigint = 1n << 22n

const OFFERED =
  ring.VIRTIO_F_ANY_LAYOUT |
  CSUM |
  GUEST_CSUM |
  MTU |
  GUEST_TSO4 |
  GUEST_TSO6 |
  HOST_TSO4 |
  HOST_TSO6 |
  MRG_RXBUF |
  STATUS

export function offered(pairs: number): bigint {
  return pairs > 1 ? OFFERED | MQ : OFFERED
}

/** How this driver wants its frames. */
export interface Dialect {
  /** Bytes before each frame, both ways. */
  readonly header: number
  /** A frame may lie in several buffers. */
  readonly merges: boolean
  /** What the driver finishes for us. */
  readonly theirs: Offloads
  /** What we finish for the driver. */
  readonly ours: Offloads
}

export function dialectOf(chosen: bigint): Dialect {
  const has = (bit: bigint): boolean => (chosen & bit) !== 0n
  const merges = has(MRG_RXBUF)
  return {
    // Section 5.1.6.1: num_buffers is not there for a legacy driver without merged buffers.
    header: has(ring.VIRTIO_F_VERSION_1) || merges ? HEADER : LEGACY_HEADER,
    merges,
    // Section 5.1.3.1: segments need checksums; a driver that takes one without the other gets neither.
    theirs: offloads(has(GUEST_CSUM), has(GUEST_TSO4), has(GUEST_TSO6)),
    ours: offloads(has(CSUM), has(HOST_TSO4), has(HOST_TSO6)),
  }
}

function offloads(checksum: boolean, tcp4: boolean, tcp6: boolean): Offloads {
  return { checksum, tcp4: checksum && tcp4, tcp6: checksum && tcp6 }
}
