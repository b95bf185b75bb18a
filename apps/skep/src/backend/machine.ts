/**
 * One machine as the backend sees it: its record, its state, the change under way, and the Docker socket in front of it.
 *
 * @module
 */
import { rm, stat } from "node:fs/promises"
import { type Log, type MachineState, SidecarError, type SidecarEvent } from "@skep/contract"
import { hypervisorRuns } from "@skep/launcher"
import { withFields } from "@skep/runtime"
import type { EngineState } from "../docker/engine.ts"
import { type DockerProxy, startDockerProxy } from "../docker/proxy.ts"
import { type Home, type MachinePaths, machinePaths } from "../home/paths.ts"
import { readSettings } from "../home/settings.ts"
import { createKeys, type MachineKeys, readKeys, writeSshFiles } from "../machine/keys.ts"
import { freePort } from "../machine/port.ts"
import {
  type Changes,
  changed,
  differences,
  type MachineRecord,
  newRecord,
  readRecord,
  writeRecord,
} from "../machine/record.ts"
import { Operation, type Progress } from "./operation.ts"
import type { MachineView } from "./view.ts"
import { bringUp } from "./vm/bring-up.ts"
import { findRunning } from "./vm/find-running.ts"
import type { Vm } from "./vm/vm.ts"

const POWERDOWN_MS = 30_000

export interface MachineContext {
  readonly home: Home
  readonly log: Log
  readonly emit: (event: SidecarEvent) => void
  /** Where ports are published that name no address. */
  readonly publishAddress: string
  /** Node's arguments that run the launcher program. */
  readonly launcherProgram: readonly string[]
}

export class Machine {
  readonly name: string
  readonly paths: MachinePaths
  readonly #context: MachineContext
  readonly #log: Log
  #record: MachineRecord | undefined
  #broken: SidecarError | undefined
  #operation: Operation | undefined
  #vm: Vm | undefined
  /** Created by an `up` that has not succeeded yet: an interruption removes it again. */
  #unborn = false
  /** Why it is not running, where there is more to say than that it was stopped. */
  #crash: SidecarError | undefined
  #proxy: DockerProxy | undefined

  /** Reads the record and listens on docker.sock; a corrupt record makes a machine that can only be shown and removed. */
  static async load(name: string, context: MachineContext): Promise<Machine> {
    const machine = new Machine(name, context)
    try {
      machine.#record = await readRecord(machine.paths.record)
      if (machine.#record === undefined) {
        throw new SidecarError("corrupt-file", `Cannot find the machine file "${machine.paths.record}"`, {
          next: `Remove what is left with skep rm --force ${name}`,
        })
      }
    } catch (error) {
      if (!(error instanceof SidecarError)) throw error
      machine.#broken = error
    }
    return machine
  }

  /** Creates the directory, the record and the keys. On failure nothing of it is left. */
  static async create(name: string, changes: Changes, context: MachineContext): Promise<Machine> {
    const machine = new Machine(name, context)
    const record = newRecord(name, changes, await readSettings(context.home.settingsFile), await freePort())
    try {
      await machine.#open()
      await createKeys(machine.paths, name, record.sshPort)
      await writeRecord(machine.paths.record, record) // last: a directory without a record is no machine
    } catch (error) {
      await machine.#erase()
      throw error
    }
    machine.#record = record
    machine.#unborn = true
    return machine
  }

  private constructor(name: string, context: MachineContext) {
    this.name = name
    this.paths = machinePaths(context.home, name)
    this.#context = context
    this.#log = withFields(context.log, { machine: name })
  }

