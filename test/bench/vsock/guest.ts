/**
 * One boot of a bare guest with three ways to it: our vsock device behind its keeper, QEMU's user network, virtio-serial.
 *
 * At the guest's end of each way are the same three programs, Debian's socat: a source of zeros, a sink, an echo.
 *
 * @module
 */
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { createWriteStream, existsSync, mkdirSync } from "node:fs"
import { connect, type Socket } from "node:net"
import { join } from "node:path"
import { setTimeout as delay } from "node:timers/promises"
import { type LoopThread, startLoop } from "@skep/loop"
import { type SocketAddress, UNIX_PATH_MAX } from "@skep/loop/sys"
import { freePort } from "../../../apps/skep/src/machine/port.ts"
import type { KeeperCalls } from "../../../packages/vsock/test/process/keeper-thread.ts"
import { prepareBare, withSerialPorts, withVsock } from "../../vm/bare-qemu.ts"
import { processCpu } from "./cpu.ts"

const MEMORY_MIB = 1024
const CID = 3
const BOOT_MS = 60_000
/** Processor time of QEMU in a second in which its guest does nothing. */
const REST_S = 0.15
/**
 * Receive buffers of the guest's vsock sockets: as much as TCP takes by itself where it is of use (tcp_rmem). The options are
 * SO_VM_SOCKETS_BUFFER_MAX_SIZE and SO_VM_SOCKETS_BUFFER_SIZE of AF_VSOCK, a u64 each.
 */
const RECEIVE = "x0000400000000000"
const VSOCK_OPTIONS = `setsockopt=40:2:${RECEIVE},setsockopt=40:0:${RECEIVE}`
/** Streams at a time that wait for the guest's socat to take them. */
const BACKLOG = 4096

export type Service = "source" | "sink" | "echo"
export const WAYS = ["vsock", "user network", "virtio-serial"] as const
export type Way = (typeof WAYS)[number]

const PORTS: Readonly<Record<Service, number>> = { source: 5001, sink: 5002, echo: 5003 }
/** The echo is a pipe whose two ends one process holds: what is written there must fit, which PIPE_BUF bytes do where poll says so. */
const BUFFERS: Readonly<Record<Service, number>> = { source: 262_144, sink: 262_144, echo: 4096 }
const SERVICES = Object.keys(PORTS) as Service[]
/** Its socat takes one connection and no more: all others stay with the guest's kernel. */
export const KERNEL_PORT = 5004

export interface BenchGuest extends AsyncDisposable {
  /** The sidecar's process, and QEMU's, whose first thread does the work of the other two ways. */
  readonly sidecarPid: number
  readonly qemuPid: number
  /** Where a client of the way begins, and what it says first. */
  readonly address: (way: Way, service: Service) => HostAddress
  readonly greeting: (way: Way, service: Service | number) => string
  /** A connection that is through to the guest; end its use with `release`. */
  readonly open: (way: Way, service: Service) => Promise<Socket>
  readonly release: (way: Way, socket: Socket) => void
}

/** What ends a greeting of Firecracker's dialect: `OK PORT\n`. */
export const GREETED = /^OK \d+\n$/

export interface GuestOptions {
  /** Emptied first. Short, for its sockets. */
  readonly directory: string
  readonly images: string
  readonly accelerator: "kvm" | "tcg"
  /** The built skep-vsock. */
  readonly sidecar: string
}

