/**
 * One machine as the backend sees it: its record, its state, the change under way, and the Docker socket in front of it.
 *
 * @module
 */
import { rm } from "node:fs/promises"
import { type Log, type MachineState, SidecarError, type SidecarEvent } from "@skep/contract"
import { hypervisorRuns } from "@skep/launcher"
import { privateDirectory, sleep, withFields, withResolvers } from "@skep/runtime"
import type { EngineState } from "../docker/engine.ts"
import { type MachinePaths, machinePaths } from "../home/paths.ts"
import { readSettings } from "../home/settings.ts"
import { allocatedBytes } from "../machine/disk-usage.ts"
import { createKeys, ensureKeys, type MachineKeys, readKeys } from "../machine/keys.ts"
import { freePort } from "../machine/port.ts"
import {
  type Changes,
  changed,
  differences,
  type MachineRecord,
  newRecord,
  writeRecord,
} from "../machine/record.ts"
import { DockerSocket } from "./docker-socket.ts"
import { type ExportsWish, MachineExports, sayTo } from "./exports/machine-exports.ts"
import type { MachineContext } from "./machine-context.ts"
import type { Progress, Report } from "./operation.ts"
import { powerOff } from "./power-off.ts"
import { type DockerState, problemOf } from "./problem.ts"
import { RecordFile } from "./record-file.ts"
import { Sequence } from "./sequence.ts"
import { SharesOfMachine } from "./shares.ts"
import type { MachineView } from "./view.ts"
import { bringUp } from "./vm/bring-up.ts"
import type { VmContext } from "./vm/context.ts"
import { endStray, findRunning, mayRun } from "./vm/find-running.ts"
import { engineAnswers } from "./vm/ping.ts"
import type { Vm } from "./vm/vm.ts"

/** How long the backend's start waits for a machine that does not say whether it runs. */
const FIND_MS = 5000
const PING_MS = 3000

export class Machine {
  readonly name: string
  readonly paths: MachinePaths
  readonly shares: SharesOfMachine
  readonly #exports: MachineExports
  readonly #context: MachineContext
  readonly #log: Log
  readonly #changes: Sequence
  readonly #file: RecordFile
  #vm: Vm | undefined
  /** Created by an `up` that has not succeeded yet: an interruption removes it again. */
  #unborn = false
  /** Settles when it is known what follows the end of the virtual machine. */
  #losing: Promise<void> = Promise.resolve()
  /** Why it is not running, where there is more to say than that it was stopped. */
  #crash: SidecarError | undefined
  readonly #socket: DockerSocket

  /** Reads the record. One that cannot be read makes a machine that can be shown, stopped and removed, but not started. */
  static async load(name: string, context: MachineContext): Promise<Machine> {
    const machine = new Machine(name, context)
    await machine.#file.read()
    return machine
  }

  /** Creates the directory, the record and the keys. On failure nothing of it is left. */
  static async create(name: string, changes: Changes, context: MachineContext): Promise<Machine> {
    const machine = new Machine(name, context)
    const record = await machine.#drafted(changes)
    try {
      await machine.#open()
      await createKeys(machine.paths, name)
      await writeRecord(machine.paths.record, record) // last: a directory without a record is no machine
    } catch (error) {
      await machine.#erase()
      throw error
    }
    machine.#file.take(record)
    machine.#unborn = true
    return machine
  }

  /** What the host's kernel would have to export to a machine that is not there yet. */
  static async exportsOfNew(
    name: string,
    changes: Changes,
    context: MachineContext,
    signal: AbortSignal,
  ): ReturnType<SharesOfMachine["exportsFor"]> {
    const machine = new Machine(name, context)
    return await machine.shares.exportsFor(await machine.#drafted(changes), { changes }, signal)
  }

  private constructor(name: string, context: MachineContext) {
    this.name = name
    this.paths = machinePaths(context.home, name)
    this.#file = new RecordFile(name, this.paths.record)
    this.#context = context
    this.#log = withFields(context.log, { machine: name })
    this.#changes = new Sequence(name, this.#log)
    this.#socket = new DockerSocket({
      endpoint: this.paths.dockerSocket,
      engine: () => this.#engineState(),
      log: this.#log,
      holdStart: async (containerId) => {
        await this.#vm?.ports?.settled(containerId)
      },
      findMount: (path) => this.shares.findMount(path),
    })
    this.#exports = new MachineExports({ ...context, name, log: this.#log })
    this.shares = new SharesOfMachine({
      name,
      home: context.home,
      paths: this.paths,
      log: this.#log,
      emit: (event) => context.emit({ ...event, machine: name }),
      record: () => this.#file.whole(),
      keep: (shares) => this.#file.keep({ ...this.#file.whole(), shares }),
      settled: () => this.#changes.settled(),
      exports: this.#exports,
      running: () => this.#vm && (this.#vm.shares ?? "none"),
      lost: async () => (await this.#vm?.sharesLost()) ?? false,
    })
  }

