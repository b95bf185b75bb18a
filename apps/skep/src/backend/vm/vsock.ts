/**
 * The vsock of a machine: the sidecar that is its device, found or started, and started again when it is gone; and what the guest reaches
 * of the host through it.
 *
 * @module
 */
import { closeSync, openSync } from "node:fs"
import { SidecarError } from "@skep/contract"
import { privateDirectory, Supervisor } from "@skep/runtime"
import { adoptVsock, controlSocketOf, type RemoteVsock, vsockProcess } from "@skep/vsock/client"
import { connectPath } from "@skep/vsock/dialect"
import type { MachinePaths } from "../../home/paths.ts"
import { vsockSecretOf } from "../../machine/keys.ts"
import type { Report } from "../operation.ts"
import { reasonOf } from "../problem.ts"
import type { VmContext } from "./context.ts"
import { serveGuest } from "./host-services.ts"

/** It serves one machine: without that for so long, nobody is left who would want it. */
const LONELY_MS = 60_000
/** One that was killed refuses at once; one that takes longer is busy, and so is its host. */
const ALIVE_MS = 5000
const ADOPT_MS = 5000

/** Disposing it ends the sidecar: the machine is over. */
export class MachineVsock implements AsyncDisposable {
  /** Where the host reaches the guest. */
  readonly connect: string
  readonly #context: VmContext
  readonly #sidecar: Supervisor<RemoteVsock>
  readonly #services: Promise<AsyncDisposable | undefined>
  /** Whether the keeper was lost: then nothing answers before the guest's driver has started the device anew. */
  lost = false
  #over = false

  /** Begins at once; `ready` says how that went. */
  constructor(context: VmContext) {
    const { paths, log, emit } = context
    this.connect = connectPath(paths.vsockDirectory)
    this.#context = context
    this.#services = this.#serve()
    this.#sidecar = new Supervisor({
      name: "vsock",
      log,
      open: async (signal) => (await found(context, signal)) ?? (await started(context, signal)),
      onDown: (reason) => emit({ type: "sidecar-lost", sidecar: "vsock", reason: reasonOf(reason) }),
      onUp: ({ identity }) => emit({ type: "sidecar-up", sidecar: "vsock", pid: identity.pid }),
    })
  }

  /** Waits for the sidecar. Where there can be none, it says so and resolves to undefined: the machine goes without. */
  async ready(report: Report): Promise<MachineVsock | undefined> {
    try {
      await this.#sidecar.ready
      return this
    } catch (error) {
      // One that was ended from here says nothing of the machine: its start was interrupted.
      if (this.#over || !(error instanceof SidecarError)) throw error
      await this[Symbol.asyncDispose]()
      report({ type: "note", text: `this machine gets no vsock, so Docker goes over SSH: ${error.message}` })
      return undefined
    }
  }

  /** Whether the sidecar runs and has the guest. Never rejects. */
  async bridgesGuest(): Promise<boolean> {
    const { running } = this.#sidecar
    if (running === undefined) return false
    const late = new Promise<false>((resolve) => setTimeout(() => resolve(false), ALIVE_MS).unref())
    const asked = running.status().then(
      ({ connected }) => connected,
      () => false,
    )
    return await Promise.race([asked, late])
  }

  /** Lets go of it: the sidecar stays with the machine. */
  async release(): Promise<void> {
    this.#sidecar.release()
    await this.#endServices()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#over = true
    await this.#endServices()
    await this.#sidecar[Symbol.asyncDispose]()
  }

  async #serve(): Promise<AsyncDisposable | undefined> {
    const { paths, home, log, keys, sharesSshAgent } = this.#context
    try {
      await privateDirectory(paths.run)
      const secret = vsockSecretOf(await keys())
      const sshAgent = { isShared: sharesSshAgent, path: home.sshAgent, secret }
      return await serveGuest({ paths, sshAgent, log })
    } catch (error) {
      log.info("cannot serve the guest", { reason: String(error) })
      return undefined
    }
  }

  async #endServices(): Promise<void> {
    await (await this.#services)?.[Symbol.asyncDispose]()
  }
}

/** Ends the sidecar that a machine left which nobody could adopt. */
export async function endVsock(paths: MachinePaths): Promise<void> {
  try {
    const control = controlSocketOf({ socket: paths.vsockSocket })
    const stray = await adoptVsock({ control, signal: AbortSignal.timeout(ADOPT_MS) })
    await stray[Symbol.asyncDispose]()
  } catch (error) {
    if (!(error instanceof SidecarError)) throw error // there is none, or it ends by itself now that its machine is gone
  }
}

function optionsOf({ paths, record }: VmContext): Readonly<Record<string, unknown>> {
  return {
    guestCid: record.guestCid,
    socket: paths.vsockSocket,
    directory: paths.vsockDirectory,
    lonelyMs: LONELY_MS,
  }
}

async function found({ paths, emit }: VmContext, signal: AbortSignal): Promise<RemoteVsock | undefined> {
  try {
    return await adoptVsock({ control: controlSocketOf({ socket: paths.vsockSocket }), signal, emit })
  } catch (error) {
    signal.throwIfAborted()
    if (error instanceof SidecarError && error.code === "unreachable") return undefined
    throw error
  }
}

async function started(context: VmContext, signal: AbortSignal): Promise<RemoteVsock> {
  const { paths, log, emit, programs } = context
  await privateDirectory(paths.run)
  const stderr = openSync(paths.vsockLog, "a", 0o600)
  try {
    const sidecar = vsockProcess({ file: process.execPath, args: programs.vsock, stderr })
    return await sidecar.start(sidecar.parseOptions(optionsOf(context)), { signal, log, emit })
  } finally {
    closeSync(stderr)
  }
}
