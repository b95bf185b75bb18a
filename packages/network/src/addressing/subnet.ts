/**
 * Blocks of addresses as people write them: `192.168.64.0/24`, `fd00::/64`.
 *
 * @module
 */
import * as address from "@skep/wire/address"

/** Undefined for what is no block, or names one of its addresses and not itself. */
export function parseSubnet(text: string): address.Prefix | undefined {
  const prefix = address.parsePrefix(text)
  if (typeof prefix === "string") return undefined
  const named = address.parse(text.split("/", 1)[0] ?? "")
  return typeof named !== "string" && address.equal(named, prefix.address) ? prefix : undefined
}

/** The address `index` places after the first; before the end where it is negative: -1 is the last. Throws where the block is smaller than that. */
export function addressIn(subnet: address.Prefix, index: number): Uint8Array {
  const found = address.nth(subnet, index)
  if (found === undefined) throw new Error(`${address.formatPrefix(subnet)} has no address ${index}`)
  return found
}
