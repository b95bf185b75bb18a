/**
 * IPv4 addresses as numbers, which a pool counts with.
 *
 * @module
 */

export interface Subnet {
  /** "192.168.64.0/24" */
  readonly text: string
  readonly network: number
  readonly mask: number
  readonly broadcast: number
}

const WIDTH_MAX = 32

/** Undefined for anything but four decimal numbers without leading zeros. */
export function addressOf(text: string): number | undefined {
  const octets = text.split(".")
  if (octets.length !== 4 || octets.some((octet) => !/^(0|[1-9]\d{0,2})$/.test(octet))) return undefined
  const numbers = octets.map(Number)
  if (numbers.some((number) => number > 255)) return undefined
  return numbers.reduce((address, number) => address * 256 + number, 0)
}

export function addressText(address: number): string {
  return addressBytes(address).join(".")
}

export function addressBytes(address: number): Uint8Array {
  return Uint8Array.of(address >>> 24, (address >>> 16) & 0xff, (address >>> 8) & 0xff, address & 0xff)
}

/** Undefined where the text is no network: bits beyond its width count as an error. */
export function subnetOf(text: string): Subnet | undefined {
  const [address = "", bits = "", ...more] = text.split("/")
  const network = addressOf(address)
  if (network === undefined || more.length > 0 || !/^\d{1,2}$/.test(bits) || Number(bits) > WIDTH_MAX)
    return undefined
  const mask = bits === "0" ? 0 : (-1 << (WIDTH_MAX - Number(bits))) >>> 0
  if ((network & ~mask) !== 0) return undefined
  return { text, network, mask, broadcast: (network | ~mask) >>> 0 }
}

export function contains({ network, mask }: Subnet, address: number): boolean {
  return (address & mask) >>> 0 === network
}
