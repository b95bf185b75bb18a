/**
 * The names under the network's domain, and the addresses that each is reached by: from leases, and from what machines are seen to use.
 *
 * @module
 */
import type { Neighbours } from "@skep/stack"
import * as address from "@skep/wire/address"
import { putU32 } from "@skep/wire/bytes"
import * as mac from "@skep/wire/mac"
import { type DhcpServer, labelOf } from "../dhcp/index.ts"
import { NAMES_MAX, type NamedAddresses } from "../thread/calls.ts"
import type { Machine, Machines } from "./machines.ts"

export interface NameSources {
  readonly machines: Machines
  readonly dhcp: Pick<DhcpServer, "names">
  readonly neighbours: Pick<Neighbours, "addressOf" | "holderOf">
}

/** The IPv6 address by which a machine is reached, or what has this MAC address at its link. */
export function address6Of(
  { neighbours }: Pick<NameSources, "neighbours">,
  machine: Machine,
  station: number = machine.mac,
): string | undefined {
  const bytes = neighbours.addressOf(machine.port.number, station)
  return bytes === undefined ? undefined : address.format(bytes)
}

/** At most NAMES_MAX. A machine that has no lease goes by its own name, where nobody else has it. */
export function reachedNames(sources: NameSources, now: number): readonly NamedAddresses[] {
  const { machines, dhcp } = sources
  const names = new Map<string, readonly string[]>()
  for (const { name, lease } of dhcp.names(now)) {
    const machine = lease.machine === undefined ? undefined : machines.get(lease.machine)
    const station = mac.parse(lease.mac)
    const six =
      machine === undefined || typeof station === "string" ? undefined : address6Of(sources, machine, station)
    names.set(name, six === undefined ? [lease.address] : [lease.address, six])
  }
  for (const machine of machines) {
    const name = labelOf(machine.name)
    const addresses = [ownSourceOf(sources, machine), address6Of(sources, machine)].filter(
      (each) => each !== undefined,
    )
    if (name !== undefined && addresses.length > 0 && !names.has(name)) names.set(name, addresses)
  }
  return [...names].slice(0, NAMES_MAX).map(([name, addresses]) => ({ name, addresses }))
}

/** The IPv4 address that a machine was last seen to use. */
export function sourceOf({ source }: Pick<Machine, "source">): string | undefined {
  if (source === 0) return undefined
  return [24, 16, 8, 0].map((shift) => (source >>> shift) & 0xff).join(".")
}

/** The same, where it is the machine's to use. */
export function ownSourceOf(
  { neighbours }: Pick<NameSources, "neighbours">,
  machine: Machine,
): string | undefined {
  const bytes = new Uint8Array(4)
  putU32(bytes, 0, machine.source)
  return neighbours.holderOf(bytes, 0, 4) === machine.port.number ? sourceOf(machine) : undefined
}
