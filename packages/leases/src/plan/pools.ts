/**
 * How many addresses are left, and when that changes: pure.
 *
 * @module
 */
import type { LeasePool } from "@skep/contract"
import type { Lease, Network } from "../model.ts"
import { numberOf, textOf } from "./address-number.ts"

/** Of bootpd and dnsmasq alike, where nobody says another time: a day. */
const LEASE_MS = 86_400_000

/** One for each network that is known, and one for each /24 that is not but has leases. IPv4 only: of IPv6 there is enough. */
export function poolsOf(
  files: readonly (readonly Lease[])[],
  networks: readonly Network[],
  now: number,
): readonly LeasePool[] {
  const ranges = [...new Map(networks.map(rangeOf).map((range) => [range.base, range])).values()]
  const held = new Map<Range, Map<number, number>>(ranges.map((range) => [range, new Map()]))
  const guessed = new Map<number, Range>()
  for (const leases of files)
    for (const lease of leases) {
      const place = numberOf(lease.address)
      if (place === undefined || !isHeld(lease, now)) continue
      let range = ranges.find(({ base, mask }) => (place & mask) >>> 0 === base)
      if (range === undefined) {
        const base = (place & 0xff_ff_ff_00) >>> 0
        range = guessed.get(base) ?? rangeOf({ address: textOf(base), mask: "255.255.255.0" })
        guessed.set(base, range)
      }
      const places = held.get(range) ?? new Map<number, number>()
      held.set(range, places)
      if (place < range.first || place > range.last || place === range.server) continue
      places.set(
        place,
        Math.max(places.get(place) ?? 0, lease.state === "reserved" ? Infinity : (lease.expires ?? Infinity)),
      )
    }
  return [...held].map(([range, places]) => poolOf(range, [...places.values()], now))
}

interface Range {
  readonly base: number
  readonly mask: number
  readonly length: number
  readonly first: number
  readonly last: number
  readonly server: number | undefined
  readonly size: number
  readonly leaseMs: number
}

function rangeOf({ address, mask, server, first, last, leaseSeconds }: Network): Range {
  const bits = numberOf(mask) ?? 0xff_ff_ff_00
  const length = Math.clz32(~bits >>> 0)
  const base = ((numberOf(address) ?? 0) & bits) >>> 0
  // Without a word of the file the server is where everybody has it: at the first address.
  const own = numberOf(server ?? "") ?? base + 1
  const from = numberOf(first ?? "") ?? base + 1
  const to = numberOf(last ?? "") ?? ((base | ~bits) >>> 0) - 1
  return {
    base,
    mask: bits,
    length,
    first: from,
    last: to,
    server: own,
    size: Math.max(0, to - from + 1 - (own >= from && own <= to ? 1 : 0)),
    leaseMs: leaseSeconds === undefined ? LEASE_MS : leaseSeconds * 1000,
  }
}

function poolOf(range: Range, expiries: readonly number[], now: number): LeasePool {
  const { size } = range
  const used = Math.min(size, expiries.length)
  const ends = Float64Array.from(expiries).toSorted()
  const nextFree = ends.find((end) => Number.isFinite(end))
  const exhausted = exhaustedAt(ends, size, now, range.leaseMs)
  return {
    network: `${textOf(range.base)}/${range.length}`,
    first: textOf(range.first),
    last: textOf(range.last),
    size,
    used,
    free: size - used,
    ...(nextFree === undefined ? {} : { nextFree }),
    ...(exhausted === undefined ? {} : { exhausted }),
  }
}

/**
 * If clients go on coming as in the last half of a lease's time, and nobody renews: what still holds then, and what has come until then, is more than there
 * is. Undefined where that never happens, since as much comes back as is given.
 */
function exhaustedAt(ends: Float64Array, size: number, now: number, leaseMs: number): number | undefined {
  if (ends.length >= size) return now
  const half = leaseMs / 2
  const recent = ends.filter((end) => Number.isFinite(end) && end - now > half && end - now <= leaseMs).length
  if (recent === 0) return undefined
  const every = half / recent
  let from = now
  for (let over = 0; over <= ends.length; over++) {
    const until = Math.min(ends[over] ?? Infinity, now + leaseMs)
    const full = now + (size - (ends.length - over)) * every
    if (full <= until) return Math.max(full, from)
    if (until === now + leaseMs) return undefined
    from = until
  }
  return undefined
}

function isHeld({ state, expires }: Lease, now: number): boolean {
  if (state === "free" || state === "superseded") return false
  return state === "reserved" || expires === undefined || expires > now
}
