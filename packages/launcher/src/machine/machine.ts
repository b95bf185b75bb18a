/**
 * One machine under QEMU, from its process to its end.
 *
 * It is told of three things: the process ends, the monitor says something, the console prints a line. All it knows comes
 * from them, so an idle machine costs nothing.
 *
 * @module
 */
import { rm } from "node:fs/promises"
import type {
  Accelerator,
  Counters,
  GuestPhase,
  LauncherStatus,
  MachineState,
  SidecarEvent,
} from "@skep/contract"
import type { Qmp, QmpEvent } from "@skep/qmp"
import { type Resolvers, withResolvers } from "@skep/runtime"
import { parseReport, provesGuest } from "../console/report.ts"
import type { MachinePaths } from "../paths.ts"
import type { Exit, HypervisorProcess } from "./process.ts"
import { type MachineRecord, type RecordedNetwork, RecordFile } from "./record.ts"
import { type Ending, endingOf, type Happening, next } from "./state.ts"

/** QEMU closes its monitor a moment before it ends; one that lives on without it is out of control. */
const ENDING_MS = 3000
const PHASES_MAX = 64

export interface MachineParts {
  readonly paths: MachinePaths
  readonly process: HypervisorProcess
  readonly record: MachineRecord
  readonly state: MachineState
  /** Taken over from a launcher that died. */
  readonly adopted: boolean
  readonly logTail: () => readonly string[]
  readonly emit: (event: SidecarEvent) => void
  readonly onRecordError: (error: unknown) => void
}

export class Machine {
  /** Fulfils when the process is gone and its files are removed. Never rejects. */
  readonly ended: Promise<Ending>
  /** Fulfils with the guest's first line. Never rejects. */
  readonly firstLine: Promise<void>
  /** Called when the guest has begun anew, by itself or by us. */
  onReset: () => void = () => undefined
  readonly #parts: MachineParts
  readonly #file: RecordFile
  readonly #firstLine: Resolvers<void> = withResolvers()
  #record: MachineRecord
  #state: MachineState
  #reason: string | undefined
  #qmp: Qmp | undefined
  #hangUp: (() => void)[] = []
  #asked = false
  #over = false
  #outOfControl = false
  #shutdown: string | undefined
  #panic: string | undefined
  /** Whether it said that it gave up, since it began. */
  #failed = false
  #resets = 0