  /** Its address on the vsock, if it has one yet. */
  get guestCid(): number | undefined {
    return this.#file.record?.guestCid
  }

  get state(): MachineState | "broken" {
    if (this.#file.broken !== undefined) return "broken"
    const change = this.#changes.kind
    if (change === "stop" || change === "kill" || change === "removal") return "stopping"
    if (this.#vm !== undefined) return this.#vm.state
    if (change !== undefined) return "starting"
    return this.#crash === undefined ? "stopped" : "crashed"
  }

  /** What the host's kernel would have to export to it, after these changes. */
  async exportsFor(wish: ExportsWish, signal: AbortSignal): ReturnType<SharesOfMachine["exportsFor"]> {
    return await this.shares.exportsFor(await this.#wanted(wish.changes ?? {}), wish, signal)
  }

  /** Whether it does not run, and nobody is about to start it. */
  async isOver(): Promise<boolean> {
    const isLeft = this.#changes.kind === undefined || this.#changes.kind === "adoption"
    return this.#vm === undefined && isLeft && !(await hypervisorRuns(this.paths.run))
  }

  /** Settles with the change under way; then tells whether nothing would be lost by removing the machine. */
  async isUnborn(): Promise<boolean> {
    await this.#changes.settled()
    return this.#unborn && this.#vm === undefined
  }

  /**
   * Listens on docker.sock and takes over a virtual machine that runs. Resolves when it is known whether one does, or after
   * some seconds; connecting to its Docker goes on in the background. Never rejects: what fails is the machine's problem.
   */
  async adopt(): Promise<void> {
    try {
      await this.#open()
      if (this.#file.record === undefined || !(await mayRun(this.paths))) return
    } catch (error) {
      this.#crash = SidecarError.of(error)
      this.#log.info("cannot open the machine", { reason: String(error) })
      return
    }
    const record = this.#file.record
    const found = withResolvers<void>()
    this.#changes.begin({
      kind: "adoption",
      before: "awaited",
      work: async (report, signal) => {
        await this.#find(record).finally(found.resolve)
        await this.#vm?.attach(report, signal)
      },
    })
    await Promise.race([found.promise, sleep(FIND_MS, new AbortController().signal)])
  }

  /** Brings the machine up, or joins whoever does already. */
  async *up(changes: Changes, signal: AbortSignal): AsyncGenerator<Progress> {
    await this.#file.readAgain()
    const record = this.#file.whole()
    const wanted = changed(record, changes) // refused before anything is touched
    if (this.#changes.kind === "removal") {
      throw new SidecarError("busy", `Cannot start the machine "${this.name}": it is being removed`, {
        next: `Create it anew with skep up ${this.name} when that is over`,
      })
    }
    const current = this.#changes.kind === "start" ? this.#changes.operation : undefined
    const isPlain = changes.share === undefined && changes.homeShare === undefined
    const joins = current?.aborted === false && isPlain && differences(record, wanted).length === 0
    const start = joins
      ? current
      : this.#changes.begin({
          kind: "start",
          before: "awaited",
          work: (report, limit, interrupted) => this.#up(changes, report, limit, interrupted),
        })
    yield* start.watch(signal)
  }

  /** Stops the machine and brings it up again, after it is clear that it can be such a machine. */
  async *restart(changes: Changes, signal: AbortSignal): AsyncGenerator<Progress> {
    await this.#wanted(changes)
    if (this.state !== "stopped" && this.state !== "crashed") yield* this.stop(signal)
    yield* this.up(changes, signal)
  }

