/**
 * Blocks of addresses: `192.168.64.0/24`, `fd00::/64`.
 *
 * @module
 */
import { formatAddress, parseAddress } from "./address.ts"

export interface Subnet {
  /** 4 or 16 bytes; those after the prefix are zero. */
  readonly address: Uint8Array
  /** Length of the prefix. */
  readonly bits: number
}

/** Undefined for what is no block, or names one of its addresses and not itself. */
export function parseSubnet(text: string): Subnet | undefined {
  const parts = /^([^/]+)\/(0|[1-9]\d{0,2})$/.exec(text)
  const address = parseAddress(parts?.[1] ?? "")
  const bits = Number(parts?.[2])
  if (address === undefined || bits > address.length * 8) return undefined
  return isZeroAfter(address, bits) ? { address, bits } : undefined
}

export function formatSubnet({ address, bits }: Subnet): string {
  return `${formatAddress(address)}/${bits}`
}

/** Whether the address at `at` of `bytes`, as wide as the block's, lies in the block. */
export function contains({ address, bits }: Subnet, bytes: Uint8Array, at: number): boolean {
  const whole = bits >> 3
  for (let index = 0; index < whole; index++) {
    if (bytes[at + index] !== address[index]) return false
  }
  const rest = bits & 7
  if (rest === 0) return true
  const differing = (bytes[at + whole] ?? 0) ^ (address[whole] ?? 0)
  return differing >> (8 - rest) === 0
}

/** Whether one has an address of the other. Blocks of both families have none in common. */
export function overlaps(one: Subnet, other: Subnet): boolean {
  if (one.address.length !== other.address.length) return false
  return one.bits <= other.bits ? contains(one, other.address, 0) : contains(other, one.address, 0)
}

/** The address `index` places after the first; before the end where it is negative: -1 is the last. */
export function addressIn({ address, bits }: Subnet, index: number): Uint8Array {
  const bytes = Uint8Array.from(address)
  if (index < 0) fillAfter(bytes, bits)
  let carry = index < 0 ? index + 1 : index
  for (let at = bytes.length - 1; at >= 0 && carry !== 0; at--) {
    const sum = (bytes[at] ?? 0) + carry
    bytes[at] = sum & 0xff
    carry = sum >> 8
  }
  return bytes
}

function fillAfter(bytes: Uint8Array, bits: number): void {
  for (let at = bits >> 3; at < bytes.length; at++) {
    const kept = Math.max(0, bits - at * 8)
    bytes[at] = (bytes[at] ?? 0) | (0xff >> kept)
  }
}

function isZeroAfter(bytes: Uint8Array, bits: number): boolean {
  return bytes.every((byte, at) => (byte & (0xff >> Math.min(8, Math.max(0, bits - at * 8)))) === 0)
}