/** Resolves when every service of every way answers. */
export async function bootGuest(options: GuestOptions): Promise<BenchGuest> {
  const at = (name: string): string => join(options.directory, name)
  if (at("serial-source.sock").length > UNIX_PATH_MAX) throw new Error(`"${options.directory}" is too long`)
  const tcp = { source: await freePort(), sink: await freePort(), echo: await freePort() }
  const argv = await prepareBare({
    directory: options.directory,
    images: options.images,
    accelerator: options.accelerator,
    memoryMiB: MEMORY_MIB,
    bootLocal: bootLocal(),
    forwards: SERVICES.map((service) => ({
      transport: "tcp",
      hostAddress: "127.0.0.1",
      hostPort: tcp[service],
      guestPort: PORTS[service],
    })),
  })
  mkdirSync(at("v"))
  const owned: { sidecar?: ChildProcess; keeper?: LoopThread<KeeperCalls>; qemu?: ChildProcess } = {}
  const close = async (): Promise<void> => {
    await ended(owned.qemu, "SIGKILL")
    await owned.keeper?.stop()
    await ended(owned.sidecar, "SIGTERM")
  }
  try {
    const sidecar = await startSidecar(options.sidecar, at)
    owned.sidecar = sidecar
    owned.keeper = await startLoop<KeeperCalls>(
      new URL("../../../packages/vsock/test/process/keeper-thread.ts", import.meta.url),
      {
        data: { front: at("front.sock"), back: at("back.sock") },
      },
    )
    const serial = SERVICES.map((name) => ({ name: `bench.${name}`, socket: at(`serial-${name}.sock`) }))
    const words = withSerialPorts(withVsock(argv, MEMORY_MIB, at("front.sock")), serial)
    const qemu = spawn("qemu-system-x86_64", words, { stdio: ["ignore", "ignore", "pipe"] })
    owned.qemu = qemu
    qemu.stderr.pipe(createWriteStream(at("qemu.log")))
    // A port of virtio-serial has no connections that its programs in the guest could follow, so it gets one for good.
    const kept = new Map<Service, Promise<Socket>>()
    const address: BenchGuest["address"] = (way, service) => {
      if (way === "user network") return { family: "inet", address: "127.0.0.1", port: tcp[service] }
      return { family: "unix", path: way === "vsock" ? at("fc.sock") : at(`serial-${service}.sock`) }
    }
    const greeting: BenchGuest["greeting"] = (way, service) =>
      way === "vsock" ? `CONNECT ${typeof service === "number" ? service : PORTS[service]}\n` : ""
    const guest: BenchGuest = {
      sidecarPid: sidecar.pid ?? 0,
      qemuPid: qemu.pid ?? 0,
      address,
      greeting,
      open: (way, service) => {
        const made = (): Promise<Socket> => opened(address(way, service), greeting(way, service))
        if (way !== "virtio-serial") return made()
        const connection = kept.get(service) ?? made()
        kept.set(service, connection)
        return connection
      },
      release: (way, socket) => {
        if (way === "virtio-serial") socket.pause().removeAllListeners("data")
        else socket.destroy()
      },
      [Symbol.asyncDispose]: async () => {
        for (const socket of kept.values()) (await socket).destroy()
        await close()
      },
    }
    await Promise.race([
      ready(guest).then(() => rest(guest)),
      once(qemu, "exit").then(() => failed(at("qemu.log"))),
    ])
    return guest
  } catch (error) {
    await close()
    throw error
  }
}

function failed(log: string): never {
  throw new Error(`QEMU ended before the guest answered: see ${log}`)
}

/** Each way has its three programs; whatever a virtio-serial port is called in /dev, its name is in /sys. */
function bootLocal(): string {
  // Without -t an end of the stream leaves the other direction half a second.
  const flags = { source: "-U", sink: "-u", echo: "-t 60" }
  const end = { source: "OPEN:/dev/zero", sink: "OPEN:/dev/null", echo: "PIPE" }
  const lines = SERVICES.flatMap((service) => {
    const command = `socat ${flags[service]} -b ${BUFFERS[service]}`
    const listen = (family: string, options: string): string =>
      `${command} ${family}-LISTEN:${PORTS[service]},fork,backlog=${BACKLOG},${options} ${end[service]} &`
    return [
      listen("VSOCK", VSOCK_OPTIONS),
      listen("TCP", "reuseaddr,nodelay"),
      // As long as the host is not there, a read says that this is the end, and a write that there is nobody.
      `while :; do ${command} OPEN:$(port bench.${service})${service === "source" ? "" : ",ignoreeof"} ${end[service]}; sleep 1; done &`,
    ]
  })
  return [
    "#!/bin/sh",
    "exec >/dev/null 2>&1",
    "modprobe vmw_vsock_virtio_transport",
    "modprobe virtio_console",
    'port() { for at in /sys/class/virtio-ports/*; do if [ "$(cat $at/name)" = $1 ]; then echo /dev/${at##*/}; fi; done; }',
    ...lines,
    `socat VSOCK-LISTEN:${KERNEL_PORT},fork,max-children=1,backlog=${BACKLOG} OPEN:/dev/null &`,
    "",
  ].join("\n")
}

