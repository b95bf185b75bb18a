/**
 * IPv4 addresses as numbers, to be compared and counted.
 *
 * @module
 */

const DOT = 0x2e
const ZERO = 0x30

/** Of a dotted quad, without a text for each part: there may be a hundred thousand. Undefined for what is none. */
export function numberOf(address: string): number | undefined {
  let value = 0
  let octet = -1
  let dots = 0
  for (let at = 0; at < address.length; at++) {
    const code = address.charCodeAt(at)
    if (code === DOT) {
      if (octet < 0) return undefined
      value = value * 256 + octet
      octet = -1
      dots++
      continue
    }
    const digit = code - ZERO
    if (digit < 0 || digit > 9) return undefined
    octet = Math.max(octet, 0) * 10 + digit
    if (octet > 255) return undefined
  }
  return dots === 3 && octet >= 0 ? value * 256 + octet : undefined
}

export function textOf(address: number): string {
  return [24, 16, 8, 0].map((shift) => (address >>> shift) & 0xff).join(".")
}
