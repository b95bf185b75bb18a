/**
 * The addresses of this host and their networks, those too whose interface has no carrier: a bridge whose last machine is gone is just that, and Node's
 * `networkInterfaces` leaves it out.
 *
 * @module
 */
import { readFileSync } from "node:fs"
import { networkInterfaces } from "node:os"
import { numberOf } from "../plan/address-number.ts"

export interface OwnAddress {
  readonly address: string
  readonly mask: number
}

/** IPv4, without loopback. */
export function ownAddresses(): readonly OwnAddress[] {
  const known = Object.values(networkInterfaces())
    .flatMap((each) => each ?? [])
    .flatMap(({ family, address, netmask, internal }) => {
      const mask = numberOf(netmask)
      return family === "IPv4" && !internal && mask !== undefined ? [{ address, mask }] : []
    })
  return process.platform === "linux" ? [...known, ...fromTables()] : known
}

function fromTables(): readonly OwnAddress[] {
  try {
    return addressesIn(readFileSync("/proc/net/fib_trie", "utf8"), readFileSync("/proc/net/route", "utf8"))
  } catch {
    return [] // a kernel without them: what is known is all
  }
}

/** Local addresses of the trie, with the networks of the routes that they are in. */
export function addressesIn(trie: string, routes: string): readonly OwnAddress[] {
  const networks = routes
    .split("\n")
    .slice(1)
    .flatMap((line) => {
      const [, destination = "", , , , , , mask = ""] = line.split("\t")
      const [base, bits] = [swapped(destination), swapped(mask)]
      return base === undefined || bits === undefined || bits === 0 ? [] : [{ base, mask: bits }]
    })
  const local = [...trie.matchAll(/\|-- ([\d.]+)\n\s+\/32 host LOCAL/g)].map(([, address = ""]) => address)
  return [...new Set(local)].flatMap((address) => {
    const place = numberOf(address) ?? 0
    const network = networks.find(({ base, mask }) => (place & mask) >>> 0 === base)
    return network === undefined ? [] : [{ address, mask: network.mask }]
  })
}

/** Eight digits of a number that the kernel keeps in network order, on a host of the other one. */
function swapped(text: string): number | undefined {
  if (!/^[0-9A-F]{8}$/i.test(text)) return undefined
  return Buffer.from(text, "hex").readUInt32LE()
}

/** Finds the host's own address on the network of another one. */
export function ownAddressFinder(): (other: string) => string | undefined {
  const own = ownAddresses().map(({ address, mask }) => ({
    address,
    mask,
    base: ((numberOf(address) ?? 0) & mask) >>> 0,
  }))
  return (other) => {
    const place = numberOf(other)
    if (place === undefined) return undefined
    return own.find(({ base, mask }) => (place & mask) >>> 0 === base)?.address
  }
}