  get state(): MachineState | "broken" {
    if (this.#broken !== undefined) return "broken"
    if (this.#operation?.kind === "stop") return "stopping"
    if (this.#vm !== undefined) return this.#vm.state
    if (this.#operation !== undefined) return "starting"
    return this.#crash === undefined ? "stopped" : "crashed"
  }

  /** Settles with the change under way; then tells whether nothing would be lost by removing the machine. */
  async isUnborn(): Promise<boolean> {
    await this.#operation?.done.catch(() => undefined)
    return this.#unborn && this.#vm === undefined
  }

  /** Listens on docker.sock and, if a virtual machine is found running, takes it over in the background. */
  async adopt(): Promise<void> {
    await this.#open()
    const record = this.#record
    if (record === undefined) return
    const found = await findRunning(this.#vmContext(record, await this.#keys(record)))
    if (found === undefined) return
    this.#own(found)
    this.#log.info("adopted", { state: found.state })
    this.#begin("adoption", (report, signal) => found.attach(report, signal))
  }

  /** Brings the machine up, or joins whoever does already. */
  up(changes: Changes, signal: AbortSignal): AsyncGenerator<Progress> {
    const record = this.#mustBeWhole()
    if (this.#operation !== undefined && this.#operation.kind !== "stop") return this.#operation.watch(signal)
    const wanted = changed(record, changes)
    if (this.#vm?.attached === true) return this.#alreadyUp(record, wanted)
    return this.#begin("start", (report, limit) => this.#up(wanted, report, limit)).watch(signal)
  }

  /** Asks the guest to power off; after a while pulls the plug and says so. */
  stop(signal: AbortSignal): AsyncGenerator<Progress> {
    if (this.#operation?.kind === "stop") return this.#operation.watch(signal)
    return this.#begin("stop", async (report) => {
      report({ type: "begin", phase: "stop", title: "Shut down" })
      const began = performance.now()
      const clean = await this.#vm?.powerdown(POWERDOWN_MS)
      if (clean === false)
        report({
          type: "note",
          text: `${this.name} did not power off in ${POWERDOWN_MS / 1000} s and was killed`,
        })
      this.#crash = undefined
      const seconds = Math.round(performance.now() - began) / 1000
      report({ type: "end", phase: "stop", title: "Shut down", seconds })
    }).watch(signal)
  }

  /** Pulls the plug. */
  async kill(): Promise<void> {
    await this.#interrupt(new SidecarError("aborted", `The machine "${this.name}" was killed`))
    await this.#vm?.kill()
    this.#crash = undefined
  }

  /** Removes the machine with its disk. A running one is refused with "busy" unless `force`. */
  async remove(force: boolean): Promise<void> {
    if (!force && (this.#vm !== undefined || this.#operation !== undefined)) {
      throw new SidecarError("busy", `Cannot remove the machine "${this.name}": it is ${this.state}`, {
        next: `Stop it first with skep stop ${this.name}, or use skep rm --force ${this.name}`,
      })
    }
    await this.kill()
    await this.#erase()
  }

  async view(active: boolean): Promise<MachineView> {
    const record = this.#record
    const status = await this.#vm?.status()
    const error = this.#broken ?? this.#crash
    return {
      name: this.name,
      state: this.state,
      active,
      docker: this.#engineState().state,
      ...(error === undefined ? {} : { problem: error.toJSON() }),
      ...(record === undefined ? {} : { record }),
      ...(status === undefined ? {} : { vm: status }),
      diskBytes: await allocatedBytes(this.paths.data),
      dockerSocket: this.paths.dockerSocket,
      directory: this.paths.directory,
      consoleLog: this.paths.consoleLog,
      ...(this.#vm?.ports === undefined ? {} : { ports: this.#vm.ports.status() }),
    }
  }

  /** Hangs up on Docker clients and leaves the virtual machine running. */
  async release(): Promise<void> {
    await this.#interrupt(new SidecarError("aborted", "The backend is stopping"))
    this.#vm?.release()
    await this.#proxy?.[Symbol.asyncDispose]()
  }

  async #up(wanted: MachineRecord, report: (progress: Progress) => void, signal: AbortSignal): Promise<void> {
    this.#crash = undefined
    if (this.#vm !== undefined && this.#vm.state === "paused") await this.#vm.resume()
    if (this.#vm === undefined) {
      const context = this.#vmContext(wanted, await this.#keys(wanted))
      const { vm, record } = await bringUp(context, report, signal)
      this.#record = record
      this.#own(vm)
    }
    const vm = this.#vm
    if (vm === undefined)
      throw new SidecarError("crashed", `The machine "${this.name}" ended as soon as it had started`)
    try {
      await vm.attach(report, signal)
      this.#unborn = false
    } catch (error) {
      const failure = await vm.explain(error)
      if (signal.aborted) await vm.kill()
      else this.#unborn = false // it stays for whoever wants to know why
      throw failure
    }
  }

  async *#alreadyUp(record: MachineRecord, wanted: MachineRecord): AsyncGenerator<Progress> {
    const fields = differences(record, wanted)
    if (fields.length === 0) return
    await writeRecord(this.paths.record, wanted)
    this.#record = wanted
    yield { type: "note", text: `${fields.join(", ")}: takes effect with skep restart ${this.name}` }
  }

  #vmContext(record: MachineRecord, keys: MachineKeys): Parameters<typeof bringUp>[0] {
    return {
      ...this.#context,
      log: this.#log,
      emit: (event: SidecarEvent) => this.#context.emit({ ...event, machine: this.name }),
      paths: this.paths,
      record,
      keys,
    }
  }

  async #keys(record: MachineRecord): Promise<MachineKeys> {
    const keys = await readKeys(this.paths)
    await writeSshFiles(this.paths, this.name, record.sshPort, keys)
    return keys
  }

  #own(vm: Vm): void {
    this.#vm = vm
    void vm.ended.then((crash) => this.#lost(vm, crash))
  }

  /** The virtual machine is gone, or only its launcher is: then a new one takes it over. */
  async #lost(vm: Vm, crash: SidecarError | undefined): Promise<void> {
    if (this.#vm !== vm) return
    const record = this.#record
    this.#vm = undefined
    if (crash !== undefined && record !== undefined && (await hypervisorRuns(this.paths.run))) {
      this.#log.info("launcher lost", { reason: crash.message })
      this.#begin("adoption", async (report, signal) => {
        const found = await findRunning(this.#vmContext(record, await this.#keys(record)))
        if (found === undefined) throw crash
        this.#own(found)
        await found.attach(report, signal)
      })
      return
    }
    this.#crash = crash
    if (crash !== undefined)
      this.#context.emit({ type: "crashed", machine: this.name, reason: crash.message })
    this.#operation?.abort(crash ?? new SidecarError("not-running", `The machine "${this.name}" powered off`))
  }

  #begin(kind: string, work: ConstructorParameters<typeof Operation>[1]): Operation {
    const before = this.#operation
    const operation = new Operation(kind, async (report, signal) => {
      before?.abort(
        new SidecarError("aborted", `The ${before.kind} of "${this.name}" was interrupted by its ${kind}`),
      )
      await before?.done.catch(() => undefined)
      await work(report, signal)
    })
    this.#operation = operation
    const over = (): void => {
      if (this.#operation === operation) this.#operation = undefined
    }
    operation.done.then(over, (error: unknown) => {
      over()
      this.#log.info(`${kind} failed`, { reason: String(error) })
    })
    return operation
  }

  async #interrupt(reason: SidecarError): Promise<void> {
    const operation = this.#operation
    operation?.abort(reason)
    await operation?.done.catch(() => undefined)
  }

  async #open(): Promise<void> {
    const { privateDirectory } = await import("@skep/runtime")
    await privateDirectory(this.paths.directory)
    await privateDirectory(this.paths.run)
    this.#proxy = await startDockerProxy({
      endpoint: this.paths.dockerSocket,
      engine: () => this.#engineState(),
      log: this.#log,
      holdStart: async (containerId) => {
        await this.#vm?.ports?.settled(containerId)
      },
    })
  }

