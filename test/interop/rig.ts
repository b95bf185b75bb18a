/**
 * `skep-network` as it ships, in a namespace that stands for the host, with machines that are namespaces too.
 *
 * ```
 *  guest namespace ── tap0 ──┐
 *  guest namespace ── tap0 ──┤ skep-network   in the host's namespace: loopback, its own hosts file and name server
 *        └─ by a cable that speaks as QEMU does
 * ```
 *
 * @module
 */
import { execFile } from "node:child_process"
import { open, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { setTimeout as delay } from "node:timers/promises"
import { promisify } from "node:util"
import { testContext } from "@skep/contract-tests"
import { type NetworkPlan, networkProcess, type RemoteNetwork } from "@skep/network/client"
import { Cleanup } from "@skep/runtime"
import { leftoversOf, type Program, type TemporaryDirectory, temporaryDirectory } from "@skep/testkit"
import { expect, inject } from "vitest"
import { type Namespace, namespace } from "./namespace.ts"

const PROGRAM = join(import.meta.dirname, "../../apps/skep/dist/programs/network.js")
export const DEVICE = "tap0"
const PATIENCE_MS = 20_000
const PACE_MS = 50

/** How a machine is attached. */
export type Kind = "tap" | "qemu"

export interface RigOptions {
  readonly machines: Readonly<Record<string, Kind>>
  /** Of the sidecar. */
  readonly more?: object
  /** Lines of the host's hosts file. */
  readonly hosts?: string
  /** Writes down what every machine sends and gets. */
  readonly captured?: boolean
}

export interface Guest extends Namespace {
  readonly machine: string
  readonly kind: Kind
  /** By DHCP, and by router advertisement. */
  readonly address: string
  readonly address6: string
}

export interface Rig extends AsyncDisposable {
  readonly directory: TemporaryDirectory
  readonly host: Namespace
  readonly plan: NetworkPlan
  network(): RemoteNetwork
  /** In the order of the options. */
  readonly guests: readonly Guest[]
  guest(machine: string): Guest
  /** What tshark says against what was captured so far, each a line; and how many frames that was. */
  judged(): Promise<{ readonly frames: number; readonly complaints: readonly string[] }>
  /** Kills the sidecar and starts another one with the same options, in its place. */
  killAndStart(): Promise<void>
}

export async function rig({ machines, more = {}, hosts = "", captured = false }: RigOptions): Promise<Rig> {
  await using cleanup = new Cleanup()
  const directory = cleanup.use(await temporaryDirectory())
  const host = cleanup.use(await namespace())
  await writeFile(directory.at("hosts"), `127.0.0.1 localhost\n${hosts}`)
  await writeFile(directory.at("resolv.conf"), "nameserver 127.0.0.1\n")
  const spaces = new Map<string, Namespace>()
  for (const [machine, kind] of Object.entries(machines)) {
    const space = cleanup.use(await namespace())
    spaces.set(machine, space)
    // One that stays when its other end is gone, as the NIC of a machine does.
    if (kind === "tap") await space.run("ip", "tuntap", "add", "dev", DEVICE, "mode", "tap")
  }
  const links = [...spaces].map(([machine, { path }]) =>
    machines[machine] === "tap"
      ? { kind: "tap", machine, interface: DEVICE, netns: path }
      : { kind: "qemu", machine, socket: directory.at(`${machine}.sock`) },
  )
  const input = { directory: directory.at("net"), policy: "loopback", links, ...more }
  const log = await open(directory.at("log"), "a")
  cleanup.defer(() => log.close())
  let network = await start(host, directory, input, log.fd)
  cleanup.defer(() => network[Symbol.asyncDispose]())
  const { plan } = await network.status()
  const guests: Guest[] = []
  const captures: Captured[] = []
  for (const [machine, space] of spaces) {
    const kind = machines[machine] ?? "tap"
    if (kind === "qemu") cleanup.use(await plug(space, directory.at(`${machine}.sock`)))
    if (captured)
      captures.push(await capture({ network, space, machine, kind }, directory.at(`${machine}.pcap`)))
    const address = await lease(space, directory)
    guests.push({ ...space, machine, kind, address, address6: await autoconfigured(space) })
  }
  const owned = cleanup.move()
  return {
    directory,
    host,
    plan,
    guests,
    network: () => network,
    guest: (machine) => {
      const found = guests.find((guest) => guest.machine === machine)
      if (found === undefined) throw new Error(`no machine ${machine}`)
      return found
    },
    judged: () => judged(captures, plan.gatewayMac),
    killAndStart: async () => {
      const ended = network.closed.catch(() => undefined)
      process.kill(network.identity.pid, "SIGKILL")
      await ended
      network = await start(host, directory, input, log.fd)
    },
    [Symbol.asyncDispose]: async () => {
      await owned[Symbol.asyncDispose]()
      expect(await leftoversOf(directory.path)).toEqual([])
    },
  }
}

/** The sidecar, in a view of the files that is the host namespace's own. */
function start(
  host: Namespace,
  directory: TemporaryDirectory,
  input: object,
  log: number,
): Promise<RemoteNetwork> {
  const mounts = ["hosts", "resolv.conf"].map(
    (name) => `mount --bind ${directory.at(name)} "$(realpath /etc/${name})"`,
  )
  const script = [...mounts, 'exec "$@"'].join(" && ")
  const node = [process.execPath, PROGRAM]
  const args = ["netns", "exec", host.name, "unshare", "--mount", "sh", "-c", script, "sh", ...node]
  const sidecar = networkProcess({ file: "ip", args, stderr: log, endWithParent: true })
  return sidecar.start(sidecar.parseOptions(input), testContext())
}

async function plug(space: Namespace, socket: string): Promise<Program> {
  const cable = space.start(inject("cable"), DEVICE, "unix", socket)
  await cable.line((line) => line.includes('"ready"'))
  await space.run("ip", "link", "set", DEVICE, "up")
  return cable
}

const SCRIPT = `#!/bin/sh
case "$1" in
  bound)
    ip addr add "$ip/$mask" dev "$interface"
    ip route add default via "$router"
    ;;
esac
`

/** Gets an address by DHCP and takes it, with the default route. */
async function lease(space: Namespace, directory: TemporaryDirectory): Promise<string> {
  const script = directory.at("udhcpc.sh")
  await writeFile(script, SCRIPT, { mode: 0o755 })
  await space.run("udhcpc", "-i", DEVICE, "-f", "-q", "-n", "-t", "10", "-T", "1", "-s", script)
  const [address] = await addressesOf(space, "-4")
  if (address === undefined) throw new Error("no lease")
  return address
}

/** The address that the router's prefix makes, when the kernel has found that nobody else has it. */
export async function autoconfigured(space: Namespace): Promise<string> {
  return await until("an address by router advertisement", async () => {
    const [address] = await addressesOf(space, "-6")
    return address
  })
}

/** Asks again and again until there is something, for as long as nothing takes. */
export async function until<Value>(what: string, ask: () => Promise<Value | undefined>): Promise<Value> {
  const end = performance.now() + PATIENCE_MS
  while (performance.now() < end) {
    const value = await ask()
    if (value !== undefined) return value
    await delay(PACE_MS)
  }
  throw new Error(`there is still no sign of ${what}`)
}

/** Global addresses of the guest's interface that it may use. */
export async function addressesOf(space: Namespace, family: "-4" | "-6"): Promise<readonly string[]> {
  const text = await space.run("ip", "-json", family, "addr", "show", "dev", DEVICE, "scope", "global")
  const interfaces: { addr_info?: { local: string; tentative?: boolean }[] }[] = JSON.parse(text)
  return interfaces.flatMap(({ addr_info: all = [] }) =>
    all.flatMap(({ local, tentative }) => (tentative === true ? [] : [local])),
  )
}

interface Captured {
  readonly file: string
  /** Ends it; resolves to its frames. */
  readonly end: () => Promise<number>
}

interface Attached {
  readonly network: RemoteNetwork
  readonly space: Namespace
  readonly machine: string
  readonly kind: Kind
}

/** Both kernels leave the checksums of a TAP's segments to its other end, so there it is the sidecar who says what they were; elsewhere the wire. */
async function capture({ network, space, machine, kind }: Attached, file: string): Promise<Captured> {
  if (kind === "tap") {
    await network.startCapture({ path: file, machine })
    return { file, end: async () => (await network.stopCapture(machine)).frames }
  }
  // Packets as they come, and a file that any user may write: tcpdump gives up being root.
  const tcpdump = space.start("tcpdump", "-Z", "root", "-U", "-n", "-i", DEVICE, "-s", "0", "-w", file)
  await tcpdump.line((line) => line.includes("listening on"))
  return {
    file,
    end: async () => {
      await tcpdump[Symbol.asyncDispose]()
      return Number.parseInt(await tcpdump.line((line) => line.endsWith("packets captured")), 10)
    },
  }
}

/** Random bytes to a random port may be anybody's protocol to tshark (34980 is EtherCAT's): malformed is what is so in a protocol that is spoken here. */
const SPOKEN = "arp|ethertype|ip|ipv6[.a-z]*|icmp|icmpv6|tcp[.a-z]*|udp|dhcp|dhcpv6|dns|data|eth|_ws[.a-z]*"
const OURS = `frame.protocols matches "^(${SPOKEN})(:(${SPOKEN}))*$"`

async function judged(
  captures: readonly Captured[],
  gateway: string,
): Promise<{ readonly frames: number; readonly complaints: readonly string[] }> {
  const bad = (...layers: readonly string[]) =>
    layers.map((layer) => `${layer}.checksum.status == Bad`).join(" || ")
  // What an error quotes is the machine's, whose kernel had not finished it.
  const whole = `${bad("icmp", "icmpv6")} || (!icmp && !icmpv6 && (${bad("ip", "tcp", "udp")}))`
  const complaints: string[] = []
  let frames = 0
  for (const { file, end } of captures) {
    frames += await end()
    // Of checksums only the gateway's own: Linux writes ffff where tshark wants 0000.
    complaints.push(
      ...(await tshark(file, `(_ws.malformed && ${OURS}) || (eth.src == ${gateway} && (${whole}))`)),
    )
  }
  return { frames, complaints }
}

async function tshark(file: string, filter: string): Promise<readonly string[]> {
  const checked = ["ip", "tcp", "udp"].flatMap((name) => ["-o", `${name}.check_checksum:TRUE`])
  const { stdout } = await promisify(execFile)("tshark", ["-n", "-r", file, ...checked, "-Y", filter], {
    maxBuffer: 256 << 20,
  })
  return stdout.split("\n").filter(Boolean)
}
