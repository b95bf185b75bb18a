/**
 * passt as a machine's network: its sidecar, found or started, and started again when it is gone; QEMU joins the new one by itself.
 *
 * @module
 */
import { closeSync, openSync } from "node:fs"
import { adoptPasst, controlSocketOf, passtProcess, type RemotePasst } from "@skep/adapters/passt/client"
import { type NetworkRunning, SidecarError } from "@skep/contract"
import type { LauncherOptions } from "@skep/launcher"
import { privateDirectory, Supervisor } from "@skep/runtime"
import type { MachinePaths } from "../../../home/paths.ts"
import type { VmContext } from "../context.ts"
import { sshForward } from "./forward.ts"
import type { MachineNetwork } from "./network.ts"

/** It serves one machine: without that for so long, nobody is left who would want it. */
const LONELY_MS = 60_000
const ADOPT_MS = 5000
/** What passt takes itself, and Linux's virtio driver with it. */
const MTU = 65_520

export class PasstNetwork implements MachineNetwork {
  readonly provider = "passt"
  readonly answersOthers = true
  readonly #context: VmContext
  readonly #sidecar: Supervisor<RemotePasst>
  #onRenewed: () => void = () => undefined

  constructor(context: VmContext) {
    const { log, emit } = context
    this.#context = context
    this.#sidecar = new Supervisor({
      name: "passt",
      log,
      open: async (signal) => (await found(context, signal)) ?? (await started(context, signal)),
      onDown: () => emit({ type: "sidecar-lost", sidecar: "passt" }),
      onUp: ({ identity }) => {
        emit({ type: "sidecar-up", sidecar: "passt", pid: identity.pid })
        this.#onRenewed()
      },
    })
  }

  async ready(): Promise<void> {
    await this.#sidecar.ready
  }

  describe(): LauncherOptions["network"] {
    const { record, paths } = this.#context
    return { kind: "stream", mac: record.mac, socket: paths.netSocket, mtu: MTU, provider: this.provider }
  }

  async attach(_signal: AbortSignal, onRenewed: () => void): Promise<NetworkRunning> {
    await this.#sidecar.ready
    this.#onRenewed = onRenewed
    const now = (): RemotePasst => {
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
}

/** Ends the sidecar that a machine left which nobody could adopt. */
export async function endPasst(paths: MachinePaths): Promise<void> {
  try {
    const control = controlSocketOf({ socket: paths.netSocket })
    const stray = await adoptPasst({ control, signal: AbortSignal.timeout(ADOPT_MS) })
    await stray[Symbol.asyncDispose]()
  } catch (error) {
    if (!(error instanceof SidecarError)) throw error // there is none, or it ends by itself now that its machine is gone
  }
}

async function found({ paths, emit }: VmContext, signal: AbortSignal): Promise<RemotePasst | undefined> {
  try {
    return await adoptPasst({ control: controlSocketOf({ socket: paths.netSocket }), signal, emit })
  } catch (error) {
    signal.throwIfAborted()
    if (error instanceof SidecarError && error.code === "unreachable") return undefined
    throw error
  }
}

async function started(context: VmContext, signal: AbortSignal): Promise<RemotePasst> {
  const { paths, record, log, emit, programs } = context
  await privateDirectory(paths.run)
  const stderr = openSync(paths.networkLog, "a", 0o600)
  try {
    const sidecar = passtProcess({ file: process.execPath, args: programs.passt, stderr })
    const options = sidecar.parseOptions({
      socket: paths.netSocket,
      mac: record.mac,
      policy: record.networkPolicy === "loopback" ? "loopback" : "open",
      forwards: [sshForward(record)],
      lonelyMs: LONELY_MS,
    })
    return await sidecar.start(options, { signal, log, emit })
  } finally {
    closeSync(stderr)
  }
}
