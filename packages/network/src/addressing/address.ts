/**
 * Addresses as text that can be compared: one way to write each. As bytes they are `@skep/wire/address`, as numbers `@skep/wire/mac`.
 *
 * @module
 */
import * as address from "@skep/wire/address"
import * as mac from "@skep/wire/mac"

/** As RFC 5952 writes it; undefined for what is no address, or one with a zone. */
export function canonicalAddress(text: string): string | undefined {
  const bytes = address.parse(text)
  return typeof bytes === "string" ? undefined : address.format(bytes)
}

/** `127.0.0.1:80`, `[::1]:80` */
export function formatEndpoint(text: string, port: number): string {
  return text.includes(":") ? `[${text}]:${port}` : `${text}:${port}`
}

/** Lower case with colons, from that or with dashes; undefined for what is none, or no address of one station. */
export function canonicalMac(text: string): string | undefined {
  const station = mac.parse(text)
  return typeof station === "string" || station === 0 || mac.isGroup(station)
    ? undefined
    : mac.format(station)
}
