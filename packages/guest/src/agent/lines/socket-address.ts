/**
 * Socket addresses as /proc/net/{tcp,tcp6,udp,udp6} have them (Linux, proc(5)): the address as 32-bit numbers in hex, in
 * the guest's byte order, then the port. A guest of ours is little-endian.
 *
 *     0100007F:0016                          127.0.0.1 port 22
 *     00000000000000000000000001000000:0016  ::1 port 22
 *
 * @module
 */

export interface SocketAddress {
  readonly address: string
  readonly port: number
}

const V4 = /^([0-9A-F]{8}):([0-9A-F]{4})$/
const V6 = /^([0-9A-F]{32}):([0-9A-F]{4})$/

/** Reads a row of tcp or udp. */
export function parseV4(row: string): SocketAddress | undefined {
  const [, address = "", port = ""] = V4.exec(row) ?? []
  if (address === "") return undefined
  return { address: reversed(address).join("."), port: Number.parseInt(port, 16) }
}

/** Reads a row of tcp6 or udp6; the address comes in the form of RFC 5952. */
export function parseV6(row: string): SocketAddress | undefined {
  const [, address = "", port = ""] = V6.exec(row) ?? []
  if (address === "") return undefined
  const bytes = [0, 8, 16, 24].flatMap((at) => reversed(address.slice(at, at + 8)))
  const groups = Array.from({ length: 8 }, (_, i) =>
    ((bytes[2 * i] ?? 0) * 256 + (bytes[2 * i + 1] ?? 0)).toString(16),
  )
  // The parser of URLs shortens addresses as RFC 5952 wants them.
  const url = new URL(`http://[${groups.join(":")}]/`)
  return { address: url.hostname.slice(1, -1), port: Number.parseInt(port, 16) }
}

/** The four bytes of a 32-bit number in hex, the last one first. */
function reversed(hex: string): readonly number[] {
  return [6, 4, 2, 0].map((at) => Number.parseInt(hex.slice(at, at + 2), 16))
}
