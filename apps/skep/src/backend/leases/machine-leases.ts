/**
 * The addresses of this user's machines on Skep's network, while that runs and while it does not: given back, kept, reserved.
 *
 * ```
 *  rm                 ─► giveBack ─┐
 *  rm --keep-lease    ─► keep ─────┼─► the network that runs, by its verbs    ─► leases.json
 *  leases reserve     ─► reserve ──┤   none runs: leases.json under its lock
 *  start, every hour  ─► sweep ────┘
 * ```
 *
 * @module
 */
import { type Log, SidecarError, type SidecarEvent } from "@skep/contract"
import {
  giveBackInFile,
  type KeptAddress,
  type LeaseRecord,
  type RemoteNetwork,
  reserveInFile,
} from "@skep/network/client"

/** The ways to the network. */
export interface NetworkWays {
  /** With the one that runs, if one does, whoever started it. */
  whileRunning<Result>(work: (network: RemoteNetwork) => Promise<Result>): Promise<Result | undefined>
  /** With the one that runs, else with one that is started for this. */
  withNetwork<Result>(work: (network: RemoteNetwork) => Promise<Result>): Promise<Result>
}

export interface MachineLeasesOptions {
  readonly network: NetworkWays
  /** The lease file. */
  readonly path: string
  readonly log: Log
  readonly emit: (event: SidecarEvent) => void
}

/** Why leases are taken back; told in the event. */
type Reason = "removed" | "gone"

export interface LeasesView {
  readonly leases: readonly LeaseRecord[]
  readonly reservations: readonly KeptAddress[]
}

export interface Removal {
  readonly force: boolean
  /** The machine's address is reserved for a machine of its name. */
  readonly keepLease?: boolean
}

/** Which addresses anybody may have now, and which one stays reserved. */
export interface RemovedMachine {
  readonly released: readonly string[]
  readonly kept?: string
}

export class MachineLeases {
  readonly #options: MachineLeasesOptions

  constructor(options: MachineLeasesOptions) {
    this.#options = options
  }

  /** The machine is removed: whoever comes next may have its address. Returns what it had. What fails here is for the next sweep. */
  async giveBack(machine: string): Promise<readonly string[]> {
    const { path, log } = this.#options
    try {
      const running = await this.#whileRunning((network) => network.giveBack(machine))
      const returned = running ?? (await giveBackInFile(path, (name) => name === machine, never))
      this.#tell(returned, "removed")
      return returned.map(({ address }) => address)
    } catch (error) {
      log.info("lease not given back", { machine, reason: String(error) })
      return []
    }
  }

  /** Reserves the address that a machine has, which is being removed. Returns it; undefined where it has none, or where that fails. */
  async keep(machine: string): Promise<string | undefined> {
    const { path, log, emit } = this.#options
    try {
      const address =
        (await this.#whileRunning((network) => keepRunning(network, machine))) ??
        (await reserveInFile(path, machine, never))
      if (address !== undefined) emit({ type: "lease-reserved", machine, address })
      return address
    } catch (error) {
      log.info("lease not kept", { machine, reason: String(error) })
      return undefined
    }
  }

  /** Codes of `NetworkVerbs.reserve`. */
  async reserve(kept: KeptAddress): Promise<void> {
    await this.#options.network.withNetwork((network) => network.reserve(kept))
    this.#options.emit({ type: "lease-reserved", ...kept })
  }

  /** Returns the address. Throws "not-found" where none is reserved for the machine. */
  async unreserve(machine: string): Promise<string> {
    const address = await this.#options.network.withNetwork((network) => network.unreserve(machine))
    this.#options.emit({ type: "lease-unreserved", machine, address })
    return address
  }

  async view(): Promise<LeasesView> {
    return await this.#options.network.withNetwork(async (network) => ({
      leases: await network.leases(),
      reservations: await network.reservations(),
    }))
  }

  /** Gives back what machines had that `exists` does not know of, and whose links are gone. */
  async sweep(exists: (machine: string) => boolean, signal: AbortSignal): Promise<void> {
    const isGone = (machine: string): boolean => !exists(machine)
    const returned =
      (await this.#whileRunning((network) => sweepRunning(network, isGone))) ??
      (await giveBackInFile(this.#options.path, isGone, signal))
    this.#tell(returned, "gone")
    if (returned.length > 0) this.#options.emit({ type: "leases-swept", removed: returned.length })
  }

  /** Undefined where none runs, or the one that does is going or hangs: it takes over what is written into its file. */
  async #whileRunning<Result>(
    work: (network: RemoteNetwork) => Promise<Result>,
  ): Promise<Result | undefined> {
    try {
      return await this.#options.network.whileRunning(work)
    } catch (error) {
      if (!(error instanceof SidecarError) || !GONE.has(error.code)) throw error
      this.#options.log.info("leases without the network", { reason: error.message })
      return undefined
    }
  }

  #tell(leases: readonly LeaseRecord[], reason: Reason): void {
    const { log, emit } = this.#options
    for (const { address, mac, machine, hostName } of leases) {
      const fields = {
        address,
        reason,
        mac,
        ...(machine === undefined ? {} : { machine }),
        ...(hostName === undefined ? {} : { name: hostName }),
      }
      log.info("lease given back", fields)
      emit({ type: "lease-released", ...fields })
    }
  }
}

/** The lock's deadline ends every wait. */
const never = new AbortController().signal

/** What a network answers that is no more, or is not well. */
const GONE: ReadonlySet<string> = new Set(["crashed", "not-running", "timeout", "unreachable"])

async function keepRunning(network: RemoteNetwork, machine: string): Promise<string | undefined> {
  const reserved = (await network.reservations()).find((kept) => kept.machine === machine)
  if (reserved !== undefined) return reserved.address
  const own = (await network.leases()).filter((lease) => lease.machine === machine)
  const [newest] = own.toSorted((one, other) => other.renewed - one.renewed)
  if (newest === undefined) return undefined
  await network.reserve({ machine, address: newest.address })
  return newest.address
}

async function sweepRunning(
  network: RemoteNetwork,
  isGone: (machine: string) => boolean,
): Promise<readonly LeaseRecord[]> {
  const links = new Set((await network.links()).map(({ name }) => name))
  const machines = new Set((await network.leases()).flatMap(({ machine }) => machine ?? []))
  const returned: LeaseRecord[] = []
  for (const machine of machines) {
    if (!links.has(machine) && isGone(machine)) returned.push(...(await giveBackOf(network, machine)))
  }
  return returned
}

/** One that came back meanwhile keeps what it has. */
async function giveBackOf(network: RemoteNetwork, machine: string): Promise<readonly LeaseRecord[]> {
  try {
    return await network.giveBack(machine)
  } catch (error) {
    if (error instanceof SidecarError && error.code === "busy") return []
    throw error
  }
}
