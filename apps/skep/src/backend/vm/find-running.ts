/**
 * Finding a machine that runs already, after the backend was killed or replaced.
 *
 * @module
 */
import { existsSync } from "node:fs"
import { type LauncherRunning, type LauncherStatus, SidecarError } from "@skep/contract"
import { adoptLauncher, hypervisorRuns, pullPlug } from "@skep/launcher"
import type { MachinePaths } from "../../home/paths.ts"
import type { HomeNetwork } from "../network/home-network.ts"
import type { VmContext } from "./context.ts"
import { GuestPhases } from "./guest-phases.ts"
import { startLauncher } from "./launcher-process.ts"
import { type MachineNetwork, networkOf, networkOfRunning, serves } from "./network/network.ts"
import { endOwnNetwork } from "./network/own.ts"
import { describeMachine, SHARES } from "./prepare.ts"
import { endShares } from "./shares/end.ts"
import type { MachineShares } from "./shares/machine-shares.ts"
import { sharesOf } from "./shares/shares-of.ts"
import { Vm } from "./vm.ts"
import { endVsock, MachineVsock } from "./vsock.ts"

const never = new AbortController().signal

/**
 * The running machine, or undefined. A hypervisor whose launcher was killed gets a new launcher. Bounded by the deadlines of
 * the launcher, and not to be interrupted: what is left half-way could not be stopped by anybody.
 */
export async function findRunning(context: VmContext): Promise<Vm | undefined> {
  const adopted = await adoptExisting(context)
  if (adopted !== undefined) return adopted
  if (!(await hypervisorRuns(context.paths.run))) return undefined
  const image = await context.images.any()
  // The launcher looks which of the devices this machine was started with.
  const { record } = context
  const network = networkOf(context, record.network ?? "skep", record.networkLink)
  const options = await describeMachine(context.home, context.paths, context.record, image, {
    vsock: true,
    shares: true,
    network: network.describe(),
  })
  // First, since a launcher that cannot take the machine over starts it anew, and QEMU waits for its devices.
  const sidecar = new MachineVsock(context)
  const vsock = (status: LauncherStatus): MachineVsock | undefined => {
    if (has("vsock", status)) return sidecar
    void sidecar[Symbol.asyncDispose]()
    return undefined
  }
  const serving = sharesOf({ ...context, hostAddress: () => network.hostAddress() })
  const shares = (status: LauncherStatus): MachineShares | undefined => {
    if (has(SHARES, status)) return serving
    void serving?.[Symbol.asyncDispose]()
    return undefined
  }
  try {
    return await startLauncher(context, options, {
      report: () => undefined,
      signal: never,
      network: (status) => theRightOne(context, network, status),
      vsock,
      shares,
    })
  } catch (error) {
    await network[Symbol.asyncDispose]()
    await serving?.[Symbol.asyncDispose]()
    await sidecar[Symbol.asyncDispose]()
    throw error
  }
}

/** Whether there may be something to find. */
export async function mayRun(paths: MachinePaths): Promise<boolean> {
  return existsSync(paths.launcherSocket) || (await hypervisorRuns(paths.run))
}

/** Ends what runs in a machine's run directory though nobody could adopt it; asks it to power off first if told so. */
export async function endStray(
  name: string,
  paths: MachinePaths,
  network: HomeNetwork,
  powerdownMs?: number,
): Promise<void> {
  await network.expel(name)
  if (!(await mayRun(paths))) return
  try {
    const stray = await adoptLauncher({ control: paths.launcherSocket, signal: never })
    if (powerdownMs === undefined) await stray.kill()
    else await stray.powerdown(powerdownMs).catch(() => stray.kill())
  } catch (error) {
    if (!(error instanceof SidecarError)) throw error
    await pullPlug(paths.run)
  }
  await endShares(paths)
  await endVsock(paths)
  await endOwnNetwork(paths)
}

/** A machine that was told to change its network has the old one until its next start. */
function theRightOne(context: VmContext, network: MachineNetwork, status: LauncherStatus): MachineNetwork {
  if (serves(network, status)) return network
  void network[Symbol.asyncDispose]()
  return networkOfRunning(context, status)
}

/** Whether it was started with that device. */
function has(device: string, { devices }: Pick<LauncherStatus, "devices">): boolean {
  return devices.some(({ name }) => name === device)
}

async function adoptExisting(context: VmContext): Promise<Vm | undefined> {
  const phases = new GuestPhases()
  let vm: Vm | undefined
  let launcher: LauncherRunning
  try {
    launcher = await adoptLauncher({
      control: context.paths.launcherSocket,
      signal: never,
      emit: (event) => {
        if (vm === undefined) phases.onEvent(event)
        else vm.onEvent(event)
        context.emit(event)
      },
    })
  } catch (error) {
    if (error instanceof SidecarError && error.code === "unreachable") return undefined
    throw error
  }
  const status = await launcher.status()
  for (const phase of status.phases) phases.reach(phase.name)
  const network = networkOfRunning(context, status)
  const vsock = has("vsock", status) ? new MachineVsock(context) : undefined
  const shares = has(SHARES, status)
    ? sharesOf({ ...context, hostAddress: () => network.hostAddress() })
    : undefined
  vm = new Vm({ context, launcher, phases, status, network, vsock, shares })
  return vm
}
