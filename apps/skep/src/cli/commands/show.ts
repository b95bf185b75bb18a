/**
 * `skep ls`, `status`, `inspect`, `ip`, `url`: what a machine is and how it is.
 *
 * @module
 */
import { isIPv4 } from "node:net"
import { SidecarError } from "@skep/contract"
import { EXIT } from "@skep/runtime/exit"
import type { MachineView } from "../../backend/view.ts"
import { checkExists, connectBackend, hasMachines } from "../../client/backend.ts"
import { guestRows, type Row } from "../guest-rows.ts"
import { formatBytes, formatDuration } from "../output.ts"
import { portCount, portRows } from "../port-rows.ts"
import type { Session } from "../session.ts"
import { shareRows } from "../share-rows.ts"

export async function list(session: Session, options: { readonly quiet: boolean }): Promise<void> {
  const { home, output, signal } = session
  const machines = (await hasMachines(home)) ? await (await connectBackend(home, signal)).machines() : []
  if (output.json) {
    output.value(machines)
    return
  }
  if (options.quiet) {
    for (const machine of machines) output.line(machine.name)
    return
  }
  if (machines.length === 0) {
    output.note("There are no machines yet. Create one with: skep up")
    return
  }
  output.table(
    ["NAME", "ACTIVE", "STATE", "DOCKER", "CPUS", "MEMORY", "DISK", "UPTIME", "PORTS"],
    machines.map((machine) => [
      machine.name,
      machine.active ? "*" : "",
      machine.state,
      machine.docker,
      String(machine.record?.cpus ?? "-"),
      machine.record === undefined ? "-" : formatBytes(machine.record.memoryMiB * 2 ** 20),
      disk(machine),
      machine.vm === undefined ? "-" : formatDuration(Date.now() - machine.vm.startedAtMs),
      portCount(machine.ports),
    ]),
  )
}

export async function status(session: Session, name: string): Promise<void> {
  const machine = await view(session, name)
  process.exitCode = machine.docker === "up" ? EXIT.done : EXIT.wrongState
  const { output } = session
  if (output.json) {
    output.value(machine)
    return
  }
  const rows = [
    ...stateRows(machine),
    ...sizeRows(machine),
    ...guestRows(machine.guest, Date.now()),
    ...shareRows(machine.shares),
    ...portRows(machine.ports),
    ...problemRows(machine),
  ]
  for (const [key, value] of rows)
    output.line(`${output.style(colours[key] ?? "bold", key.padEnd(10))}  ${value}`)
}

const colours: Readonly<Record<string, "yellow" | "red">> = { warning: "yellow", problem: "red" }

function stateRows({ state, docker, dockerSocket, vm, way }: MachineView): readonly Row[] {
  const rows: Row[] = [
    ["state", state],
    ["docker", docker === "up" && way !== undefined ? `up, over ${way}` : docker],
    ["socket", `unix://${dockerSocket}`],
  ]
  if (vm === undefined) return rows
  return [
    ...rows,
    ["uptime", formatDuration(Date.now() - vm.startedAtMs)],
    ["hypervisor", `${vm.hypervisor}, ${vm.accelerator}, pid ${vm.process.pid}`],
  ]
}

function sizeRows(machine: MachineView): readonly Row[] {
  const { record, vm } = machine
  if (record === undefined) return [["disk", disk(machine)]]
  return [
    ["size", `${record.cpus} CPUs, ${formatBytes(record.memoryMiB * 2 ** 20)} of memory`],
    [
      "network",
      `${record.networkPolicy}, by ${record.network ?? "skep"}${isStreamed(vm) ? ", over QEMU's stream" : ""}`,
    ],
    ["ssh", `127.0.0.1:${record.sshPort}`],
    ["disk", disk(machine)],
  ]
}

/** Not by vhost-user, as machines on Skep's network are where that is to be had. */
function isStreamed(vm: MachineView["vm"]): boolean {
  return vm?.network?.provider === "skep" && vm.network.kind === "stream"
}

function problemRows({ problem }: MachineView): readonly Row[] {
  if (problem === undefined) return []
  const row: Row = ["problem", problem.message]
  return problem.next === undefined ? [row] : [row, ["next", problem.next]]
}

export async function inspect(session: Session, name: string): Promise<void> {
  session.output.value(await view(session, name))
}

/** The address where published ports are; with `guest`, the guest's own, which only the machine itself reaches. */
export async function ip(
  session: Session,
  name: string,
  options: { readonly guest: boolean },
): Promise<void> {
  const machine = await view(session, name)
  const address = options.guest ? guestAddress(machine) : "127.0.0.1"
  if (session.output.json) session.output.value({ name, address })
  else session.output.line(address)
}

/** What the guest says of its own card; QEMU gives every guest the same. */
function guestAddress({ name, state, guest, vm }: MachineView): string {
  const own = guest?.facts?.addresses.find(
    ({ interface: card, scope, address }) => card === "eth0" && scope === "global" && isIPv4(address),
  )
  if (own !== undefined) return own.address
  if (vm?.network?.kind === "qemu-user") return "10.0.2.15"
  throw new SidecarError("not-running", `Cannot tell the address of "${name}": the machine is ${state}`, {
    next: `Start it with skep up ${name}, or ask again in some seconds`,
  })
}

export async function url(session: Session, name: string): Promise<void> {
  const machine = await view(session, name)
  const value = `unix://${machine.dockerSocket}`
  if (session.output.json) session.output.value({ name, url: value })
  else session.output.line(value)
}

async function view(session: Session, name: string): Promise<MachineView> {
  checkExists(session.home, name)
  return await (await connectBackend(session.home, session.signal)).machine(name)
}

function disk(machine: MachineView): string {
  const used = formatBytes(machine.diskBytes)
  return machine.record === undefined ? used : `${used} of ${machine.record.diskGiB} GiB`
}
