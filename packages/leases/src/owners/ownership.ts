/**
 * Whose each lease is: pure.
 *
 * An Ethernet address says it for certain, and so does the server where it knows its machines. A name is what anybody may call himself: it counts only for a lease whose
 * Ethernet address is not known or a machine whose addresses are not all known, and of several leases of one name only for the newest.
 *
 * @module
 */
import type { LeaseOwner } from "@skep/contract"
import { expiryOf, type Lease, macOf } from "../model.ts"
import type { Machine } from "./machine.ts"

export function ownersOf(
  leases: readonly Lease[],
  machines: readonly Machine[],
): ReadonlyMap<Lease, LeaseOwner> {
  const owners = new Map<Lease, LeaseOwner>()
  if (machines.length === 0) return owners
  const byMac = indexOf(machines, ({ macs }) => macs)
  const byName = indexOf(machines, ({ hostNames }) => hostNames.map((name) => name.toLowerCase()))
  const byAddress = indexOf(machines, ({ addresses }) => addresses)
  const ours = new Map(machines.filter(({ tool }) => tool === "skep").map((each) => [each.name, each]))
  const named = new Map<Machine, Lease>()
  for (const lease of leases) {
    const mac = macOf(lease)
    const own =
      known(ours.get(lease.machine ?? ""), "server") ??
      known(mac === undefined ? undefined : byMac.get(mac), "mac")
    if (own !== undefined) {
      owners.set(lease, own)
      continue
    }
    const namesake = byName.get(plainName(lease.name))
    if (namesake !== undefined && (mac === undefined || !namesake.macsComplete)) {
      const newer = named.get(namesake)
      if (newer === undefined || expiryOf(lease) > expiryOf(newer)) named.set(namesake, lease)
      continue
    }
    const seen = known(byAddress.get(lease.address), "address")
    if (seen !== undefined) owners.set(lease, seen)
  }
  for (const [machine, lease] of named) {
    const owner = known(machine, "name")
    if (owner !== undefined) owners.set(lease, owner)
  }
  return owners
}

function known(machine: Machine | undefined, by: LeaseOwner["by"]): LeaseOwner | undefined {
  if (machine === undefined) return undefined
  const { tool, name, path, running } = machine
  return { tool, machine: name, by, path, ...(running === undefined ? {} : { running }) }
}

/** The first of several machines with the same key. */
function indexOf(
  machines: readonly Machine[],
  keys: (machine: Machine) => readonly string[],
): ReadonlyMap<string, Machine> {
  return new Map(
    machines.toReversed().flatMap((machine) => keys(machine).map((key) => [key, machine] as const)),
  )
}

/** The first label, as clients that send their whole name are told by it too. */
function plainName(name: string | undefined): string {
  return name?.toLowerCase().split(".")[0] ?? ""
}