  /** Asks the guest to power off; after a while pulls the plug and says so. */
  stop(signal: AbortSignal): AsyncGenerator<Progress> {
    const current = this.#changes.kind === "stop" ? this.#changes.operation : undefined
    if (current !== undefined) return current.watch(signal)
    return this.#changes
      .begin({
        kind: "stop",
        before: "interrupted",
        work: async (report) => {
          await powerOff(this.name, report, async (deadlineMs) => {
            if (this.#vm !== undefined) return await this.#vm.powerdown(deadlineMs)
            await endStray(this.name, this.paths, this.#context.network, deadlineMs)
            return true
          })
          await this.#exports.takeBack(sayTo(report))
          this.#crash = undefined
        },
      })
      .watch(signal)
  }

  /** Pulls the plug. */
  async kill(): Promise<void> {
    await this.#changes.begin({ kind: "kill", before: "interrupted", work: () => this.#kill() }).done
  }

  /** Removes the machine with its disk. A running one is refused with "busy" unless `force`. */
  async remove(force: boolean): Promise<void> {
    const runs =
      this.#changes.kind !== undefined || this.#vm !== undefined || (await hypervisorRuns(this.paths.run))
    if (runs && !force) {
      throw new SidecarError("busy", `Cannot remove the machine "${this.name}": it is ${this.state}`, {
        next: `Stop it first with skep stop ${this.name}, or use skep rm --force ${this.name}`,
      })
    }
    await this.#changes.begin({
      kind: "removal",
      before: "interrupted",
      work: async () => {
        await this.#kill()
        await this.#erase()
        this.#file.remove()
      },
    }).done
  }

