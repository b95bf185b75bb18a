/**
 * The network that the machines of one user share: one sidecar, found or started, started again when it is gone, with every machine's link and
 * what leads to it put back.
 *
 * @module
 */
import { closeSync, existsSync, openSync } from "node:fs"
import { type ForwardRule, type Log, SidecarError, type SidecarEvent } from "@skep/contract"
import {
  adoptNetwork,
  controlSocketOf,
  type GatewayService,
  type LinkSpec,
  type MachineNetwork,
  machineNetwork,
  networkProcess,
  type PolicyMode,
  parseNetworkOptions,
  type RemoteNetwork,
} from "@skep/network/client"
import { privateDirectory, Supervisor, sleep } from "@skep/runtime"
import type { Home } from "../../home/paths.ts"
import { reasonOf } from "../problem.ts"

/** Without a machine for so long nobody is left who would want it: the backend ends it before, unless it was killed. */
const LONELY_MS = 120_000
/** Who owns the forwards that Docker asked for, and the machine's own. */
const DOCKER = "docker"
const OWN = "skep"

/** What a sidecar answers that hangs, or has gone; the next one is on its way. */
const LOST: ReadonlySet<string> = new Set(["timeout", "crashed", "not-running", "unreachable"])
/** Two that may time out before the one that hangs is ended, and the next one. */
const ATTEMPTS = 4
const RETRY_MS = 100

/** A machine on the network. */
export interface Member {
  readonly name: string
  readonly mac: string
  /** Where the machine's NIC is served. */
  readonly socket: string
  /** How. */
  readonly link: { readonly kind: "vhost-user" | "qemu"; readonly mtu?: number }
  /** What the gateway leads this machine to, and no other. */
  readonly services?: readonly GatewayService[]
  readonly policy: PolicyMode
  /** Kept in place as long as the machine is: the way to its sshd. */
  readonly forwards: readonly ForwardRule[]
}

export interface Membership {
  /** What the machine's ports see of the network. */
  readonly network: MachineNetwork
  /** Where machines find their host. */
  hostAddress(): Promise<string>
  /** Hears when the network was lost and is there again, without the forwards that it had. Returns its undoing. */
  onRestored(listener: () => void): () => void
  /** Takes the machine off the network: it is over. */
  leave(): Promise<void>
}

export interface HomeNetworkOptions {
  readonly home: Home
  readonly log: Log
  readonly emit: (event: SidecarEvent) => void
  /** Node's arguments that run the sidecar's program. */
  readonly program: readonly string[]
}

export class HomeNetwork {
  readonly #options: HomeNetworkOptions
  readonly #members = new Map<string, Member>()
  readonly #listeners = new Map<string, Set<() => void>>()
  /** Who asks it something without a machine on it. */
  #visitors = 0
  #sidecar: Supervisor<RemoteNetwork> | undefined
  #ending: Promise<void> = Promise.resolve()

  constructor(options: HomeNetworkOptions) {
    this.#options = options
  }

  /** The process that serves it now. */
  get running(): RemoteNetwork | undefined {
    return this.#sidecar?.running
  }

  /** Puts a machine on the network, with what leads to it. Resolves when its NIC is served. */
  async join(member: Member): Promise<Membership> {
    await this.#ending
    this.#members.set(member.name, member)
    const sidecar = this.#supervise()
    try {
      await placeWithin(sidecar, member)
    } catch (error) {
      await this.#leave(member)
      throw error
    }
    const running = (): RemoteNetwork => {
      const there = this.#sidecar?.running
      if (there !== undefined) return there
      throw new SidecarError("not-running", "The network is being started again", { next: "Try again" })
    }
    return {
      network: {
        forward: (rule) => machineNetwork(running(), member.name, DOCKER).forward(rule),
        status: () => machineNetwork(running(), member.name, DOCKER).status(),
      },
      hostAddress: async () => (await (await sidecar.ready).status()).plan.host,
      onRestored: (listener) => {
        const listeners = this.#listeners.get(member.name) ?? new Set()
        this.#listeners.set(member.name, listeners.add(listener))
        return () => void listeners.delete(listener)
      },
      leave: () => this.#leave(member),
    }
  }

  /** Takes a machine off the network that may be on it though nobody here has put it there. */
  async expel(name: string): Promise<void> {
    const member = this.#members.get(name)
    if (member === undefined) await this.#remove(name)
    else await this.#leave(member)
  }

