/**
 * Skep's own network, which all machines of a user share: this machine's place on it.
 *
 * By vhost-user, where the network can do that: it needs system calls that Node has not. Else over QEMU's stream, whose other end the launcher
 * keeps joined.
 *
 * @module
 */
import { type NetworkRunning, SidecarError } from "@skep/contract"
import type { LauncherOptions } from "@skep/launcher"
import type { PolicyMode } from "@skep/network/client"
import { privateDirectory } from "@skep/runtime"
import type { NetworkLink, Policy } from "../../../machine/schema.ts"
import type { Membership } from "../../network/home-network.ts"
import type { VmContext } from "../context.ts"
import { servicesOf } from "../shares/over.ts"
import { sshForward } from "./forward.ts"
import type { MachineNetwork } from "./network.ts"

const MODES: Readonly<Record<Policy, PolicyMode>> = {
  open: "open",
  loopback: "loopback",
  restricted: "nothing",
}

/** What it needs to know of the machine. */
type Joining = Pick<VmContext, "network" | "paths" | "record" | "log">

/** What goes over a socket goes in large packets: there is no offload that would cut them. */
const STREAM_MTU = 65_520

export class SkepNetwork implements MachineNetwork {
  readonly provider = "skep"
  readonly answersOthers = true
  readonly #context: Joining
  readonly #membership: Promise<Membership>
  #link: NetworkLink
  #deaf: () => void = () => undefined

  /** Begins to join at once: QEMU waits for the other end of its NIC. `link`: the best one to be had, unless told. */
  constructor(context: Joining, link?: NetworkLink) {
    this.#context = context
    this.#link = link ?? "vhost-user"
    this.#membership = link === undefined ? this.#joinAnyhow() : this.#join()
    this.#membership.catch(() => undefined) // whoever is `ready` gets the reason
  }

  async ready(): Promise<void> {
    await this.#membership
  }

  async hostAddress(): Promise<string> {
    return await (await this.#membership).hostAddress()
  }

  /** Of the link that it has when it is ready. */
  describe(): LauncherOptions["network"] {
    const { record, paths } = this.#context
    const served = { mac: record.mac, socket: paths.netSocket, provider: this.provider }
    return this.#link === "stream"
      ? { kind: "stream", mtu: STREAM_MTU, ...served }
      : { kind: "vhost-user", ...served }
  }

  async attach(_signal: AbortSignal, onRenewed: () => void): Promise<NetworkRunning> {
    const membership = await this.#membership
    const { network } = membership
    this.#deaf()
    this.#deaf = membership.onRestored(onRenewed)
    return {
      endpoints: [this.#context.paths.netSocket],
      closed: new Promise(() => undefined), // it is the machine's, and the launcher says how that ended
      status: () => network.status(),
      forward: (rule) => network.forward(rule),
      [Symbol.asyncDispose]: async () => {
        this.#deaf()
      },
    }
  }

  async release(): Promise<void> {
    this.#deaf()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#deaf()
    try {
      await (await this.#membership).leave()
    } catch (error) {
      if (!(error instanceof SidecarError)) throw error // it never was on it
    }
  }

  async #joinAnyhow(): Promise<Membership> {
    try {
      return await this.#join()
    } catch (error) {
      if (!(error instanceof SidecarError) || error.code !== "unsupported") throw error
      const { log, record } = this.#context
      log.info("network over QEMU's stream", { machine: record.name, why: error.message })
      this.#link = "stream"
      return await this.#join()
    }
  }

  async #join(): Promise<Membership> {
    const { network, paths, record } = this.#context
    await privateDirectory(paths.run)
    const services = servicesOf(record, paths)
    return await network.join({
      name: record.name,
      mac: record.mac,
      socket: paths.netSocket,
      link: this.#link === "stream" ? { kind: "qemu", mtu: STREAM_MTU } : { kind: "vhost-user" },
      ...(services.length === 0 ? {} : { services }),
      policy: MODES[record.networkPolicy],
      forwards: [sshForward(record)],
    })
  }
}