  async view(active: boolean): Promise<MachineView> {
    await this.#file.readAgain()
    const vm = this.#vm
    const [status, docker, guest] = await Promise.all([vm?.status(), this.#docker(), vm?.guest()])
    const problem = this.#problem(docker)
    return {
      name: this.name,
      state: this.state,
      active,
      docker: docker === "silent" ? "down" : docker,
      ...(problem === undefined ? {} : { problem: problem.toJSON() }),
      ...(this.#file.record === undefined ? {} : { record: this.#file.record }),
      ...(status === undefined ? {} : { vm: status }),
      diskBytes: await allocatedBytes(this.paths.data),
      dockerSocket: this.paths.dockerSocket,
      directory: this.paths.directory,
      consoleLog: this.paths.consoleLog,
      ...(vm?.ports === undefined ? {} : { ports: vm.ports.status() }),
      ...(vm?.way === undefined ? {} : { way: vm.way }),
      ...(guest === undefined ? {} : { guest }),
      ...(this.#file.record === undefined ? {} : { shares: await this.shares.view() }),
    }
  }

  /** Hangs up on Docker clients and leaves the virtual machine running. */
  async release(): Promise<void> {
    this.#changes.abort(new SidecarError("aborted", "The backend is stopping"))
    await this.#changes.settled()
    await this.#vm?.release()
    await this.#socket[Symbol.asyncDispose]()
  }

  async #up(
    changes: Changes,
    report: Report,
    signal: AbortSignal,
    interrupted: () => boolean,
  ): Promise<void> {
    // Again, as the change that went before may have written the record or removed the machine.
    const wanted = await this.#wanted(changes)
    this.#crash = undefined
    await this.#socket.open()
    const boots = this.#vm === undefined
    const boot = (): Promise<Vm> => this.#boot(wanted, report, signal)
    const vm = this.#vm ?? (await this.#exports.during(wanted, report, signal, boot))
    if (!boots) await this.#keepForRestart(wanted, report)
    if (vm.state === "paused") await vm.resume()
    try {
      await vm.attach(report, signal)
      if (!boots) await this.shares.apply(wanted, report, signal)
      this.#unborn = false
    } catch (error) {
      const failure = await vm.explain(error)
      // What this call has booted it takes back; a machine that ran before, or fails, stays for whoever wants to know why.
      if (boots && interrupted()) await vm.kill()
      else this.#unborn = false
      throw failure
    }
  }

  async #boot(wanted: MachineRecord, report: Report, signal: AbortSignal): Promise<Vm> {
    // Whoever asks first may have to make them.
    let made: Promise<MachineKeys> | undefined
    const keys = (): Promise<MachineKeys> => {
      made ??= ensureKeys(this.paths, this.name)
      return made
    }
    const addressed = { ...wanted, guestCid: wanted.guestCid ?? this.#context.freeCid() }
    this.#file.take(addressed) // at once, so that no other machine takes the address
    const { vm, record } = await bringUp(this.#vmContext(addressed, keys), report, signal)
    this.#file.take(record)
    this.#own(vm)
    return vm
  }

  async #keepForRestart(wanted: MachineRecord, report: Report): Promise<void> {
    const fields = differences(this.#file.whole(), wanted)
    const text = `${fields.join(", ")}: takes effect with skep restart ${this.name}`
    if (fields.length > 0) report({ type: "note", text })
    await this.#file.keep(wanted)
  }

  /** The record of a machine that is not there yet. */
  async #drafted(changes: Changes): Promise<MachineRecord> {
    const settings = await readSettings(this.#context.home.settingsFile)
    const plain = newRecord(this.name, changes, settings, await freePort())
    return { ...plain, shares: await this.shares.wanted(undefined, changes) }
  }

  /** The record with the changes applied. */
  async #wanted(changes: Changes): Promise<MachineRecord> {
    await this.#file.readAgain()
    const record = this.#file.whole()
    return { ...changed(record, changes), shares: await this.shares.wanted(record.shares, changes) }
  }

  async #kill(): Promise<void> {
    if (this.#vm === undefined) await endStray(this.name, this.paths, this.#context.network)
    else await this.#vm.kill()
    await this.#exports.takeBack()
    this.#crash = undefined
  }

  /** Owns the virtual machine that runs, if one does. What goes wrong is kept as the machine's problem, and thrown. */
  async #find(record: MachineRecord): Promise<void> {
    try {
      const keys = (): Promise<MachineKeys> => readKeys(this.paths, this.name)
      const vm = await findRunning(this.#vmContext(record, keys))
      if (vm === undefined) return
      this.#own(vm)
      this.#log.info("found running", { state: vm.state })
    } catch (error) {
      this.#crash = SidecarError.of(error)
      throw error
    }
  }

  #vmContext(record: MachineRecord, keys: () => Promise<MachineKeys>): VmContext {
    return {
      ...this.#context,
      log: this.#log,
      emit: (event: SidecarEvent) => this.#context.emit({ ...event, machine: this.name }),
      paths: this.paths,
      record,
      keys,
    }
  }

  #own(vm: Vm): void {
    this.#vm = vm
    this.#crash = undefined
    this.#losing = vm.ended.then((crash) => this.#lost(vm, crash))
  }

  /** The virtual machine is gone, or only its launcher is: then a new one takes it over. */
  async #lost(vm: Vm, crash: SidecarError | undefined): Promise<void> {
    if (this.#vm !== vm) return
    const record = this.#file.record
    this.#vm = undefined
    if (!vm.isLost && this.state !== "stopping") void this.#exports.takeBack()
    if (crash === undefined) return
    const ending = this.state === "stopping"
    if (!ending && record !== undefined && vm.isLost) {
      this.#log.info("launcher lost", { reason: crash.message })
      this.#changes.begin({
        kind: "adoption",
        before: "awaited",
        work: async (report, signal) => {
          await this.#find(record)
          await this.#vm?.attach(report, signal)
        },
      })
      return
    }
    if (ending) return // whoever asked for the end says how it went
    this.#crash = crash
    this.#context.emit({ type: "crashed", machine: this.name, reason: crash.message })
  }

  async #open(): Promise<void> {
    await privateDirectory(this.paths.directory)
    await privateDirectory(this.paths.run)
    await this.#socket.open()
  }

  async #erase(): Promise<void> {
    await this.#socket[Symbol.asyncDispose]()
    await rm(this.paths.run, { recursive: true, force: true })
    await rm(this.paths.directory, { recursive: true, force: true })
  }

  /** Whether Docker answers, not only whether there is a way to it. */
  async #docker(): Promise<DockerState> {
    const engine = this.#engineState()
    if (engine.state !== "up") return engine.state
    return (await engineAnswers(engine.engine, PING_MS)) ? "up" : "silent"
  }

  #problem(docker: DockerState): SidecarError | undefined {
    return problemOf({
      name: this.name,
      docker,
      pausedBecause: this.#vm?.pausedBecause,
      broken: this.#file.broken,
      crash: this.#crash ?? this.#vm?.crash,
      failure: this.#vm?.failure,
    })
  }

  #engineState(): EngineState {
    const { state } = this
    const vm = this.#vm?.isLost === true ? undefined : this.#vm
    if (state === "running" || state === "starting")
      return vm?.engineState() ?? { state: "starting", ready: () => this.#engineAfterStart() }
    const problem = this.#problem("down")
    const reason = problem?.message ?? `The machine "${this.name}" is ${state}`
    const verb = state === "paused" ? "Resume it" : "Start it"
    return { state: "down", reason, next: problem?.next ?? `${verb} with: skep up ${this.name}` }
  }

  async #engineAfterStart(): ReturnType<Vm["engineReady"]> {
    if (this.#vm?.isLost === true) await this.#losing
    await this.#changes.operation?.done
    if (this.#vm === undefined)
      throw new SidecarError("not-running", `The machine "${this.name}" did not start`)
    return await this.#vm.engineReady()
  }
}
