/**
 * A hypervisor for tests: takes QEMU's command line, serves its monitors and a serial port, and boots a guest that does
 * what is typed on its console.
 *
 * Before QEMU's own arguments stands how it behaves under each accelerator: `{"kvm": "silent", "tcg": "boots"}`.
 *
 * @module
 */
import { once } from "node:events"
import { appendFileSync, readFileSync, rmSync } from "node:fs"
import { createServer, type Server, type Socket } from "node:net"
import { createInterface } from "node:readline"
import type { Behaviour, Behaviours } from "./behaviour.ts"
import { Netdevs } from "./netdevs.ts"

const STUB = "Probing EDD (edd=off to disable)... ok\r\n"
const SSH = "skep: phase ssh 3.00\r\n"
const CHECK_LOOKS = 40
const [behaviours = "{}", ...args] = process.argv.slice(2)
const { log, monitor, ...byAccelerator }: Behaviours = JSON.parse(behaviours)
const accelerator = (args[args.indexOf("-accel") + 1] ?? "").split(",")[0] === "kvm" ? "kvm" : "tcg"
const behaviour = behaviourOf(byAccelerator[accelerator])

const paths = new Map<string, string>()
for (const [index, argument] of args.entries()) {
  if (argument !== "-chardev") continue
  const values = new Map(
    (args[index + 1] ?? "").split(",").map((pair) => [pair.split("=")[0], pair.split("=")[1]]),
  )
  paths.set(values.get("id") ?? "", values.get("path") ?? "")
}

const monitors = new Set<Socket>()
const netdevs = new Netdevs(say)
let serial: Socket | undefined
let status = "prelaunch"
let resets = 0
let lookedAt = 0

if (behaviour === "aborts") {
  process.stderr.write("qemu-system-x86_64: error: failed to set MSR 0x10a to 0x69\n")
  process.kill(process.pid, "SIGABRT")
  await once(process, "exit")
}
if (behaviour === "refuses") {
  process.stderr.write('qemu-system-x86_64: -blockdev x: Failed to get "write" lock\n')
  process.exit(1)
}
for (const [id, path] of paths) if (id.startsWith("vhost-")) await keeperAt(path)
await listen(createServer(serveSerial), paths.get("serial") ?? "")
await listen(createServer(serveMonitor), paths.get("qmp-network") ?? "")
await listen(createServer(serveOddMonitor), paths.get("qmp") ?? "")

/** "silent twice" counts the starts in a file that outlives the process. */
function behaviourOf(wanted: Behaviour | undefined): Behaviour {
  if (log !== undefined) appendFileSync(log, `${accelerator}\n`)
  if (wanted !== "silent-twice") return wanted ?? "boots"
  return readFileSync(log ?? "", "utf8")
    .trim()
    .split("\n").length <= 2
    ? "silent"
    : "boots"
}

function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve) => {
    server.listen(path, resolve)
  })
}

/** As `server=on,wait=on`: nothing goes on before somebody has connected; later somebody else may. */
async function keeperAt(path: string): Promise<void> {
  const server = createServer((client) => {
    client.on("error", () => client.destroy())
    client.resume()
  })
  const connected = once(server, "connection")
  await listen(server, path)
  await connected
}

let monitorClients = 0

function serveOddMonitor(client: Socket): void {
  monitorClients++
  client.on("error", () => client.destroy())
  if (monitor === "hangs-up-once" && monitorClients === 1) client.end()
  else if (monitor === "slow") setTimeout(() => serveMonitor(client), 2500)
  else if (monitor !== "mute") serveMonitor(client)
}

function serveMonitor(client: Socket): void {
  monitors.add(client)
  client.on("close", () => monitors.delete(client))
  client.on("error", () => client.destroy())
  client.write(
    '{"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7}}, "capabilities": []}}\r\n',
  )
  createInterface({ input: client }).on("line", (line) => {
    const { execute, id, arguments: values }: Command = JSON.parse(line)
    const answer = netdevs.run(execute, values ?? {}) ?? { return: run(execute) }
    client.write(`${JSON.stringify({ ...answer, id })}\r\n`)
    if (execute === "quit") end("host-qmp-quit", false)
  })
}

interface Command {
  readonly execute: string
  readonly id: number
  readonly arguments?: Readonly<Record<string, unknown>>
}

function run(command: string): unknown {
  switch (command) {
    case "cont":
      return resume()
    case "stop":
      status = "paused"
      say("STOP")
      return {}
    case "query-status":
      return { status, running: status === "running" }
    case "system_reset":
      resets++
      say("RESET", { guest: false, reason: "host-qmp-system-reset" })
      boot()
      return {}
    case "query-blockstats":
      return [{ stats: { rd_operations: reads(), wr_operations: 0 } }]
    case "system_powerdown":
      say("POWERDOWN")
      if (behaviour !== "deaf") setImmediate(() => end("guest-shutdown", true))
      return {}
    default:
      return {}
  }
}

function resume(): unknown {
  const first = status === "prelaunch"
  status = "running"
  say("RESUME")
  if (first && behaviour !== "silent") {
    serial?.write(STUB)
    if (behaviour !== "stub-only") boot()
  }
  return {}
}

function boot(): void {
  serial?.write("[    0.000000] Linux version 6.1.0\r\nskep: phase kernel 0.01\r\n")
  if (behaviour === "hangs-twice" && resets === 2) serial?.write(SSH)
}

/** A file system is checked for as long as somebody looks so many times. */
function reads(): number {
  if (behaviour !== "checks-its-disk") return 7
  lookedAt++
  if (lookedAt === CHECK_LOOKS) serial?.write(SSH)
  return lookedAt
}

function serveSerial(client: Socket): void {
  serial = client
  client.on("error", () => client.destroy())
  client.on("close", () => {
    if (serial === client) serial = undefined
  })
  createInterface({ input: client }).on("line", type)
}

/** What somebody types on the guest's console. */
function type(line: string): void {
  const [command = "", ...rest] = line.split(" ")
  switch (command) {
    case "poweroff":
      return end("guest-shutdown", true)
    case "crash":
      process.stderr.write("qemu-system-x86_64: error: out of luck\n")
      return process.exit(3)
    case "panic":
      serial?.write(`[    1.000000] Kernel panic - not syncing: ${rest.join(" ")}\r\n`)
      say("RESET", { guest: true, reason: "guest-reset" })
      return
    case "reboot":
      say("RESET", { guest: true, reason: "guest-reset" })
      return
    case "nospace":
      status = "io-error"
      say("BLOCK_IO_ERROR", {
        "node-name": "disk-skep-data",
        action: "stop",
        nospace: true,
        reason: "No space",
      })
      return say("STOP")
    case "boot":
      return boot()
    case "flood":
      serial?.write("x".repeat(Number(rest[0])))
      return
    case "garble":
      for (const monitor of monitors) monitor.write("not QMP at all\n")
      return
    default:
      serial?.write(`${line}\r\n`)
  }
}

function say(event: string, data: unknown = {}): void {
  for (const monitor of monitors)
    monitor.write(`${JSON.stringify({ event, data, timestamp: { seconds: 1, microseconds: 0 } })}\r\n`)
}

function end(reason: string, guest: boolean): void {
  say("SHUTDOWN", { guest, reason })
  for (const path of paths.values()) rmSync(path, { force: true })
  const open = [...monitors]
  let left = open.length
  if (left === 0) process.exit(0)
  for (const monitor of open) {
    monitor.end(() => {
      left--
      if (left === 0) process.exit(0)
    })
  }
}
