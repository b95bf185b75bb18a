/**
 * Names of addresses: RFC 1035 section 3.5 (in-addr.arpa), RFC 3596 section 2.5 (ip6.arpa).
 *
 * @module
 */
import ipaddr from "ipaddr.js"
import { canonicalAddress } from "../../addressing/address.ts"

const V4 = "in-addr.arpa"
const V6 = "ip6.arpa"
const V4_LABELS = 4
const V6_LABELS = 32

export function isIPv6(address: string): boolean {
  return address.includes(":")
}

/** The address that a whole reverse name means. `name` as `Name.text`. */
export function parseReverse(name: string): string | undefined {
  const labels = name.split(".")
  if (labels.length === V4_LABELS + 2 && name.endsWith(`.${V4}`)) {
    const octets = labels.slice(0, V4_LABELS)
    if (!octets.every((octet) => /^(?:0|[1-9]\d{0,2})$/.test(octet))) return undefined
    return canonicalAddress(octets.toReversed().join("."))
  }
  if (labels.length !== V6_LABELS + 2 || !name.endsWith(`.${V6}`)) return undefined
  const nibbles = labels.slice(0, V6_LABELS)
  if (!nibbles.every((nibble) => /^[0-9a-f]$/.test(nibble))) return undefined
  const digits = nibbles.toReversed().join("")
  return canonicalAddress(digits.replace(/.{4}(?=.)/g, "$&:"))
}

/** Zones of at most so many labels stand for a prefix that ends within a label: 2^7 of them at the most. */
const PREFIX_LEAST = 8

/**
 * The reverse zones that make up `prefix`, such as "192.168.64.0/24": one where it ends with a label, more where it ends within one. None for
 * what is no prefix, or one of less than eight bits.
 */
export function reverseZones(prefix: string): readonly string[] {
  if (!ipaddr.isValidCIDR(prefix)) return []
  const [address, length] = ipaddr.parseCIDR(prefix)
  if (length < PREFIX_LEAST) return []
  const bytes = address.toByteArray()
  const v6 = bytes.length > V4_LABELS
  const units = v6 ? bytes.flatMap((byte) => [byte >> 4, byte & 0xf]) : bytes
  const width = v6 ? 4 : 8
  const count = Math.ceil(length / width)
  const free = 2 ** (count * width - length)
  const last = Math.floor((units[count - 1] ?? 0) / free) * free
  const radix = v6 ? 16 : 10
  const rest = units.slice(0, count - 1).map((unit) => unit.toString(radix))
  return Array.from({ length: free }, (_, index) =>
    [...rest, (last + index).toString(radix)]
      .toReversed()
      .concat(v6 ? V6 : V4)
      .join("."),
  )
}
