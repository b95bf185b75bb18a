/**
 * Finding a machine that runs already, after the backend was killed or replaced.
 *
 * @module
 */
import { type LauncherRunning, SidecarError } from "@skep/contract"
import { adoptLauncher, hypervisorRuns } from "@skep/launcher"
import type { VmContext } from "./context.ts"
import { GuestPhases } from "./guest-phases.ts"
import { startLauncher } from "./launcher-process.ts"
import { describeMachine, prepareImage } from "./prepare.ts"
import { Vm } from "./vm.ts"

const never = new AbortController().signal

/** The running machine, or undefined. A hypervisor whose launcher was killed gets a new launcher. */
export async function findRunning(context: VmContext): Promise<Vm | undefined> {
  const adopted = await adoptExisting(context)
  if (adopted !== undefined) return adopted
  if (!(await hypervisorRuns(context.paths.run))) return undefined
  const ignore = (): void => undefined
  const image = await prepareImage(context.home, context.log, ignore, never)
  const options = await describeMachine(context.home, context.paths, context.record, image)
  return await startLauncher(context, options, ignore, never)
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
  vm = new Vm(context, launcher, phases, status.state)
  return vm
}
