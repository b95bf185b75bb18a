/**
 * Taking over a machine whose launcher died, and clearing away what is left of one that is gone.
 *
 * @module
 */
import { existsSync } from "node:fs"
import { rm } from "node:fs/promises"
import { type MachineState, SidecarError } from "@skep/contract"
import { connectQmp, type QmpEvent } from "@skep/qmp"
import { isAlive, signalProcess, sleep, withResolvers } from "@skep/runtime"
import { z } from "zod"
import { connectSerial } from "./connect.ts"
import type { Environment } from "./environment.ts"
import { Machine } from "./machine.ts"
import { watchHypervisor } from "./process.ts"
import { fingerprintOf, type MachineRecord, readRecord } from "./record.ts"

const QMP_DEADLINE_MS = 2000
const GONE_POLL_MS = 10

/** The machine that runs in this run directory, or undefined, and then nothing is left there. */
export async function adopt(env: Environment): Promise<Machine | undefined> {
  const record = await readRecord(env.paths.record)
  if (record !== undefined && record.proven && isAlive(record.identity)) {
    try {
      return await takeOver(env, record)
    } catch (error) {
      env.context.signal.throwIfAborted()
      // A machine without a monitor can neither be asked nor stopped: it makes room for one that can.
      env.context.log.info("cannot take over the machine, ending it", { reason: String(error) })
    }
  }
  await clear(env, record)
  return undefined
}

async function takeOver(env: Environment, record: MachineRecord): Promise<Machine> {
  const { paths, context } = env
  const early: QmpEvent[] = []
  let hear = (event: QmpEvent): void => void early.push(event)
  const qmp = await connectQmp(paths.qmp, {
    signal: context.signal,
    deadlineMs: QMP_DEADLINE_MS,
    onEvent: (event) => hear(event),
  })
  try {
    const state = await queryState(qmp.execute("query-status", undefined, context.signal))
    const serial = await connectSerial(paths.serial)
    const lost = withResolvers<void>()
    qmp.closed.then(lost.resolve, () => lost.resolve())
    const machine = new Machine({
      paths,
      process: watchHypervisor(record.identity, lost.promise),
      record,
      state,
      logTail: () => env.log.tail(),
      emit: context.emit,
      onRecordError: (error) => context.log.info("cannot write vm.json", { reason: String(error) }),
    })
    hear = (event) => machine.hear(event)
    for (const event of early) hear(event)
    machine.control(qmp)
    machine.onEnd(() => serial.destroy())
    env.console.onLine = (line) => machine.read(line)
    env.console.attach(serial)
    const sameOptions = record.fingerprint === fingerprintOf(env.options)
    context.log.info("took over the running machine", { pid: record.identity.pid, state, sameOptions })
    context.emit({ type: "adopted", pid: record.identity.pid, state, sameOptions })
    return machine
  } catch (error) {
    await qmp[Symbol.asyncDispose]()
    throw error
  }
}

const QueryStatus = z.object({ status: z.string() })

async function queryState(answer: Promise<unknown>): Promise<MachineState> {
  const { status } = QueryStatus.parse(await answer)
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
  if (record !== undefined) {
    while (signalProcess(record.identity, "SIGKILL")) await sleep(GONE_POLL_MS, neverAborts)
  } else if (existsSync(paths.qmp)) await quitUnknown(paths.qmp)
  const stale = [paths.record, paths.qmp, paths.qmpNetwork, paths.serial]
  await Promise.all(stale.map((path) => rm(path, { force: true })))
}

/** A launcher that was killed between the spawn and vm.json leaves a machine that waits for its `cont` for ever. */
async function quitUnknown(path: string): Promise<void> {
  try {
    await using qmp = await connectQmp(path, { signal: neverAborts, deadlineMs: QMP_DEADLINE_MS })
    await qmp.execute("quit")
    await qmp.closed
  } catch (error) {
    if (!(error instanceof SidecarError)) throw error // nobody answers there: the socket is stale
  }
}

const neverAborts = new AbortController().signal
