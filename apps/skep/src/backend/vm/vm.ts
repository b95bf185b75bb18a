/**
 * A virtual machine that runs: its launcher, and what the backend has attached to it.
 *
 * @module
 */
import {
  type LauncherRunning,
  type LauncherStatus,
  type MachineState,
  SidecarError,
  type SidecarEvent,
} from "@skep/contract"
import { errnoOf, withResolvers } from "@skep/runtime"
import type { Engine, EngineState } from "../../docker/engine.ts"
import type { Ports } from "../../ports/ports.ts"
import type { Report } from "../operation.ts"
import { withDetail } from "../phase.ts"
import { type Attachment, attach } from "./attach.ts"
import { consoleTail } from "./console-tail.ts"
import type { VmContext } from "./context.ts"
import type { GuestPhases } from "./guest-phases.ts"

const CONSOLE_LINES = 12
const STATES: ReadonlySet<string> = new Set([
  "starting",
  "running",
  "paused",
  "stopping",
  "stopped",
  "crashed",
])

export class Vm {
  /** Settles when the virtual machine is gone: with the crash, or with undefined after a clean end. Never rejects. */
  readonly ended: Promise<SidecarError | undefined>
  readonly #context: VmContext
  readonly #launcher: LauncherRunning
  readonly #phases: GuestPhases
  #state: MachineState = "running"
  #engine: (() => EngineState) | undefined
  #engineCame = withResolvers<void>()
  #attachment: Attachment | undefined
  #failure: SidecarError | undefined

  constructor(context: VmContext, launcher: LauncherRunning, phases: GuestPhases, state: MachineState) {
    this.#context = context
    this.#launcher = launcher
    this.#phases = phases
    this.#state = state
    this.#engineCame.promise.catch(() => undefined)
    this.ended = this.#end()
  }

  get state(): MachineState {
    return this.#state
  }

  /** Whether Docker answered and the ports are in place. */
  get attached(): boolean {
    return this.#attachment !== undefined && this.#state === "running"
  }

  get ports(): Ports | undefined {
    return this.#attachment?.ports
  }

  /** Takes the launcher's events. */
  onEvent(event: SidecarEvent): void {
    this.#phases.onEvent(event)
    if (event.type === "state" && isState(event["state"])) this.#state = event["state"]
  }

  engineState(): EngineState {
    if (this.#engine !== undefined) return this.#engine()
    if (this.#failure !== undefined) {
      const next = `Try again with: skep restart ${this.#context.record.name}`
      return { state: "down", reason: this.#failure.message, next }
    }
    return { state: "starting", ready: this.engineReady() }
  }

  /** Resolves when there is a way to the Docker engine. */
  async engineReady(): Promise<Engine> {
    await this.#engineCame.promise
    const state = this.#engine?.()
    if (state === undefined || state.state === "down")
      throw new SidecarError("not-running", "The machine is gone")
    return state.state === "up" ? state.engine : await state.ready
  }

  /** Waits for Linux and Docker in the guest and opens the published ports. Does nothing when that was done before. */
  async attach(report: Report, signal: AbortSignal): Promise<void> {
    if (this.#attachment !== undefined) return
    try {
      this.#attachment = await attach({
        ...this.#context,
        launcher: this.#launcher,
        phases: this.#phases,
        report,
        signal,
        onEngine: (state) => {
          this.#engine = state
          this.#engineCame.resolve()
        },
      })
      this.#failure = undefined
    } catch (error) {
      this.#engine = undefined
      this.#failure =
        error instanceof SidecarError ? error : new SidecarError("internal", String(error), { cause: error })
      throw error
    }
  }

  /** The same error with the last lines of the console and what to do. */
  async explain(error: unknown): Promise<unknown> {
    const { name } = this.#context.record
    const lines = await consoleTail(this.#context.paths.consoleLog, CONSOLE_LINES)
    return withDetail(error, lines, `See skep logs ${name}, or look inside with skep console ${name}`)
  }

  status(): Promise<LauncherStatus | undefined> {
    return this.#launcher.status().catch((error: unknown) => {
      if (error instanceof SidecarError) return undefined // it is ending: `ended` will say how
      throw error
    })
  }

  /** Returns whether the guest powered itself off; otherwise it was killed. */
  async powerdown(deadlineMs: number): Promise<boolean> {
    const attachment = this.#attachment
    this.#state = "stopping"
    try {
      await this.#launcher.powerdown(deadlineMs)
      return true
    } catch (error) {
      if (!(error instanceof SidecarError)) throw error
      await this.#launcher.kill()
      return false
    } finally {
      await this.ended
      await attachment?.[Symbol.asyncDispose]()
    }
  }

  async kill(): Promise<void> {
    this.#state = "stopping"
    await this.#launcher.kill().catch((error: unknown) => {
      if (!(error instanceof SidecarError) || error.code !== "not-running") throw error
    })
    await this.ended
  }

  async resume(): Promise<void> {
    await this.#launcher.resume()
    this.#state = "running"
  }

  /** Lets go of it: the virtual machine and its forwards stay. */
  release(): void {
    if ("release" in this.#launcher && typeof this.#launcher.release === "function") this.#launcher.release()
  }

  async #end(): Promise<SidecarError | undefined> {
    let crash: SidecarError | undefined
    try {
      await this.#launcher.closed
      this.#state = "stopped"
    } catch (error) {
      crash =
        error instanceof SidecarError ? error : new SidecarError("crashed", String(error), { cause: error })
      this.#state = "crashed"
    }
    this.#engine = undefined
    this.#engineCame.reject(crash ?? new SidecarError("not-running", "The machine powered off"))
    await this.#attachment?.[Symbol.asyncDispose]().then(undefined, (error: unknown) => {
      if (errnoOf(error) === undefined && !(error instanceof SidecarError)) throw error
    })
    return crash
  }
}

function isState(value: unknown): value is MachineState {
  return typeof value === "string" && STATES.has(value)
}