  /** With the process that serves it now, also one that nobody here has a machine on; undefined where there is none. */
  async whileRunning<Result>(work: (network: RemoteNetwork) => Promise<Result>): Promise<Result | undefined> {
    await this.#ending
    if (this.#sidecar?.running !== undefined) return await work(this.#sidecar.running)
    const found = await this.#found(neverAborts)
    if (found === undefined) return undefined
    try {
      return await work(found)
    } finally {
      found.release()
    }
  }

  /** With the process that serves it, which is started for this if there is none, and ended after it if nobody has joined. */
  async withNetwork<Result>(work: (network: RemoteNetwork) => Promise<Result>): Promise<Result> {
    await this.#ending
    const sidecar = this.#supervise()
    this.#visitors++
    try {
      return await work(await sidecar.ready)
    } finally {
      this.#visitors--
      await this.#endLonely()
    }
  }

  /** Lets go of it: the network stays with the machines. */
  async release(): Promise<void> {
    await this.#ending
    this.#sidecar?.release()
    this.#sidecar = undefined
  }

  async #leave(member: Member): Promise<void> {
    if (this.#members.get(member.name) !== member) return
    this.#members.delete(member.name)
    this.#listeners.delete(member.name)
    if (await this.#endLonely()) return
    await this.#remove(member.name)
  }

  /** Ends the network if nobody has a use for it. */
  async #endLonely(): Promise<boolean> {
    const sidecar = this.#sidecar
    if (this.#members.size > 0 || this.#visitors > 0 || sidecar === undefined) return false
    this.#sidecar = undefined
    this.#ending = sidecar[Symbol.asyncDispose]()
    await this.#ending
    return true
  }

  async #remove(name: string): Promise<void> {
    try {
      await this.#sidecar?.running?.removeLink(name)
    } catch (error) {
      if (!(error instanceof SidecarError)) throw error // it has gone by itself, or never was
    }
  }

  #supervise(): Supervisor<RemoteNetwork> {
    const { log, emit } = this.#options
    this.#sidecar ??= new Supervisor({
      name: "network",
      log,
      open: async (signal) => await this.#open(signal),
      onDown: (reason) => emit({ type: "sidecar-lost", sidecar: "network", reason: reasonOf(reason) }),
      onUp: ({ identity }) => {
        emit({ type: "sidecar-up", sidecar: "network", pid: identity.pid })
        for (const listeners of this.#listeners.values()) for (const listener of listeners) listener()
      },
    })
    return this.#sidecar
  }

  async #open(signal: AbortSignal): Promise<RemoteNetwork> {
    const running = (await this.#found(signal)) ?? (await this.#started(signal))
    for (const member of this.#members.values()) {
      await place(running, member).catch((error: unknown) => {
        this.#options.log.info("cannot put a machine on the network", {
          machine: member.name,
          reason: String(error),
        })
      })
    }
    return running
  }

  async #found(signal: AbortSignal): Promise<RemoteNetwork | undefined> {
    const { home, emit } = this.#options
    try {
      const control = controlSocketOf(parseNetworkOptions(optionsOf(home, [])))
      return await adoptNetwork({ control, signal, emit })
    } catch (error) {
      signal.throwIfAborted()
      if (error instanceof SidecarError && error.code === "unreachable") return undefined
      throw error
    }
  }

  async #started(signal: AbortSignal): Promise<RemoteNetwork> {
    const { home, log, emit, program } = this.#options
    await privateDirectory(home.networkDirectory)
    await privateDirectory(home.network)
    const stderr = openSync(home.networkLog, "a", 0o600)
    try {
      const sidecar = networkProcess({ file: process.execPath, args: program, stderr })
      // With its links from the start, so that machines whose network was killed have it back at once.
      const links = [...this.#members.values()].map(linkOf)
      return await sidecar.start(sidecar.parseOptions(optionsOf(home, links)), { signal, log, emit })
    } finally {
      closeSync(stderr)
    }
  }
}

function optionsOf(home: Home, links: readonly LinkSpec[]): Readonly<Record<string, unknown>> {
  return {
    directory: home.networkDirectory,
    identity: home.home,
    // A block that the host has no route to: one that is in use elsewhere must not keep machines from starting.
    subnet: "auto",
    leaseFile: home.networkLeases,
    links,
    // What a machine may reach is said of each; before that is said, nothing.
    policy: "nothing",
    lonelyMs: LONELY_MS,
  }
}

function linkOf({ name, mac, socket, link, services }: Member): LinkSpec {
  return { ...link, machine: name, mac, socket, ...(services === undefined ? {} : { services }) }
}

/** A sidecar that hangs is followed by another one: the machine waits for that. */
async function placeWithin(sidecar: Supervisor<RemoteNetwork>, member: Member): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    const network = await sidecar.ready
    try {
      return await place(network, member)
    } catch (error) {
      const isLost = error instanceof SidecarError && LOST.has(error.code)
      if (!isLost || attempt === ATTEMPTS) throw error
      await sleep(RETRY_MS, neverAborts)
    }
  }
}

/** Puts the machine's link, policy and own forwards in place, where they are not. */
async function place(network: RemoteNetwork, member: Member): Promise<void> {
  const there = (await network.links()).find(({ name }) => name === member.name)
  // A machine that was removed while nobody looked has taken the socket with it.
  const stands =
    there?.endpoint === member.socket && there.kind === member.link.kind && existsSync(member.socket)
  if (there !== undefined && !stands) await network.removeLink(member.name)
  if (!stands) await network.addLink(linkOf(member))
  await network.setPolicy({ mode: member.policy, closedPorts: [] }, member.name)
  for (const rule of member.forwards) await network.forward({ ...rule, machine: member.name, owner: OWN })
}

const neverAborts = new AbortController().signal
