/**
 * Socket addresses as bytes: struct sockaddr_un, sockaddr_in, sockaddr_in6, sockaddr_vm (unix(7), ip(7), ipv6(7), vsock(7)).
 *
 * ```
 * unix   | family u16 | path, up to 107 bytes and a zero |
 * inet   | family u16 | port u16be | address 4 |  8 zeros  |
 * inet6  | family u16 | port u16be | flow u32 | address 16 | scope u32 |
 * vsock  | family u16 |   u16 = 0  | port u32 | cid u32 | flags u8, 3 zeros |
 * ```
 *
 * @module
 */
import { isIPv4, isIPv6 } from "node:net"
import { AF_INET, AF_INET6, AF_UNIX, AF_VSOCK } from "./constants.ts"

/** sun_path has 108 bytes, the last a zero. */
export const UNIX_PATH_MAX = 107
/** Holds every address we know: sizeof(struct sockaddr_un). */
export const SOCKADDR_SIZE = 110

const PATH = 2
const PORT = 2
const INET_ADDRESS = 4
const INET_SIZE = 16
const INET6_ADDRESS = 8
const INET6_SCOPE = 24
const INET6_SIZE = 28
const VSOCK_PORT = 4
const VSOCK_CID = 8
const VSOCK_SIZE = 16
const U32_MAX = 0xffff_ffff

export type SocketAddress =
  | {
      readonly family: "unix" /** A leading zero makes it abstract; "" has no name. */
      readonly path: string
    }
  | { readonly family: "inet"; readonly address: string; readonly port: number }
  | { readonly family: "inet6"; readonly address: string; readonly port: number; readonly scope?: number }
  /** 32 bits each; in `bind` 2^32 - 1 is any, VMADDR_CID_ANY and VMADDR_PORT_ANY. */
  | { readonly family: "vsock"; readonly cid: number; readonly port: number }

/** The address as the kernel takes it, or why it cannot be one. */
export function emit(address: SocketAddress): Uint8Array | "path-too-long" | "bad-address" {
  if (address.family === "unix") return emitUnix(address.path)
  if (address.family === "vsock") return emitVsock(address.cid, address.port)
  const { port } = address
  if (!Number.isInteger(port) || port < 0 || port > 65535) return "bad-address"
  if (address.family === "inet") {
    if (!isIPv4(address.address)) return "bad-address"
    const bytes = headed(AF_INET, INET_SIZE, port)
    bytes.set(address.address.split(".").map(Number), INET_ADDRESS)
    return bytes
  }
  const words = ipv6Words(address.address)
  if (words === undefined) return "bad-address"
  const bytes = headed(AF_INET6, INET6_SIZE, port)
  for (const [index, word] of words.entries()) {
    bytes[INET6_ADDRESS + index * 2] = word >>> 8
    bytes[INET6_ADDRESS + index * 2 + 1] = word
  }
  new DataView(bytes.buffer).setUint32(INET6_SCOPE, address.scope ?? 0, true)
  return bytes
}

/** What the kernel wrote, `length` bytes of it. Undefined for a family we do not know or too few bytes. */
export function parse(bytes: Uint8Array, length: number): SocketAddress | undefined {
  if (length < PATH || length > bytes.length) return undefined
  const view = new DataView(bytes.buffer, bytes.byteOffset, length)
  const family = view.getUint16(0, true)
  if (family === AF_UNIX) return { family: "unix", path: unixPath(bytes.subarray(PATH, length)) }
  if (family === AF_INET && length >= INET_SIZE)
    return {
      family: "inet",
      address: bytes.subarray(INET_ADDRESS, INET_ADDRESS + 4).join("."),
      port: view.getUint16(PORT),
    }
  if (family === AF_INET6 && length >= INET6_SIZE) {
    const words = Array.from({ length: 8 }, (_, index) => view.getUint16(INET6_ADDRESS + index * 2))
    const scope = view.getUint32(INET6_SCOPE, true)
    const host = { family: "inet6", address: ipv6Text(words), port: view.getUint16(PORT) } as const
    return scope === 0 ? host : { ...host, scope }
  }
  if (family === AF_VSOCK && length >= VSOCK_SIZE)
    return { family: "vsock", cid: view.getUint32(VSOCK_CID, true), port: view.getUint32(VSOCK_PORT, true) }
  return undefined
}

function emitUnix(path: string): Uint8Array | "path-too-long" | "bad-address" {
  const text = Buffer.from(path)
  if (text.length > UNIX_PATH_MAX) return "path-too-long"
  const abstract = text[0] === 0
  // A zero inside would end the path early, and name another file.
  if (!abstract && text.includes(0)) return "bad-address"
  const bytes = new Uint8Array(PATH + text.length + (abstract || text.length === 0 ? 0 : 1))
  new DataView(bytes.buffer).setUint16(0, AF_UNIX, true)
  bytes.set(text, PATH)
  return bytes
}

function unixPath(name: Uint8Array): string {
  const end = name[0] === 0 ? -1 : name.indexOf(0)
  return Buffer.from(end < 0 ? name : name.subarray(0, end)).toString("utf8")
}

function emitVsock(cid: number, port: number): Uint8Array | "bad-address" {
  for (const value of [cid, port]) {
    if (!Number.isInteger(value) || value < 0 || value > U32_MAX) return "bad-address"
  }
  const bytes = new Uint8Array(VSOCK_SIZE)
  const view = new DataView(bytes.buffer)
  view.setUint16(0, AF_VSOCK, true)
  view.setUint32(VSOCK_PORT, port, true)
  view.setUint32(VSOCK_CID, cid, true)
  return bytes
}

function headed(family: number, size: number, port: number): Uint8Array {
  const bytes = new Uint8Array(size)
  const view = new DataView(bytes.buffer)
  view.setUint16(0, family, true)
  view.setUint16(PORT, port)
  return bytes
}

/** The eight words of an address without scope. */
function ipv6Words(text: string): readonly number[] | undefined {
  if (!isIPv6(text) || text.includes("%")) return undefined
  const dotted = /^(.*:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(text)
  const [, prefix = "", ...quad] = dotted ?? []
  const [a = 0, b = 0, c = 0, d = 0] = quad.map(Number)
  const hex =
    dotted === null ? text : `${prefix}${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`
  const [head = "", tail] = hex.split("::")
  const left = head.split(":").filter((word) => word !== "")
  const right = (tail ?? "").split(":").filter((word) => word !== "")
  const zeros = Array.from({ length: 8 - left.length - right.length }, () => "0")
  return [...left, ...zeros, ...right].map((word) => Number.parseInt(word, 16))
}

/** The short form of RFC 5952 §4, without its dotted exception. */
function ipv6Text(words: readonly number[]): string {
  return new URL(`http://[${words.map((word) => word.toString(16)).join(":")}]/`).hostname.slice(1, -1)
}
