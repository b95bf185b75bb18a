/**
 * A virtual machine that runs: its launcher, and what the backend has attached to it.
 *
 * @module
 */
import type { Socket } from "node:net"
import {
  type DeviceStatus,
  type LauncherRunning,
  type LauncherStatus,
  type MachineState,
  SidecarError,
  type SidecarEvent,
} from "@skep/contract"
import { GUEST_PORTS } from "@skep/guest/agent"
import { hypervisorRuns, pullPlug } from "@skep/launcher"
import { withDeadline, withResolvers } from "@skep/runtime"
import type { Engine, EngineState } from "../../docker/engine.ts"
import type { Way } from "../../docker/ways.ts"
import { dialGuest } from "../../guest/dial.ts"
import type { Ports } from "../../ports/ports.ts"
import type { Report } from "../operation.ts"
import { withDetail } from "../phase.ts"
import { type Attachment, attach, sshAddressOf } from "./attach.ts"
import { consoleTail } from "./console-tail.ts"
import type { VmContext } from "./context.ts"
import { GuestAgent, type GuestView } from "./guest-agent.ts"
import type { GuestPhases } from "./guest-phases.ts"
import type { MachineNetwork } from "./network/network.ts"
import { endOwnNetwork } from "./network/own.ts"
import { rebindVsock } from "./rebind.ts"
import { restoreVsock } from "./restore-vsock.ts"
import { endShares } from "./shares/end.ts"
import type { MachineShares } from "./shares/machine-shares.ts"
import { endVsock, type MachineVsock } from "./vsock.ts"

const CONSOLE_LINES = 12
/** Whoever asks for the status waits for it. */
const STATUS_MS = 3000
const STATES: ReadonlySet<string> = new Set([
  "starting",
  "running",
  "paused",
  "stopping",
  "stopped",
  "crashed",
])

export interface VmParts {
  readonly context: VmContext
  readonly launcher: LauncherRunning
  readonly phases: GuestPhases
  /** The launcher's, as it was a moment ago. */
  readonly status: LauncherStatus
  /** Owned by the machine from now on. */
  readonly network: MachineNetwork
  /** The same. */
  readonly vsock: MachineVsock | undefined
  /** The same. */
  readonly shares: MachineShares | undefined
}

export class Vm {
  /** Fulfils when the virtual machine is gone: with the crash, or with undefined after a clean end. Never rejects. */
  readonly ended: Promise<SidecarError | undefined>
  /** What serves its shared directories; undefined where it has none in this run. */
  readonly shares: MachineShares | undefined
  readonly #context: VmContext
  readonly #launcher: LauncherRunning
  readonly #phases: GuestPhases
  readonly #network: MachineNetwork
  readonly #vsock: MachineVsock | undefined
  readonly #agent: GuestAgent | undefined
  #state: MachineState
  #pause: string | undefined
  #engine: Engine | undefined
  #engineCame = withResolvers<void>()
  #attachment: Attachment | undefined
  #failure: SidecarError | undefined
  #restoring: Promise<void> = Promise.resolve()
  #runsOn = false
  #crash: SidecarError | undefined
  /** Aborted with the reason when the virtual machine is gone. */
  readonly #gone = new AbortController()

  constructor({ context, launcher, phases, status, network, vsock, shares }: VmParts) {
    this.#context = context
    this.#launcher = launcher
    this.#phases = phases
    this.#network = network
    this.#vsock = vsock
    this.shares = shares
    this.#agent = vsock === undefined ? undefined : agentOf(context, phases, vsock)
    // A launcher that came later may have found a machine without its keeper. "unkept" is no loss yet: it may be about to find it.
    if (vsock !== undefined) vsock.lost = status.devices.some(isLost)
    this.#state = status.state
    this.#pause = status.state === "paused" ? status.reason : undefined
    this.#engineCame.promise.catch(() => undefined)
    this.ended = this.#end()
  }

  get state(): MachineState {
    return this.#state
  }

  /** How it ended, if that was not in order. */
  get crash(): SidecarError | undefined {
    return this.#crash
  }

  /** Whether its launcher is gone and it runs on: somebody else is about to own it. */
  get isLost(): boolean {
    return this.#runsOn
  }

  /** Why its Docker could not be reached, or undefined. */
  get failure(): SidecarError | undefined {
    return this.#failure
  }

