/**
 * Which lease is meant, whatever has moved in its file; another one when it has been renewed. Pure.
 *
 * Entries that are the same to a server (one address, client, end and state) are told apart by their order, and by how many they are: when one of them goes,
 * no other has its key.
 *
 * @module
 */
import type { Document, Lease } from "../model.ts"
import { numberOf } from "./address-number.ts"
import { Repeated } from "./repeated.ts"

export class Keys {
  /** Of those only that are not alone. */
  readonly #places = new Map<Lease, string>()

  constructor({ leases }: Pick<Document, "leases">) {
    const addresses = new Repeated(leases, ({ address }) => numberOf(address))
    const groups = new Map<string, Lease[]>()
    leases.forEach((lease, index) => {
      if (!addresses.mayBe(index)) return
      const key = plainKeyOf(lease)
      const group = groups.get(key)
      if (group === undefined) groups.set(key, [lease])
      else group.push(lease)
    })
    for (const group of groups.values()) {
      if (group.length < 2) continue
      group.forEach((lease, index) => this.#places.set(lease, ` ${index + 1}/${group.length}`))
    }
  }

  of(lease: Lease): string {
    return plainKeyOf(lease) + (this.#places.get(lease) ?? "")
  }
}

function plainKeyOf({ address, clientId, hardware, expires, state }: Lease): string {
  return `${address} ${clientId ?? hardware ?? ""} ${expires ?? ""}${state === "bound" ? "" : ` ${state}`}`
}