async function startSidecar(program: string, at: (name: string) => string): Promise<ChildProcess> {
  const args = ["--guest-cid", String(CID), "--socket", at("back.sock"), "--directory", at("v")]
  const more = ["--uds-path", at("fc.sock"), "--control", at("control.sock")]
  const child = spawn(process.execPath, [program, ...args, ...more], { stdio: ["ignore", "pipe", "pipe"] })
  child.stderr.pipe(createWriteStream(at("sidecar.log")))
  const gone = once(child, "exit").then(() => {
    throw new Error(`skep-vsock ended before it was ready: see ${at("sidecar.log")}`)
  })
  await Promise.race([once(child.stdout, "data"), gone]) // its `ready` line
  return child
}

async function ready(guest: BenchGuest): Promise<void> {
  const end = Date.now() + BOOT_MS
  await connectSerial(guest)
  for (const way of ["vsock", "user network"] as const) {
    while (!(await echoes(guest, way))) {
      if (Date.now() > end) throw new Error(`the guest does not answer over ${way}`)
      await delay(100)
    }
  }
}

/** Waits until the guest has nothing more to do: its Docker is still starting when it answers first. */
async function rest(guest: BenchGuest): Promise<void> {
  const end = Date.now() + BOOT_MS
  for (;;) {
    const before = processCpu(guest.qemuPid)
    await delay(1000)
    if (processCpu(guest.qemuPid) - before < REST_S) return
    if (Date.now() > end) throw new Error("the guest does not come to rest")
  }
}

/** Connected before the guest looks for somebody there. */
async function connectSerial(guest: BenchGuest): Promise<void> {
  const end = Date.now() + BOOT_MS
  for (const service of ["source", "sink"] as const) {
    const { path = "" } = guest.address("virtio-serial", service) as { path?: string }
    while (!existsSync(path)) {
      if (Date.now() > end) throw new Error("QEMU does not open its virtio-serial ports")
      await delay(10)
    }
    await guest.open("virtio-serial", service)
  }
}

/** Whether a word comes back. */
async function echoes(guest: BenchGuest, way: Way): Promise<boolean> {
  const socket = await guest.open(way, "echo").catch(() => undefined)
  if (socket === undefined) return false
  try {
    socket.setTimeout(1000, () => socket.destroy())
    socket.write("ready")
    for await (const chunk of socket) return String(chunk) === "ready"
    return false
  } catch {
    return false
  } finally {
    socket.destroy()
  }
}

type HostAddress = Exclude<SocketAddress, { readonly family: "vsock" }>

async function opened(address: HostAddress, greeting: string): Promise<Socket> {
  const socket =
    address.family === "unix"
      ? connect({ path: address.path })
      : connect({ host: address.address, port: address.port })
  try {
    await once(socket, "connect")
    socket.setNoDelay()
    if (greeting !== "") await greet(socket, greeting)
    socket.on("error", () => socket.destroy())
    return socket
  } catch (error) {
    socket.destroy()
    throw error
  }
}

/** Reads the answer byte by byte: what follows it is the guest's. */
async function greet(socket: Socket, greeting: string): Promise<void> {
  socket.write(greeting)
  let line = ""
  while (!line.endsWith("\n")) {
    const byte = socket.read(1) as Buffer | null
    if (byte !== null) line += byte.toString("latin1")
    else if (socket.readableEnded || socket.destroyed) break
    else await Promise.race([once(socket, "readable"), once(socket, "end"), once(socket, "close")])
  }
  if (!GREETED.test(line)) throw new Error(`the guest's port refused: ${JSON.stringify(line)}`)
}

async function ended(child: ChildProcess | undefined, signal: NodeJS.Signals): Promise<void> {
  if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
  const gone = once(child, "exit")
  child.kill(signal)
  await gone
}