  constructor(parts: MachineParts) {
    this.#parts = parts
    this.#record = parts.record
    this.#state = parts.state
    this.#reason = parts.record.reason
    this.#file = new RecordFile(parts.paths.record)
    this.firstLine = this.#firstLine.promise
    this.ended = parts.process.exited.then((exit) => this.#end(exit))
    this.#save()
  }

  get process(): HypervisorProcess {
    return this.#parts.process
  }
  get state(): MachineState {
    return this.#state
  }
  get over(): boolean {
    return this.#over
  }
  get accelerator(): Accelerator {
    return this.#record.accelerator
  }
  /** Reached since the guest began, in order. */
  get phases(): readonly GuestPhase[] {
    return this.#record.phases
  }
  /** As it was started with; undefined where an earlier build started it. */
  get network(): RecordedNetwork | undefined {
    return this.#record.network
  }
  /** Undefined before it is connected and after the end. */
  get qmp(): Qmp | undefined {
    return this.#qmp
  }

  /** Takes the monitor. A process that outlives it by more than a moment is ended. */
  control(qmp: Qmp): void {
    this.#qmp = qmp
    this.#hangUp.push(() => void qmp[Symbol.asyncDispose]())
    const lost = (): void => {
      if (this.#over) return
      const killer = setTimeout(() => {
        this.#outOfControl = true
        this.process.kill()
      }, ENDING_MS)
      void this.ended.then(() => clearTimeout(killer))
    }
    qmp.closed.then(lost, lost)
  }

  /** What to let go of when the machine ends. */
  onEnd(hangUp: () => void): void {
    this.#hangUp.push(hangUp)
  }

  hear(event: QmpEvent): void {
    const { name, data } = event
    switch (name) {
      case "STOP":
        return this.#happen("stop")
      case "RESUME":
        return this.#happen("resume")
      case "POWERDOWN":
        return this.#happen("powerdown")
      case "SHUTDOWN":
        this.#shutdown ??= typeof data["reason"] === "string" ? data["reason"] : "unknown"
        return this.#happen("powerdown", this.#shutdown)
      case "RESET":
        // A kernel that panicked restarts itself, and would do so for ever.
        if (this.#panic !== undefined) return this.process.kill()
        this.#resets++
        this.#failed = false
        this.#record = { ...this.#record, phases: [] }
        this.#happen("reset")
        return this.onReset()
      case "GUEST_PANICKED":
        this.#panic ??= "its panic device said so"
        return
      case "BLOCK_IO_ERROR":
        return this.#diskFailed(data)
      default: // the rest tells of devices
    }
  }

  /** Reads one line of the console. */
  read(line: string): void {
    if (this.#over) return
    if (provesGuest(line)) this.#proven()
    const report = parseReport(line)
    if (report === undefined) return
    switch (report.kind) {
      case "phase":
        this.#reach({ name: report.name, atSeconds: this.#secondsSinceStart() })
        return
      case "failed":
        return this.fail(report.phase, report.reason)
      case "panic":
        this.#panic = report.reason
        this.#reason = `the guest's kernel panicked: ${report.reason}`
        this.#parts.emit({ type: "panic", reason: report.reason })
    }
  }

  /** The guest said that it gave up there, or it is clear that it will not get further. */
  fail(phase: string, reason: string): void {
    this.#failed = true
    this.#reason = `the guest failed at ${phase}: ${reason}`
    this.#parts.emit({ type: "failed", phase, reason })
  }

  /** Whether its guest is still on its way to that phase. */
  isBooting(bootedPhase: string): boolean {
    const { phases } = this.#record
    if (this.#over || this.#failed || this.#panic !== undefined || this.#state === "stopping") return false
    return !phases.some(({ name }) => name === bootedPhase)
  }

  /** Says that whatever ends it from now on was asked for. */
  expectEnd(): void {
    this.#asked = true
    this.#happen("powerdown")
  }

  /** The guest did not follow: it runs on, and an end is a surprise again. */
  endIgnored(): void {
    this.#asked = false
    this.#happen("powerdown-ignored")
  }

  /** Resolves when vm.json says what is known so far, so that whoever finds it can take over. */
  recorded(): Promise<void> {
    return this.#file.settled()
  }

  /** Why this accelerator was taken, for status and for whoever adopts. */
  explain(reason: string): void {
    this.#reason = reason
    this.#record = { ...this.#record, reason }
    this.#save()
  }

  status(hypervisor: string, counters: Counters): Omit<LauncherStatus, "devices" | "network"> {
    const { identity, accelerator, startedAtMs, phases } = this.#record
    return {
      state: this.#state,
      ...(this.#reason === undefined ? {} : { reason: this.#reason }),
      hypervisor,
      accelerator,
      process: identity,
      adopted: this.#parts.adopted,
      startedAtMs,
      phases,
      consoleLog: this.#parts.paths.consoleLog,
      counters: { ...counters, guestResets: this.#resets },
    }
  }

  /** QEMU pauses a machine whose host disk is full, so that the guest loses nothing; it can be resumed. */
  #diskFailed(data: Readonly<Record<string, unknown>>): void {
    if (data["action"] !== "stop") return
    const disk = String(data["node-name"]).replace(/^disk-/, "")
    const why = data["nospace"] === true ? "the host has no space left" : String(data["reason"])
    this.#reason = `paused because the disk ${disk} cannot be written: ${why}`
    this.#parts.emit({ type: "disk-failed", disk, reason: why })
  }

  #proven(): void {
    this.#firstLine.resolve()
    if (this.#state === "starting") this.#happen("first-line")
    if (this.#record.proven) return
    this.#record = { ...this.#record, proven: true }
    this.#save()
  }

  #reach(phase: GuestPhase): void {
    if (this.#record.phases.length >= PHASES_MAX) return
    this.#record = { ...this.#record, phases: [...this.#record.phases, phase] }
    this.#save()
    this.#parts.emit({ type: "phase", ...phase })
  }

  #secondsSinceStart(): number {
    return Math.round(Date.now() - this.#record.startedAtMs) / 1000
  }

  #happen(happening: Happening, reason?: string): void {
    const state = next(this.#state, happening)
    if (state === this.#state) return
    this.#state = state
    this.#parts.emit({ type: "state", state, ...(reason === undefined ? {} : { reason }) })
  }

  async #end(exit: Exit): Promise<Ending> {
    const facts = {
      ...exit,
      asked: this.#asked,
      shutdown: this.#shutdown,
      panic: this.#panic,
      outOfControl: this.#outOfControl,
      log: this.#parts.logTail(),
    }
    const ending = endingOf(facts)
    this.#over = true
    for (const hangUp of this.#hangUp) hangUp()
    this.#qmp = undefined
    const { qmp, qmpNetwork, serial, fronts } = this.#parts.paths
    await Promise.all([
      ...[qmp, qmpNetwork, serial, ...Object.values(fronts)].map((path) => rm(path, { force: true })),
      this.#file.remove(),
    ])
    if (ending.state === "crashed") this.#happen("ended-crashed", ending.reason)
    else this.#happen("ended-clean", this.#shutdown)
    return ending
  }

  #save(): void {
    this.#file.write(this.#record).catch((error: unknown) => this.#parts.onRecordError(error))
  }
}
