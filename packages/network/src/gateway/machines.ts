/**
 * The machines of a network: a name, a link, its port on the switch.
 *
 * @module
 */
import type { InterposedLink, Port } from "@skep/link"
import type { LinkSpec } from "../links/link-spec.ts"
import type { Policy } from "../policy/policy.ts"
import type { FaultSpec } from "../thread/calls.ts"

export interface Machine {
  readonly name: string
  readonly spec: LinkSpec
  /** The one that its port has, which captures and faults are put into. */
  readonly link: InterposedLink
  readonly port: Port
  readonly endpoint: string
  /** The last source address of its frames, 48 bits; 0 before the first. */
  mac: number
  /** The last IPv4 source address of its packets, as a number; 0 before the first. */
  source: number
  /** The last IPv6 source address of its packets; all 0 before the first. */
  readonly source6: Uint8Array
  /** Its own policy, where it has one. */
  policy: Policy | undefined
  faults: FaultSpec | undefined
  /** Until when it is cut off from all others, since it was behind too many exceptions of ours; 0 where it is not. */
  cutOffUntil: number
}

/** By name, and by port. */
export class Machines {
  readonly #byName = new Map<string, Machine>()
  readonly #byPort = new Map<number, Machine>()

  get size(): number {
    return this.#byName.size
  }

  [Symbol.iterator](): IterableIterator<Machine> {
    return this.#byName.values()
  }

  get(name: string): Machine | undefined {
    return this.#byName.get(name)
  }

  at(port: { readonly number: number }): Machine | undefined {
    return this.#byPort.get(port.number)
  }

  add(machine: Machine): void {
    this.#byName.set(machine.name, machine)
    this.#byPort.set(machine.port.number, machine)
  }

  remove(machine: Machine): void {
    this.#byName.delete(machine.name)
    this.#byPort.delete(machine.port.number)
  }
}