  async #erase(): Promise<void> {
    await this.#proxy?.[Symbol.asyncDispose]()
    await rm(this.paths.run, { recursive: true, force: true })
    await rm(this.paths.directory, { recursive: true, force: true })
  }

  #engineState(): EngineState {
    const { state } = this
    if (state === "running" || state === "starting") {
      return this.#vm?.engineState() ?? { state: "starting", ready: this.#engineAfterStart() }
    }
    const error = this.#broken ?? (state === "crashed" ? this.#crash : undefined)
    const reason = error?.message ?? `The machine "${this.name}" is ${state}`
    const verb = state === "paused" ? "Resume it" : "Start it"
    return { state: "down", reason, next: this.#broken?.next ?? `${verb} with: skep up ${this.name}` }
  }

  async #engineAfterStart(): ReturnType<Vm["engineReady"]> {
    await this.#operation?.done
    if (this.#vm === undefined)
      throw new SidecarError("not-running", `The machine "${this.name}" did not start`)
    return await this.#vm.engineReady()
  }

  #mustBeWhole(): MachineRecord {
    if (this.#broken !== undefined) throw this.#broken
    if (this.#record === undefined)
      throw new SidecarError("not-found", `Cannot find the machine "${this.name}"`)
    return this.#record
  }
}

/** What the data disk really takes on the host; sparse blocks do not count. */
async function allocatedBytes(path: string): Promise<number> {
  try {
    return (await stat(path)).blocks * 512
  } catch {
    return 0
  }
}
