/**
 * Who an export is for: addresses and networks, as exports(5) of macOS and of Linux name them.
 *
 * @module
 */
import { isIP } from "node:net"

/** All addresses from `first` to `last` of one family. */
export interface Range {
  readonly family: 4 | 6
  readonly first: bigint
  readonly last: bigint
}

/** "everyone", a range of addresses, or a name that only its resolver understands. */
export type Client = "everyone" | Range | { readonly name: string }

const BITS = { 4: 32, 6: 128 } as const

/** An address, `ADDRESS/BITS`, `ADDRESS/MASK`; a name otherwise. */
export function parseClient(text: string, mask?: string): Client {
  if (text === "*" || text === "") return "everyone"
  const [address = "", suffix] = text.split("/")
  const family = isIP(address)
  if (family !== 4 && family !== 6) return oldNetwork(text, mask) ?? { name: text }
  const bits = bitsOf(mask ?? suffix, family)
  return bits === undefined ? { name: text } : rangeOf(numberOf(address, family), bits, family)
}

/** 131.104.48 is 131.104.48.0, of BSD's oldest examples; without a mask its class tells the length. */
function oldNetwork(text: string, mask: string | undefined): Range | undefined {
  if (!/^\d{1,3}(\.\d{1,3}){0,2}$/.test(text)) return undefined
  const parts = text.split(".")
  const address = [...parts, "0", "0", "0"].slice(0, 4).join(".")
  if (isIP(address) !== 4) return undefined
  const bits = mask === undefined ? parts.length * 8 : bitsOf(mask, 4)
  return bits === undefined ? undefined : rangeOf(numberOf(address, 4), bits, 4)
}

function bitsOf(text: string | undefined, family: 4 | 6): number | undefined {
  if (text === undefined) return BITS[family]
  if (/^\d{1,3}$/.test(text)) return Number(text) <= BITS[family] ? Number(text) : undefined
  if (isIP(text) !== family) return undefined
  const mask = numberOf(text, family)
  const host = ((1n << BigInt(BITS[family])) - 1n) ^ mask
  // A mask is ones and then zeros.
  return (host & (host + 1n)) === 0n ? BITS[family] - host.toString(2).replace(/^0$/, "").length : undefined
}

function rangeOf(address: bigint, bits: number, family: 4 | 6): Range {
  const host = (1n << BigInt(BITS[family] - bits)) - 1n
  const first = address & ~host
  return { family, first, last: first | host }
}

function numberOf(address: string, family: 4 | 6): bigint {
  if (family === 4) return address.split(".").reduce((sum, part) => (sum << 8n) | BigInt(part), 0n)
  const [left = "", right] = withoutZone(address).split("::")
  const head = groupsOf(left)
  const tail = right === undefined ? [] : groupsOf(right)
  const zeros = Array.from<bigint>({ length: 8 - head.length - tail.length }).fill(0n)
  return [...head, ...zeros, ...tail].reduce((sum, group) => (sum << 16n) | group, 0n)
}

function withoutZone(address: string): string {
  return address.split("%")[0] ?? ""
}

function groupsOf(text: string): readonly bigint[] {
  if (text === "") return []
  return text.split(":").flatMap((group) => {
    if (!group.includes(".")) return [BigInt(`0x${group}`)]
    const mapped = numberOf(group, 4)
    return [mapped >> 16n, mapped & 0xffffn]
  })
}

/** Whether some client is meant by both. Names are equal only to themselves: what they stand for the resolver knows. */
export function clientsMeet(one: Client, other: Client): boolean {
  if (one === "everyone" || other === "everyone") return true
  if ("name" in one || "name" in other)
    return "name" in one && "name" in other && one.name.toLowerCase() === other.name.toLowerCase()
  return one.family === other.family && one.first <= other.last && other.first <= one.last
}
