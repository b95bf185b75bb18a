/**
 * `skep up`, `stop`, `kill`, `restart`, `rm`: the verbs that change a machine.
 *
 * @module
 */
import { createInterface } from "node:readline/promises"
import { SidecarError } from "@skep/contract"
import type { Removal, RemovedMachine } from "../../backend/leases/machine-leases.ts"
import type { MachineView } from "../../backend/view.ts"
import { type BackendClient, checkExists, connectBackend } from "../../client/backend.ts"
import { createContext, removeContext } from "../../context/docker-context.ts"
import { checkName } from "../../home/paths.ts"
import { type Changes, checkBounds } from "../../machine/record.ts"
import { exportFirst, takeBackRest } from "../exports-step.ts"
import { portNotes } from "../port-rows.ts"
import { showProgress } from "../progress.ts"
import type { Session } from "../session.ts"

export async function up(session: Session, name: string, changes: Changes): Promise<void> {
  const verb = path(name, "/up")
  checkBounds(changes)
  await bring(session, name, verb, changes, {})
}

/** Brings the machine up by this verb, then makes its docker context. */
async function bring(
  session: Session,
  name: string,
  verb: string,
  changes: Changes,
  how: { readonly restarts?: boolean },
): Promise<void> {
  const { output, signal } = session
  const backend = await connectBackend(session.home, signal)
  await exportFirst({ session, backend, machine: name }, { changes, ...how })
  await showProgress(output, backend.stream("POST", verb, changes))
  signal.throwIfAborted()
  const machine = await backend.machine(name)
  const context = await createContext({
    machine: name,
    dockerSocket: machine.dockerSocket,
    env: process.env,
    bin: session.home.bin,
    signal,
  })
  if (output.json) {
    output.item({ type: "done", machine, context })
    return
  }
  for (const note of portNotes(machine.ports)) output.note(note)
  output.note(`${name} is up. ${context.sentence}`)
}

export async function stop(session: Session, names: readonly string[]): Promise<void> {
  for (const name of names) checkExists(session.home, name)
  const backend = await connectBackend(session.home, session.signal)
  for (const name of names) {
    if (isDown(await backend.machine(name))) session.output.note(`${name} is stopped already`)
    else await showProgress(session.output, backend.stream("POST", path(name, "/stop")))
    await takeBackRest({ session, backend, machine: name })
    await report(session, backend, name)
  }
}

export async function kill(session: Session, names: readonly string[]): Promise<void> {
  for (const name of names) checkExists(session.home, name)
  const backend = await connectBackend(session.home, session.signal)
  for (const name of names) {
    await backend.request("POST", path(name, "/kill"))
    await takeBackRest({ session, backend, machine: name })
    await report(session, backend, name)
  }
}

export async function restart(session: Session, name: string, changes: Changes): Promise<void> {
  checkExists(session.home, name)
  await bring(session, name, path(name, "/restart"), changes, { restarts: true })
}

export async function remove(session: Session, names: readonly string[], removal: Removal): Promise<void> {
  const { force, keepLease = false } = removal
  const { output, signal } = session
  for (const name of names) checkExists(session.home, name)
  const backend = await connectBackend(session.home, signal)
  for (const name of names) {
    const machine = await backend.machine(name)
    const sure = force || (!isDown(machine) && (await confirmed(session, machine)))
    const query = `force=${sure}${keepLease ? "&keep-lease=true" : ""}`
    // The backend is of our own build, so its answers have our own types.
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion
    const removed = (await backend.request("DELETE", `${path(name)}?${query}`)) as RemovedMachine
    await takeBackRest({ session, machine: name })
    await removeContext({ machine: name, env: process.env, bin: session.home.bin, signal })
    if (output.json) output.item({ type: "removed", name, ...removed })
    else output.note(`${name} is removed, with its disk${keepLease ? keptNote(removed) : ""}`)
  }
}

function keptNote({ kept }: RemovedMachine): string {
  return kept === undefined
    ? ". No address is kept: it had none on Skep's network"
    : `. ${kept} stays reserved for a machine of its name`
}

async function confirmed(session: Session, machine: MachineView): Promise<boolean> {
  if (session.output.json || !process.stdin.isTTY || !process.stderr.isTTY) return false
  const lines = createInterface({ input: process.stdin, output: process.stderr })
  try {
    const answer = await lines.question(
      `${machine.name} is ${machine.state}. Stop it and delete it with its disk? [y/N] `,
      {
        signal: session.signal,
      },
    )
    if (/^y(es)?$/i.test(answer.trim())) return true
  } catch (error) {
    // Ctrl-C and Ctrl-D are a no as well.
    if (!(error instanceof Error) || error.name !== "AbortError") throw error
    process.stderr.write("\n")
  } finally {
    lines.close()
  }
  throw new SidecarError("aborted", `The machine "${machine.name}" was kept`)
}

async function report(session: Session, backend: BackendClient, name: string): Promise<void> {
  const machine = await backend.machine(name)
  if (session.output.json) session.output.item({ type: "done", machine })
  else session.output.note(`${name} is ${machine.state}`)
}

function isDown(machine: MachineView): boolean {
  return machine.state === "stopped" || machine.state === "crashed"
}

function path(name: string, verb = ""): string {
  return `/machines/${encodeURIComponent(checkName(name))}${verb}`
}
