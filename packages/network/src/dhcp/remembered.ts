/**
 * What a network knows of machines beside their leases: addresses that are reserved for them, and those that they had before they were removed.
 *
 * @module
 */

/** An address and the machine it is or was of. */
export interface KeptAddress {
  readonly machine: string
  /** "192.168.64.5" */
  readonly address: string
}

export interface Remembered {
  /** For that machine alone. */
  readonly reservations: readonly KeptAddress[]
  /** Of machines that gave their address back, oldest first: theirs again if they come back before others took it. */
  readonly former: readonly KeptAddress[]
}

export const NOTHING_REMEMBERED: Remembered = { reservations: [], former: [] }

/** Twice the machines that a network has at one time. */
const FORMER_MAX = 512

/** Which address machines had that are gone. The oldest are forgotten. */
export class Former {
  readonly #byMachine = new Map<string, string>()

  of(machine: string): string | undefined {
    return this.#byMachine.get(machine)
  }

  add({ machine, address }: KeptAddress): void {
    this.#byMachine.delete(machine)
    this.#byMachine.set(machine, address)
    const [oldest] = this.#byMachine.keys()
    if (this.#byMachine.size > FORMER_MAX && oldest !== undefined) this.#byMachine.delete(oldest)
  }

  delete(machine: string): void {
    this.#byMachine.delete(machine)
  }

  /** Oldest first. */
  list(): readonly KeptAddress[] {
    return [...this.#byMachine].map(([machine, address]) => ({ machine, address }))
  }
}

/** Whether two lists say the same. */
export function sameKept(one: readonly KeptAddress[], other: readonly KeptAddress[]): boolean {
  return (
    one.length === other.length &&
    one.every(
      ({ machine, address }, index) => other[index]?.machine === machine && other[index].address === address,
    )
  )
}
