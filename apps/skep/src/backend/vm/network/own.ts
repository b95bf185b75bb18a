/**
 * Another program as a machine's network: its sidecar, found or started, and started again when it is gone; QEMU joins the new one by itself.
 *
 * @module
 */
import { closeSync, openSync } from "node:fs"
import { controlSocketOf } from "@skep/adapters/passt/client"
import {
  type Context,
  type Instance,
  type NetworkRunning,
  SidecarError,
  type SidecarEvent,
} from "@skep/contract"
import type { LauncherOptions } from "@skep/launcher"
import { adopt, parseNetworkStatus, privateDirectory, Supervisor } from "@skep/runtime"
import type { MachinePaths } from "../../../home/paths.ts"
import { reasonOf } from "../../problem.ts"
import type { VmContext } from "../context.ts"
import type { MachineNetwork } from "./network.ts"

const ADOPT_MS = 5000
/** It serves one machine: without that for so long, nobody is left who would want it. */
export const LONELY_MS = 60_000

/** A sidecar in a process of its own. */
export interface OwnSidecar extends NetworkRunning {
  readonly identity: Instance
  release(): void
}

/** Which program it is. */
export interface OwnProgram {
  readonly provider: "passt" | "gvproxy"
  /** What it takes itself, and Linux's virtio driver with it. */
  readonly mtu: number
  /** Where guests find their host. */
  readonly hostAddress: string
  /** Of the guest, where the program knows it by one; the machine's own unless told. */
  readonly mac?: string
  readonly adopt: (options: {
    readonly control: string
    readonly signal: AbortSignal
    readonly emit: (event: SidecarEvent) => void
  }) => Promise<OwnSidecar>
  /** Starts its sidecar, with the forward that every machine has. `stderr`: where that logs. */
  readonly start: (machine: VmContext, stderr: number, context: Context) => Promise<OwnSidecar>
}

export class OwnNetwork implements MachineNetwork {
  readonly provider: OwnProgram["provider"]
  readonly answersOthers = true
  readonly #context: VmContext
  readonly #program: OwnProgram
  readonly #sidecar: Supervisor<OwnSidecar>
  #onRenewed: () => void = () => undefined

  constructor(context: VmContext, program: OwnProgram) {
    const { log, emit } = context
    const { provider } = program
    this.provider = provider
    this.#context = context
    this.#program = program
    this.#sidecar = new Supervisor({
      name: provider,
      log,
      open: async (signal) => (await this.#found(signal)) ?? (await this.#started(signal)),
      onDown: (reason) => emit({ type: "sidecar-lost", sidecar: provider, reason: reasonOf(reason) }),
      onUp: ({ identity }) => {
        emit({ type: "sidecar-up", sidecar: provider, pid: identity.pid })
        this.#onRenewed()
      },
    })
  }

  async ready(): Promise<void> {
    await this.#sidecar.ready
  }

  async hostAddress(): Promise<string> {
    return this.#program.hostAddress
  }

  describe(): LauncherOptions["network"] {
    const { record, paths } = this.#context
    const { mac = record.mac, mtu } = this.#program
    return { kind: "stream", mac, socket: paths.netSocket, mtu, provider: this.provider }
  }

  async attach(_signal: AbortSignal, onRenewed: () => void): Promise<NetworkRunning> {
    await this.#sidecar.ready
    this.#onRenewed = onRenewed
    const now = (): OwnSidecar => {
      const { running } = this.#sidecar
      if (running !== undefined) return running
      throw new SidecarError("not-running", "The machine's network is being started again")
    }
    return {
      endpoints: [this.#context.paths.netSocket],
      closed: new Promise(() => undefined), // it is the machine's, and the launcher says how that ended
      status: async () => await now().status(),
      forward: async (rule) => await now().forward(rule),
      [Symbol.asyncDispose]: async () => {
        this.#onRenewed = () => undefined
      },
    }
  }

  async release(): Promise<void> {
    this.#onRenewed = () => undefined
    this.#sidecar.release()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#onRenewed = () => undefined
    await this.#sidecar[Symbol.asyncDispose]()
  }

  async #found(signal: AbortSignal): Promise<OwnSidecar | undefined> {
    const { paths, emit } = this.#context
    try {
      return await this.#program.adopt({ control: controlSocket(paths), signal, emit })
    } catch (error) {
      signal.throwIfAborted()
      if (error instanceof SidecarError && error.code === "unreachable") return undefined
      throw error
    }
  }

  async #started(signal: AbortSignal): Promise<OwnSidecar> {
    const { paths, log, emit } = this.#context
    await privateDirectory(paths.run)
    const stderr = openSync(paths.networkLog, "a", 0o600)
    try {
      return await this.#program.start(this.#context, stderr, { signal, log, emit })
    } finally {
      closeSync(stderr)
    }
  }
}

/** Ends the sidecar that a machine left which nobody could adopt, whichever it is. */
export async function endOwnNetwork(paths: MachinePaths): Promise<void> {
  try {
    const signal = AbortSignal.timeout(ADOPT_MS)
    const stray = await adopt({ control: controlSocket(paths), signal, parseStatus: parseNetworkStatus })
    await stray[Symbol.asyncDispose]()
  } catch (error) {
    if (!(error instanceof SidecarError)) throw error // there is none, or it ends by itself now that its machine is gone
  }
}

/** All adapters have it beside the socket of the network. */
function controlSocket({ netSocket }: MachinePaths): string {
  return controlSocketOf({ socket: netSocket })
}
