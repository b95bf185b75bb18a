/**
 * One attempt to get a line out of a guest under one accelerator.
 *
 * @module
 */
import { type Accelerator, SidecarError } from "@skep/contract"
import { Cleanup, identityOf, orAborted, withResolvers } from "@skep/runtime"
import { qemuArguments } from "../hypervisor/qemu.ts"
import { awaitQmp, connectSerial } from "./connect.ts"
import type { Environment } from "./environment.ts"
import { Machine } from "./machine.ts"
import { spawnHypervisor } from "./process.ts"
import { fingerprintOf, networkOf } from "./record.ts"

export type Outcome =
  | { readonly kind: "up"; readonly machine: Machine }
  /** It ran and said nothing. It is gone. */
  | { readonly kind: "silent"; readonly seconds: number }
  /** The hypervisor ended by itself. */
  | { readonly kind: "died"; readonly reason: string; readonly detail: readonly string[] }

/** Rejects with the signal's reason, and then nothing is left of the machine. */
export async function attempt(
  env: Environment,
  accelerator: Accelerator,
  patienceMs: number,
): Promise<Outcome> {
  const { signal } = env.context
  signal.throwIfAborted()
  await using cleanup = new Cleanup()
  const machine = await spawnMachine(env, accelerator)
  cleanup.defer(() => end(machine))
  const died = machine.ended.then((ending): Outcome => {
    if (ending.state === "crashed") return { kind: "died", reason: ending.reason, detail: ending.detail }
    return {
      kind: "died",
      reason: "the machine stopped before its guest printed anything",
      detail: env.log.tail(),
    }
  })
  const outcome = await orAborted(Promise.race([died, untilItPrints(env, machine, patienceMs)]), signal)
  if (outcome.kind === "up") cleanup.move()
  return outcome
}

/** Ends a machine whatever it does and waits until nothing of it is left. */
export async function end(machine: Machine): Promise<void> {
  machine.expectEnd()
  machine.process.kill()
  await machine.ended
}

async function spawnMachine(env: Environment, accelerator: Accelerator): Promise<Machine> {
  const { options, paths, context } = env
  const args = qemuArguments({
    description: options,
    accelerator,
    sockets: paths,
    platform: process.platform,
  })
  const startedAtMs = Date.now()
  const hypervisor = await spawnHypervisor(options.program, args, env.log)
  context.log.debug("hypervisor started", { pid: hypervisor.identity.pid, accelerator })
  const record = {
    name: options.name,
    identity: hypervisor.identity,
    accelerator,
    argv: [options.program, ...args],
    startedAtMs,
    proven: false,
    phases: [],
    fingerprint: fingerprintOf(options),
    network: networkOf(options.network),
  }
  let told = false
  const machine: Machine = new Machine({
    paths,
    process: hypervisor,
    record,
    state: "starting",
    adopted: false,
    logTail: () => env.log.tail(),
    // What an attempt that failed went through is told by its outcome.
    emit: (event) => {
      told ||= machine.state === "running"
      if (told) context.emit(event)
    },
    onRecordError: (error) => context.log.info("cannot write vm.json", { reason: String(error) }),
  })
  return machine
}

async function untilItPrints(env: Environment, machine: Machine, patienceMs: number): Promise<Outcome> {
  const ended = new AbortController()
  void machine.ended.then(() => ended.abort(new SidecarError("crashed", "QEMU ended")))
  const signal = AbortSignal.any([env.context.signal, ended.signal])
  try {
    const qmp = await awaitQmp(env.paths.qmp, signal, (event) => {
      machine.hear(event)
      env.link?.hear(event)
    })
    machine.control(qmp)
    const serial = await connectSerial(env.paths.serial)
    machine.onEnd(() => serial.destroy())
    env.console.onLine = (line) => machine.read(line)
    env.console.attach(serial)
    // QEMU takes the console's connection and our commands in one loop: after one answer it has the console.
    await qmp.execute("query-status", undefined, signal)
    machine.onEnd(() => env.link?.stop())
    await env.link?.start(qmp)
    await qmp.execute("cont", undefined, signal)
  } catch (error) {
    // The race around us is decided by the end of the process, which may be a moment away.
    if (signal.aborted || identityOf(machine.process.identity.pid) === undefined) return await never()
    throw error
  }
  return await firstLineWithin(machine, patienceMs)
}

async function firstLineWithin(machine: Machine, patienceMs: number): Promise<Outcome> {
  const silent = withResolvers<Outcome>()
  const timer = setTimeout(() => silent.resolve({ kind: "silent", seconds: patienceMs / 1000 }), patienceMs)
  try {
    const up = machine.firstLine.then((): Outcome => ({ kind: "up", machine }))
    return await Promise.race([up, silent.promise, machine.ended.then(() => never())])
  } finally {
    clearTimeout(timer)
  }
}

function never(): Promise<never> {
  return new Promise(() => undefined)
}
