/**
 * vhost-user messages as bytes (QEMU, docs/interop/vhost-user.rst), the little that a front end needs of it.
 *
 * @module
 */

export const HEADER = 12
export const MESSAGE_MAX = 4096

const VERSION = 1
const REPLY = 1 << 2
const NEED_REPLY = 1 << 3

/** The requests that the front end sends by itself; tests may send any number. */
export const REQUEST = {
  GET_FEATURES: 1,
  SET_FEATURES: 2,
  SET_OWNER: 3,
  SET_MEM_TABLE: 5,
  SET_VRING_NUM: 8,
  SET_VRING_ADDR: 9,
  SET_VRING_BASE: 10,
  GET_VRING_BASE: 11,
  SET_VRING_KICK: 12,
  SET_VRING_CALL: 13,
  SET_VRING_ERR: 14,
  GET_PROTOCOL_FEATURES: 15,
  SET_PROTOCOL_FEATURES: 16,
  SET_VRING_ENABLE: 18,
  GET_CONFIG: 24,
} as const

/** `REPLY_ACK`, "Protocol features". */
export const REPLY_ACK: bigint = 1n << 3n

/** Where a part of the guest's memory is for each side. */
export interface Region {
  readonly guestAddress: number
  readonly size: number
  readonly userAddress: number
  readonly mapOffset: number
}

export function message(request: number, body: Uint8Array, needReply: boolean): Uint8Array {
  const bytes = new Uint8Array(HEADER + body.length)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, request, true)
  view.setUint32(4, VERSION | (needReply ? NEED_REPLY : 0), true)
  view.setUint32(8, body.length, true)
  bytes.set(body, HEADER)
  return bytes
}

/** The body of an answer to `request`. Throws where it is something else. */
export function bodyOf(bytes: Uint8Array, request: number): Uint8Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const [number, flags, size] =
    bytes.length < HEADER ? [0, 0, 0] : [0, 4, 8].map((at) => view.getUint32(at, true))
  if (number !== request || flags !== (VERSION | REPLY) || size !== bytes.length - HEADER)
    throw new Error(`no answer to request ${request}: ${Buffer.from(bytes).toString("hex")}`)
  return bytes.slice(HEADER)
}

/** A body of 64-bit words. */
export function words(...values: readonly (number | bigint)[]): Uint8Array {
  return new Uint8Array(BigUint64Array.from(values, BigInt).buffer)
}

/** A body of two 32-bit words: which ring, and a number. */
export function ring(index: number, value: number): Uint8Array {
  return new Uint8Array(Uint32Array.of(index, value).buffer)
}

export function memoryTable(regions: readonly Region[]): Uint8Array {
  return words(
    regions.length,
    ...regions.flatMap(({ guestAddress, size, userAddress, mapOffset }) => [
      guestAddress,
      size,
      userAddress,
      mapOffset,
    ]),
  )
}

export function firstWord(body: Uint8Array): bigint {
  return new DataView(body.buffer, body.byteOffset, body.byteLength).getBigUint64(0, true)
}
