/**
 * Skep's own network, which all machines of a user share: this machine's place on it.
 *
 * @module
 */
import { type NetworkRunning, SidecarError } from "@skep/contract"
import type { LauncherOptions } from "@skep/launcher"
import type { PolicyMode } from "@skep/network/client"
import { privateDirectory } from "@skep/runtime"
import type { Policy } from "../../../machine/schema.ts"
import type { Membership } from "../../network/home-network.ts"
import type { VmContext } from "../context.ts"
import { sshForward } from "./forward.ts"
import type { MachineNetwork } from "./network.ts"

const MODES: Readonly<Record<Policy, PolicyMode>> = {
  open: "open",
  loopback: "loopback",
  restricted: "nothing",
}

export class SkepNetwork implements MachineNetwork {
  readonly provider = "skep"
  readonly answersOthers = true
  readonly #context: VmContext
  readonly #membership: Promise<Membership>
  #deaf: () => void = () => undefined

  /** Begins to join at once: QEMU waits for the other end of its NIC. */
  constructor(context: VmContext) {
    this.#context = context
    this.#membership = this.#join()
    this.#membership.catch(() => undefined) // whoever is `ready` gets the reason
  }

  async ready(): Promise<void> {
    await this.#membership
  }

  describe(): LauncherOptions["network"] {
    const { record, paths } = this.#context
    return { kind: "vhost-user", mac: record.mac, socket: paths.netSocket, provider: this.provider }
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

  async #join(): Promise<Membership> {
    const { network, paths, record } = this.#context
    await privateDirectory(paths.run)
    return await network.join({
      name: record.name,
      mac: record.mac,
      socket: paths.netSocket,
      policy: MODES[record.networkPolicy],
      forwards: [sshForward(record)],
    })
  }
}
