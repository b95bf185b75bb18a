/**
 * The launcher as a process of its own, which outlives the backend.
 *
 * @module
 */
import { closeSync, openSync } from "node:fs"
import type { LauncherRunning, LauncherStatus } from "@skep/contract"
import { type LauncherOptions, launcherProcess } from "@skep/launcher"
import type { Report } from "../operation.ts"
import type { VmContext } from "./context.ts"
import { GuestPhases } from "./guest-phases.ts"
import type { MachineNetwork } from "./network/network.ts"
import type { MachineShares } from "./shares/machine-shares.ts"
import { Vm } from "./vm.ts"
import type { MachineVsock } from "./vsock.ts"

export interface LauncherStart {
  readonly report: Report
  readonly signal: AbortSignal
  /** What serves the machine's network; asked when it is known what the machine has. */
  readonly network: (status: LauncherStatus) => MachineNetwork
  /** The sidecar behind the machine's vsock, if it has one; asked when it is known what the machine has. */
  readonly vsock: (status: LauncherStatus) => MachineVsock | undefined
  /** The sidecar of the machine's shares, in the same way. */
  readonly shares: (status: LauncherStatus) => MachineShares | undefined
}

/** Starts the launcher, or lets a new one take over a hypervisor whose launcher was killed. */
export async function startLauncher(
  context: VmContext,
  options: LauncherOptions,
  { report, signal, network, vsock, shares }: LauncherStart,
): Promise<Vm> {
  const phases = new GuestPhases()
  phases.onRestart = (text) => report({ type: "note", text })
  let vm: Vm | undefined
  const log = openSync(context.paths.launcherLog, "a", 0o600)
  let launcher: LauncherRunning
  try {
    const sidecar = launcherProcess({
      file: process.execPath,
      args: context.programs.launcher,
      control: () => context.paths.launcherSocket,
      stderr: log,
    })
    launcher = await sidecar.start(options, {
      signal,
      log: context.log,
      emit: (event) => {
        if (vm === undefined) phases.onEvent(event)
        else vm.onEvent(event)
        context.emit(event)
      },
    })
  } finally {
    closeSync(log)
  }
  const status = await launcher.status().catch(async (error: unknown) => {
    await launcher[Symbol.asyncDispose]() // nobody else would know of it
    throw error
  })
  for (const phase of status.phases) phases.reach(phase.name)
  if (status.reason !== undefined) report({ type: "note", text: status.reason })
  report({ type: "detail", phase: "boot", text: `${status.hypervisor}, ${status.accelerator}` })
  vm = new Vm({
    context,
    launcher,
    phases,
    status,
    network: network(status),
    vsock: vsock(status),
    shares: shares(status),
  })
  return vm
}
