/**
 * Taking over a machine whose launcher died, and clearing away what is left of one that is gone.
 *
 * @module
 */
import { existsSync } from "node:fs"
import { rm } from "node:fs/promises"
import type { Socket } from "node:net"
import { type MachineState, SidecarError } from "@skep/contract"
import { connectQmp, type Qmp, type QmpEvent } from "@skep/qmp"
import { errnoOf, isAlive, orAborted, sleep, withDeadline, withResolvers } from "@skep/runtime"
import * as z from "zod"
import { connectSerial } from "./connect.ts"
import { endProcess } from "./end-process.ts"
import type { Environment } from "./environment.ts"
import { Machine } from "./machine.ts"
import { watchHypervisor } from "./process.ts"
import { fingerprintOf, type MachineRecord, readRecord } from "./record.ts"

/** How long a hypervisor may take to answer: a busy host is no reason to end a machine that works. */
const PATIENCE_MS = 30_000
const RETRY_MS = 100

/**
 * The machine that runs in this run directory, or undefined, and then nothing is left there. An abort, and a failure that
 * is not the machine's, leave it running as it was found.
 */
export async function adopt(
  env: Environment,
  patienceMs: number = PATIENCE_MS,
): Promise<Machine | undefined> {
  const record = await readRecord(env.paths.record)
  if (record !== undefined && record.proven && isAlive(record.identity)) {
    const machine = await takeOverPatiently(env, record, patienceMs)
    if (machine !== undefined) return machine
  }
  await clear(env, record)
  return undefined
}

/** Undefined when it ended by itself, or is to be ended because it is out of anybody's control. */
async function takeOverPatiently(
  env: Environment,
  record: MachineRecord,
  patienceMs: number,
): Promise<Machine | undefined> {
  const { log, signal, emit } = env.context
  const { pid } = record.identity
  const end = performance.now() + patienceMs
  for (;;) {
    const left = Math.max(1, Math.ceil(end - performance.now()))
    try {
      const what = `take over "${record.name}"`
      return takeOver(env, record, await withDeadline(what, left, signal, (limit) => reach(env, limit)))
    } catch (error) {
      signal.throwIfAborted()
      if (!isAlive(record.identity)) return undefined
      const verdict = verdictOn(error)
      if (verdict === "not-its-fault") throw error
      if (verdict === "busy" && performance.now() < end) {
        await sleep(RETRY_MS, signal)
        continue
      }
      // Without its monitor it can neither be asked nor stopped: it makes room for one that can.
      const reason = error instanceof Error ? error.message : String(error)
      log.info("cannot take over the machine, ending it", { pid, reason })
      emit({ type: "replaced", pid, reason })
      return undefined
    }
  }
}

/** What a failure says of a hypervisor whose process is there. */
function verdictOn(error: unknown): "busy" | "lost" | "not-its-fault" {
  if (!(error instanceof SidecarError)) return "not-its-fault"
  if (error.code === "timeout") return "busy"
  if (error.code === "protocol") return "lost"
  if (error.code !== "unreachable") return "not-its-fault"
  const errno = errnoOf(error.cause)
  if (errno === "ENOENT" || errno === "ECONNREFUSED") return "lost"
  // It hung up on us, or has not yet accepted those who came before us.
  return errno === undefined || errno === "EAGAIN" ? "busy" : "not-its-fault"
}

interface Reached {
  readonly qmp: Qmp
  readonly state: MachineState
  readonly serial: Socket | undefined
  /** Hands over what the monitor has said so far and all that it will say. */
  readonly listen: (hear: (event: QmpEvent) => void) => void
}

/** Connects to a hypervisor and changes nothing: whoever gives up here leaves it as it was. */
async function reach(env: Environment, signal: AbortSignal): Promise<Reached> {
  const early: QmpEvent[] = []
  let hear = (event: QmpEvent): void => void early.push(event)
  const qmp = await connectQmp(env.paths.qmp, { signal, onEvent: (event) => hear(event) })
  try {
    const state = await queryState(qmp.execute("query-status", undefined, signal))
    const serial = await serialOf(env)
    if (signal.aborted) serial?.destroy()
    signal.throwIfAborted()
    const listen: Reached["listen"] = (next) => {
      hear = next
      for (const event of early) hear(event)
    }
    return { qmp, state, serial, listen }
  } catch (error) {
    await qmp[Symbol.asyncDispose]()
    throw error
  }
}

/** From here on the machine is ours to end, so nothing is awaited and nothing can be aborted. */
function takeOver(env: Environment, record: MachineRecord, { qmp, state, serial, listen }: Reached): Machine {
  const { paths, context } = env
  const lost = withResolvers<void>()
  qmp.closed.then(lost.resolve, () => lost.resolve())
  const machine = new Machine({
    paths,
    process: watchHypervisor(record.identity, lost.promise),
    record,
    state,
    adopted: true,
    logTail: () => env.log.tail(),
    emit: context.emit,
    onRecordError: (error) => context.log.info("cannot write vm.json", { reason: String(error) }),
  })
  listen((event) => {
    machine.hear(event)
    env.link?.hear(event)
  })
  machine.control(qmp)
  if (machine.network?.kind === "stream") {
    machine.onEnd(() => env.link?.stop())
    void env.link?.start(qmp)
  }
  env.console.onLine = (line) => machine.read(line)
  if (serial !== undefined) {
    machine.onEnd(() => serial.destroy())
    env.console.attach(serial)
  }
  const sameOptions = record.fingerprint === fingerprintOf(env.options)
  context.log.info("took over the running machine", { pid: record.identity.pid, state, sameOptions })
  context.emit({ type: "adopted", pid: record.identity.pid, state, sameOptions })
  return machine
}

/** A machine whose console is gone can be controlled all the same. */
async function serialOf({ paths, context }: Environment): Promise<Socket | undefined> {
  try {
    return await connectSerial(paths.serial)
  } catch (error) {
    if (verdictOn(error) !== "lost") throw error
    context.log.info("the machine's console is gone", { reason: String(error) })
    return undefined
  }
}

const QueryStatus = z.object({ status: z.string() })

async function queryState(answer: Promise<unknown>): Promise<MachineState> {
  const parsed = QueryStatus.safeParse(await answer)
  const status = parsed.success ? parsed.data.status : "something unknown"
  switch (status) {
    case "running":
      return "running"
    case "paused":
    case "suspended":
    case "io-error":
      return "paused"
    case "shutdown":
      return "stopping"
    default:
      throw new SidecarError("protocol", `Cannot take over the machine: QEMU says that it is "${status}"`)
  }
}

/** Ends what cannot be taken over and removes what a dead one left. */
async function clear(env: Environment, record: MachineRecord | undefined): Promise<void> {
  const { paths } = env
  if (record !== undefined) await endProcess(record.identity)
  else if (existsSync(paths.qmp)) await quitUnknown(paths.qmp, env.context.signal)
  const stale = [paths.record, paths.qmp, paths.qmpNetwork, paths.serial, ...Object.values(paths.fronts)]
  await Promise.all(stale.map((path) => rm(path, { force: true })))
}

/** A launcher that was killed between the spawn and vm.json leaves a machine that waits for its `cont` for ever. */
async function quitUnknown(path: string, signal: AbortSignal): Promise<void> {
  try {
    await using qmp = await connectQmp(path, { signal })
    await qmp.execute("quit", undefined, signal)
    await orAborted(qmp.closed, signal)
  } catch (error) {
    signal.throwIfAborted()
    // One that does not answer is there all the same, and must not lose its socket.
    if (!(error instanceof SidecarError) || error.code === "timeout") throw error
  }
}
