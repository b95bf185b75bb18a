/**
 * The header of a vhost-user message, in the byte order of the host, which is little-endian wherever we run
 * (docs/interop/vhost-user.rst, "Message specification").
 *
 * ```
 * | request u32 | flags u32: version 0..1, reply 2, need-reply 3 | size of the payload u32 |
 * ```
 *
 * @module
 */
import { nameOf } from "./request.ts"

export const HEADER = 12
/** Larger than the largest payload that we know: a memory table, a device's configuration. */
export const PAYLOAD_MAX = 4096

const REQUEST = 0
const FLAGS = 4
const SIZE = 8

const VERSION = 1
const VERSION_MASK = 3
const REPLY = 1 << 2
const NEED_REPLY = 1 << 3

export interface Header {
  readonly request: number
  readonly reply: boolean
  readonly needReply: boolean
  /** Bytes that follow. */
  readonly size: number
}

export type MalformedHeader = "truncated" | "bad-version" | "too-long"

/** Reads the header at `at`; `end` is where the bytes end. */
export function parseHeader(bytes: Uint8Array, at: number, end: number): Header | MalformedHeader {
  if (end - at < HEADER) return "truncated"
  const flags = u32(bytes, at + FLAGS)
  if ((flags & VERSION_MASK) !== VERSION) return "bad-version"
  const size = u32(bytes, at + SIZE)
  if (size > PAYLOAD_MAX) return "too-long"
  return {
    request: u32(bytes, at + REQUEST),
    reply: (flags & REPLY) !== 0,
    needReply: (flags & NEED_REPLY) !== 0,
    size,
  }
}

export function emitHeader(header: Header, bytes: Uint8Array, at: number): void {
  setU32(bytes, at + REQUEST, header.request)
  setU32(bytes, at + FLAGS, VERSION | (header.reply ? REPLY : 0) | (header.needReply ? NEED_REPLY : 0))
  setU32(bytes, at + SIZE, header.size)
}

/** `SET_VRING_KICK, 8 bytes, needs a reply` */
export function prettyHeader({ request, reply, needReply, size }: Header): string {
  const kind = reply ? ", a reply" : needReply ? ", needs a reply" : ""
  return `${nameOf(request)}, ${size} bytes${kind}`
}

export function u32(bytes: Uint8Array, at: number): number {
  return (
    (byte(bytes, at) |
      (byte(bytes, at + 1) << 8) |
      (byte(bytes, at + 2) << 16) |
      (byte(bytes, at + 3) << 24)) >>>
    0
  )
}

export function setU32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value
  bytes[at + 1] = value >>> 8
  bytes[at + 2] = value >>> 16
  bytes[at + 3] = value >>> 24
}

function byte(bytes: Uint8Array, at: number): number {
  return bytes[at] ?? 0
}
