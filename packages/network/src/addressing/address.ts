/**
 * IP addresses between text and bytes. For options and messages; on the path of a packet addresses stay where they are.
 *
 * @module
 */
import { isIP } from "node:net"
import ipaddr from "ipaddr.js"

/** Bytes of an IPv4 and of an IPv6 address. */
export const WIDTH4 = 4
export const WIDTH6 = 16

/** 4 or 16 bytes; undefined for what is no address, or one with a zone. */
export function parseAddress(text: string): Uint8Array | undefined {
  if (isIP(text) === 0 || text.includes("%")) return undefined
  return Uint8Array.from(ipaddr.parse(text).toByteArray())
}

/** As RFC 5952 writes it. `bytes` are 4 or 16. */
export function formatAddress(bytes: Uint8Array): string {
  const address = ipaddr.fromByteArray([...bytes])
  return address instanceof ipaddr.IPv6 ? address.toRFC5952String() : address.toString()
}

/** The one way to write an address, so that texts can be compared; undefined for what is none. */
export function canonicalAddress(text: string): string | undefined {
  const bytes = parseAddress(text)
  return bytes === undefined ? undefined : formatAddress(bytes)
}

/** `127.0.0.1:80`, `[::1]:80` */
export function formatEndpoint(address: string, port: number): string {
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`
}

const MAC = /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/

/** Lower case with colons, from that or with dashes; undefined for what is none, or no address of one station. */
export function canonicalMac(text: string): string | undefined {
  const mac = text.toLowerCase().replaceAll("-", ":")
  if (!MAC.test(mac) || (Number.parseInt(mac.slice(0, 2), 16) & 1) === 1) return undefined
  return mac === "00:00:00:00:00:00" ? undefined : mac
}
