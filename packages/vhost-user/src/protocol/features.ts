/**
 * Feature bits that every device shares (Virtio 1.2, section 6) and the protocol's own (docs/interop/vhost-user.rst, "Protocol features").
 * A set of features is a `bigint`: it has 64 bits, and is never on a fast path.
 *
 * @module
 */

export const VIRTIO_F_NOTIFY_ON_EMPTY: bigint = 1n << 24n
export const VHOST_F_LOG_ALL: bigint = 1n << 26n
/** Buffers may be cut anywhere. Each device of version 1 can that. */
export const VIRTIO_F_ANY_LAYOUT: bigint = 1n << 27n
export const VIRTIO_RING_F_INDIRECT_DESC: bigint = 1n << 28n
export const VIRTIO_RING_F_EVENT_IDX: bigint = 1n << 29n
/** The front end may ask for protocol features. Never shown to the guest. */
export const VHOST_USER_F_PROTOCOL_FEATURES: bigint = 1n << 30n
export const VIRTIO_F_VERSION_1: bigint = 1n << 32n
export const VIRTIO_F_IN_ORDER: bigint = 1n << 35n

export const PROTOCOL_F_MQ: bigint = 1n << 0n
export const PROTOCOL_F_LOG_SHMFD: bigint = 1n << 1n
export const PROTOCOL_F_RARP: bigint = 1n << 2n
export const PROTOCOL_F_REPLY_ACK: bigint = 1n << 3n
export const PROTOCOL_F_MTU: bigint = 1n << 4n
export const PROTOCOL_F_CONFIG: bigint = 1n << 9n
export const PROTOCOL_F_INFLIGHT_SHMFD: bigint = 1n << 12n
export const PROTOCOL_F_RESET_DEVICE: bigint = 1n << 13n
export const PROTOCOL_F_CONFIGURE_MEM_SLOTS: bigint = 1n << 15n
export const PROTOCOL_F_STATUS: bigint = 1n << 16n

/** What each of our devices offers beside its own: version 1 only, indirect descriptors, event indices. */
export const RING_FEATURES: bigint =
  VIRTIO_RING_F_INDIRECT_DESC | VIRTIO_RING_F_EVENT_IDX | VHOST_USER_F_PROTOCOL_FEATURES | VIRTIO_F_VERSION_1
