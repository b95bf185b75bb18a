/**
 * Whose an address is: leased, or used by a machine that was heard.
 *
 * @module
 */
import type { Neighbours } from "@skep/stack"
import { putU32 } from "@skep/wire/bytes"
import type { Lease } from "../dhcp/lease.ts"
import type { DhcpServer } from "../dhcp/server.ts"
import type { Machine, Machines } from "./machines.ts"
import { sourceOf } from "./reached-names.ts"

export interface AddressesOptions {
  readonly machines: Machines
  readonly neighbours: () => Neighbours
  readonly leases: () => DhcpServer
}

export class Addresses {
  readonly #options: AddressesOptions

  constructor(options: AddressesOptions) {
    this.#options = options
  }

  /** The address that a machine has by its newest lease; without one, that which it uses. */
  addressOf(machine: Pick<Machine, "name" | "source">): string | undefined {
    let newest: Lease | undefined
    for (const lease of this.#options.leases().leases()) {
      if (lease.machine !== machine.name) continue
      if (newest === undefined || lease.renewed > newest.renewed) newest = lease
    }
    return newest?.address ?? sourceOf(machine)
  }

  /**
   * Whether a machine may have that address. What is leased to another one that is here is not for it to take; IPv6 addresses are not leased, and
   * are whose they were first (RFC 6620), while that one's link is up.
   */
  mayHave(number: number, bytes: Uint8Array, at: number, length: number): boolean {
    const { machines, neighbours, leases } = this.#options
    if (length !== 4) {
      const first = neighbours().holderOf(bytes, at, length)
      return first === -1 || first === number || machines.at({ number: first })?.port.carrier !== true
    }
    const holder = leases().holderOf(bytes, at, Date.now())
    return (
      holder === undefined || holder === machines.at({ number })?.name || machines.get(holder) === undefined
    )
  }

  /** The machine that is there and has said that it has the IPv4 address. */
  userOf(at: number): string | undefined {
    const { machines, neighbours } = this.#options
    const bytes = new Uint8Array(4)
    putU32(bytes, 0, at)
    const machine = machines.at({ number: neighbours().holderOf(bytes, 0, 4) })
    return machine?.port.carrier === true ? machine.name : undefined
  }
}