  get ports(): Ports | undefined {
    return this.#attachment?.ports
  }

  /** Why it is paused, if not because somebody asked for it: a disk that cannot be written on the host. */
  get pausedBecause(): string | undefined {
    return this.#state === "paused" ? this.#pause : undefined
  }

  /** Takes the launcher's events. */
  onEvent(event: SidecarEvent): void {
    this.#phases.onEvent(event)
    if (event.type === "disk-failed") {
      this.#pause = `the disk ${String(event["disk"])} cannot be written: ${String(event["reason"])}`
    }
    if (event.type === "keeper-lost" && this.#vsock !== undefined) this.#vsock.lost = true
    const guestStartedIt = event.type === "phase" && event["name"] === "vsock"
    if (event.type === "keeper-restarted" || guestStartedIt) this.#restoreVsock()
    if (event.type === "state" && isState(event["state"])) {
      this.#state = event["state"]
      if (this.#state === "running") {
        this.#pause = undefined
        this.#agent?.setClock()
      }
    }
  }

  engineState(): EngineState {
    if (this.#engine !== undefined) return { state: "up", engine: this.#engine }
    if (this.#failure !== undefined) {
      const next = `Try again with: skep restart ${this.#context.record.name}`
      return { state: "down", reason: this.#failure.message, next }
    }
    return { state: "starting", ready: () => this.engineReady() }
  }

  /** Resolves when there is a way to the Docker engine. */
  async engineReady(): Promise<Engine> {
    await this.#engineCame.promise
    if (this.#engine === undefined) throw new SidecarError("not-running", "The machine is gone")
    return this.#engine
  }

  /** Whether the guest has its shares by a device that is lost until its next start. */
  async sharesLost(): Promise<boolean> {
    return (await this.status())?.devices.some(isLostShares) ?? false
  }

  /**
   * Waits for Linux and Docker in the guest and opens the published ports; where that was done before, only for Docker.
   * Rejects with the crash when the virtual machine ends meanwhile.
   */
  async attach(report: Report, signal: AbortSignal): Promise<void> {
    const limit = AbortSignal.any([signal, this.#gone.signal])
    if (this.#attachment !== undefined) {
      this.#restoreVsock()
      await this.#attachment.waitForDocker(report, limit)
      return
    }
    // The guest tells of its shares by it.
    this.#restoreVsock()
    try {
      this.#attachment = await attach({
        ...this.#context,
        network: this.#network,
        vsock: this.#vsock,
        shares: this.shares,
        sharesLost: () => this.sharesLost(),
        phases: this.#phases,
        report,
        signal: limit,
        onEngine: (engine) => {
          this.#engine = engine
          this.#engineCame.resolve()
        },
      })
      this.#failure = undefined
      this.#restoreVsock()
    } catch (error) {
      this.#engine = undefined
      // A start that was interrupted has not failed: the next one goes on where it was.
      if (!signal.aborted) this.#failure = SidecarError.of(error)
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
    const asked = withDeadline("ask the launcher", STATUS_MS, neverAborts, () => this.#launcher.status())
    return asked.catch((error: unknown) => {
      if (error instanceof SidecarError) return undefined // it is ending, or hangs and is about to be: `ended` will say how
      throw error
    })
  }

  /** What is known of its inside; undefined where nobody tells. Never rejects. */
  guest(): Promise<GuestView | undefined> {
    return this.#agent?.view() ?? Promise.resolve(undefined)
  }

  /** By which way Docker was reached last. */
  get way(): Way | undefined {
    return this.#attachment?.ways.way
  }

  /** Returns whether the guest powered itself off; otherwise it was killed. */
  async powerdown(deadlineMs: number): Promise<boolean> {
    this.#state = "stopping"
    try {
      // By its agent and by its power button, whichever it hears.
      void this.#agent?.poweroff(AbortSignal.timeout(deadlineMs))
      await this.#launcher.powerdown(deadlineMs)
    } catch (error) {
      if (!(error instanceof SidecarError)) throw error
      this.#context.log.info("not powered off", { reason: error.message })
      // Its agent may have heard where a launcher that hangs did not.
      const runs = await hypervisorRuns(this.#context.paths.run)
      await this.kill()
      return !runs
    }
    await this.ended
    return true
  }

  /** Ends it at once, through its launcher or, where that does not answer, without. */
  async kill(): Promise<void> {
    this.#state = "stopping"
    try {
      await this.#launcher.kill()
    } catch (error) {
      if (!(error instanceof SidecarError)) throw error
      await pullPlug(this.#context.paths.run)
      await this.#launcher[Symbol.asyncDispose]()
    }
    await this.ended
    // Let go of, as the machine seemed to run on without its launcher: no other launcher will come for it.
    if (!this.#runsOn) return
    await endShares(this.#context.paths)
    await endVsock(this.#context.paths)
    await endOwnNetwork(this.#context.paths)
    await this.#network[Symbol.asyncDispose]()
  }

  async resume(): Promise<void> {
    await this.#launcher.resume()
    this.#state = "running"
  }

  /** Lets go of it: the virtual machine, its sidecars and its forwards stay. */
  async release(): Promise<void> {
    if ("release" in this.#launcher && typeof this.#launcher.release === "function") this.#launcher.release()
    await this.#agent?.[Symbol.asyncDispose]()
    await this.#letGo()
  }

  async #letGo(): Promise<void> {
    this.shares?.release()
    await this.#vsock?.release()
    await this.#network.release()
  }

  /** Looks whether the vsock is lost with its keeper, and has the guest's driver start it anew. One at a time. */
  #restoreVsock(): void {
    this.#restoring = this.#restoring.then(() => this.#restore())
  }

  async #restore(): Promise<void> {
    const { log, emit, record, keys } = this.#context
    const vsock = this.#vsock
    if (vsock === undefined) return
    try {
      const status = await this.status()
      if (status === undefined) return
      const rebind = async (): Promise<void> =>
        await rebindVsock(sshAddressOf(record, await keys()), this.#gone.signal)
      if (
        !(await restoreVsock(vsock, {
          devices: status.devices.filter(({ name }) => name === "vsock"),
          rebind,
        }))
      )
        return
      log.info("vsock restored")
      emit({ type: "vsock-restored" })
    } catch (error) {
      // Docker goes over SSH, and the next keeper, start or boot of the guest tries again.
      log.info("cannot restore the vsock", { reason: String(error) })
    }
  }

  async #end(): Promise<SidecarError | undefined> {
    const crash = await this.#launcher.closed.then(
      () => undefined,
      (error: unknown) => SidecarError.of(error, "crashed"),
    )
    // Where only the launcher is gone, the machine goes on with its sidecars, and another launcher takes it over; unless it is to end.
    const lostOnly = crash !== undefined && this.#state !== "stopping"
    // Where nobody can tell, it is for the next launcher to find out.
    this.#runsOn = lostOnly && (await hypervisorRuns(this.#context.paths.run).catch(() => true))
    this.#state = crash === undefined ? "stopped" : this.#runsOn ? "starting" : "crashed"
    this.#engine = undefined
    this.#crash = this.#runsOn ? undefined : crash
    const reason =
      crash ?? new SidecarError("not-running", `The machine "${this.#context.record.name}" powered off`)
    this.#gone.abort(reason)
    this.#engineCame.reject(reason)
    await this.#attachment?.[Symbol.asyncDispose]().then(undefined, (error: unknown) => {
      this.#context.log.info("detached with an error", { reason: String(error) })
    })
    await this.#agent?.[Symbol.asyncDispose]()
    if (this.#runsOn) await this.#letGo()
    else {
      await this.shares?.[Symbol.asyncDispose]()
      await this.#vsock?.[Symbol.asyncDispose]()
      await this.#network[Symbol.asyncDispose]()
    }
    return crash
  }
}

function agentOf(context: VmContext, phases: GuestPhases, { connect }: MachineVsock): GuestAgent {
  const { log, emit } = context
  const dial = (signal: AbortSignal): Promise<Socket> =>
    dialGuest({ connect, port: GUEST_PORTS.agent }, signal)
  return new GuestAgent({ dial, phases, log, emit })
}

/** The NIC comes back by itself, as QEMU tells another keeper of it at once. */
function isLost({ name, state }: DeviceStatus): boolean {
  return name === "vsock" && state === "lost"
}

/** A guest cannot start a device anew that it has mounted. */
function isLostShares({ name, state }: DeviceStatus): boolean {
  return name === "shares" && state === "lost"
}

function isState(value: unknown): value is MachineState {
  return typeof value === "string" && STATES.has(value)
}

const neverAborts = new AbortController().signal
