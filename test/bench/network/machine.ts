/**
 * The rows in a virtual machine: QEMU's user network, passt over QEMU's stream, and ours over vhost-user, each an adapter of the same boot.
 *
 * @module
 */
import { appendFileSync, copyFileSync, existsSync, mkdirSync, statSync } from "node:fs"
import { join } from "node:path"
import { setTimeout as delay } from "node:timers/promises"
import { Cleanup } from "@skep/runtime"
import { BARE_MAC, prepareBare, withSerialPorts, withSharedMemory } from "../../vm/bare-qemu.ts"
import { benchHome, MACHINE } from "../home.ts"
import type { Row } from "../row.ts"
import { processCpu, threadCpu } from "../vsock/cpu.ts"
import { type Agent, connectAgent } from "./agent.ts"
import { type Arena, type Contestant, FIRST_PORT, HOST_PORT, isListening, limitOf } from "./contestant.ts"
import { MANY, SMALL, speed } from "./links.ts"
import { verified, WAYS } from "./load.ts"
import { type Measurement, measure, type Settings, wantedOf } from "./measurement.ts"
import { oursInMachine } from "./ours.ts"
import { type GuestAddress, labelOf, type Peer } from "./peer.ts"
import { passt } from "./peers.ts"
import { type Started, start, until } from "./process.ts"

const MEMORY_MIB = 1024
const SECTOR = 512
/** The emulated guest makes and compares bytes slowly. */
const VERIFIED_BYTES = 8 * 2 ** 20
const PORT_NAME = "bench.netload"
const SERIAL = "netload"
/** Processor time of QEMU in a second in which its guest does nothing. */
const REST_S = 0.15
const REST_TRIES = 60
const USER = "QEMU user"

const BARS = { [USER]: 10, passt: 3 }

const MEASUREMENTS: readonly Measurement[] = WAYS.flatMap((way) =>
  [1, MANY].map((flows) => speed("in a VM", way, flows, BARS, { passt: 0.5 })),
)

/** Of an adapter beside that of the user network. */
interface Adapter {
  readonly peer: Peer
  readonly mac: string
  readonly socket: string
  readonly program: Started
}

const USER_GUEST: GuestAddress = { address: "10.0.2.15", prefix: 24, gateway: "10.0.2.2", host: "10.0.2.2" }
const PASST_GUEST: GuestAddress = { address: "10.0.3.15", prefix: 24, gateway: "10.0.3.2", host: "10.0.3.2" }

export async function machine(arena: Arena, settings: Settings): Promise<readonly Row[]> {
  const measurements = wantedOf(MEASUREMENTS, settings)
  if (measurements.length === 0) return []
  settings.progress("  a virtual machine")
  await using cleanup = new Cleanup()
  try {
    return await measure(await booted(arena, settings, cleanup), measurements, settings)
  } catch (error) {
    // The rows of the other groups took long, and are no worse for it.
    settings.progress(`    there is none: ${error instanceof Error ? error.message : String(error)}`)
    return await measure([], measurements, settings)
  }
}

/** Boots it, and compares the data of each adapter. What it starts belongs to `cleanup`. */
async function booted(arena: Arena, settings: Settings, cleanup: Cleanup): Promise<readonly Contestant[]> {
  const { directory, accelerator } = await image(settings)
  const adapters: Adapter[] = []
  for (const peer of [oursInMachine(SMALL), passt(SMALL, PASST_GUEST)]) {
    const adapter = await adapterOf(arena, peer, adapters.length, settings.progress)
    if (adapter === undefined) continue
    cleanup.use(adapter.program)
    adapters.push(adapter)
  }
  const at = join(arena.directory, "vm")
  const disk = join(arena.directory, "netload.disk")
  const serial = join(at, "agent.sock")
  const argv = await prepareBare({
    directory: at,
    images: join(directory, "images"),
    accelerator,
    memoryMiB: MEMORY_MIB,
    bootLocal: bootLocal(adapters),
    restricted: false,
  })
  const words = withSerialPorts(withDisk(withAdapters(argv, adapters), arena.programs.netload, disk), [
    { name: PORT_NAME, socket: serial },
  ])
  const log = join(arena.directory, "qemu.log")
  const qemu = cleanup.use(
    await start(["qemu-system-x86_64", ...words], { namespace: arena.namespaces.host, log }),
  )
  await until("QEMU", () => {
    qemu.check()
    return existsSync(serial) ? true : undefined
  })
  const agent = await connectAgent(serial)
  cleanup.defer(() => agent[Symbol.dispose]())
  await agent.ready
  await rest(qemu)
  return await verifiedOf(contestantsOf(agent, qemu, adapters), settings.progress)
}

/** Builds the guest's image where there is none, and finds out what runs it. */
async function image(settings: Settings): Promise<{ directory: string; accelerator: "kvm" | "tcg" }> {
  settings.progress("    the guest's image")
  const home = benchHome()
  await home.skep("up", MACHINE, "--network", "restricted", "--memory", "1g", "--cpus", "2", "--disk", "4g")
  try {
    const { vm } = JSON.parse(await home.skep("inspect", MACHINE)) as { vm: { accelerator: "kvm" | "tcg" } }
    return { directory: home.directory, accelerator: vm.accelerator }
  } finally {
    await home.skep("rm", "--force", MACHINE)
  }
}

async function adapterOf(
  arena: Arena,
  peer: Peer,
  index: number,
  progress: (text: string) => void,
): Promise<Adapter | undefined> {
  const missing = peer.missing()
  if (missing !== undefined) {
    progress(`    without ${labelOf(peer)}: ${missing}`)
    return undefined
  }
  const directory = join(arena.directory, `vm-${peer.name}`)
  mkdirSync(directory)
  const socket = join(directory, "link.sock")
  const { host } = arena.namespaces
  const port = FIRST_PORT - 1 - index
  const log = join(directory, "log")
  const { program } = await peer.start({ host, guest: host, directory, link: socket, port, log })
  try {
    await until(`${labelOf(peer)} at its socket`, () => {
      program.check()
      return program.pids().some((pid) => isListening(pid, socket)) ? true : undefined
    })
  } catch (error) {
    await program[Symbol.asyncDispose]()
    throw error
  }
  return { peer, mac: `52:54:00:00:00:${(16 + index).toString(16)}`, socket, program }
}

/** passt has QEMU's framing; what is left is ours, and vhost-user. */
function withAdapters(argv: readonly string[], adapters: readonly Adapter[]): readonly string[] {
  const each = adapters.flatMap(({ peer, mac, socket }, index) => {
    const id = `link${index}`
    const backend =
      peer.name === "passt"
        ? ["-netdev", `stream,id=${id},server=off,addr.type=unix,addr.path=${socket}`]
        : [
            "-chardev",
            `socket,id=chr${index},path=${socket}`,
            "-netdev",
            `vhost-user,id=${id},chardev=chr${index}`,
          ]
    return [...backend, "-device", `virtio-net-device,netdev=${id},mac=${mac},host_mtu=${peer.mtu}`]
  })
  return [...withSharedMemory(argv, MEMORY_MIB), ...each]
}

/** The load as a disk of its own: an executable file has no quarrel with what follows it. */
function withDisk(argv: readonly string[], program: string, disk: string): readonly string[] {
  copyFileSync(program, disk)
  const over = statSync(disk).size % SECTOR
  if (over > 0) appendFileSync(disk, Buffer.alloc(SECTOR - over))
  const file = `driver=raw,node-name=netload,file.driver=file,file.filename=${disk},read-only=on`
  return [...argv, "-blockdev", file, "-device", `virtio-blk-device,drive=netload,serial=${SERIAL}`]
}

/** Each adapter by its MAC address; only that of the user network may have been configured already. */
function bootLocal(adapters: readonly Adapter[]): string {
  const all = [
    { mac: BARE_MAC, guest: USER_GUEST },
    ...adapters.map(({ mac, peer }) => ({ mac, guest: peer.guest })),
  ]
  return [
    "#!/bin/sh",
    "modprobe virtio_console",
    'named() { for at in $1; do if [ "$(cat $at/$2)" = "$3" ]; then echo ${at##*/}; fi; done; }',
    ...all.flatMap(({ mac, guest }) => [
      `link=$(named "/sys/class/net/*" address ${mac})`,
      "ip link set $link up",
      `ip address add ${guest.address}/${guest.prefix} dev $link`,
    ]),
    `cat /dev/$(named "/sys/block/*" serial ${SERIAL}) > /run/netload`,
    "chmod +x /run/netload",
    `exec /run/netload agent /dev/$(named "/sys/class/virtio-ports/*" name ${PORT_NAME})`,
    "",
  ].join("\n")
}

/** Waits until the guest has nothing more to do: its Docker is still starting. */
async function rest(qemu: Started): Promise<void> {
  const pid = qemu.child.pid ?? 0
  for (let tries = 0; tries < REST_TRIES; tries++) {
    const before = processCpu(pid)
    await delay(1000)
    if (processCpu(pid) - before < REST_S) return
  }
  throw new Error("the guest does not come to rest")
}

function contestantsOf(agent: Agent, qemu: Started, adapters: readonly Adapter[]): readonly Contestant[] {
  const pid = qemu.child.pid ?? 0
  // Its first thread is where its user network runs, and all devices that are its own.
  const user = {
    name: USER,
    label: USER,
    guest: USER_GUEST,
    pids: () => [pid],
    cpu: () => threadCpu(pid, pid),
  }
  const others = adapters.map(({ peer, program }) => ({
    name: peer.name,
    label: labelOf(peer),
    guest: peer.guest,
    pids: program.pids,
    cpu: () => program.pids().reduce((sum, each) => sum + processCpu(each), 0),
  }))
  return [...others, user].map(({ guest, ...who }) => ({
    ...who,
    load: async (from, mode, ...numbers) => {
      if (from === "host") throw new Error("the machine has no server")
      const words = [mode, guest.host, ...[HOST_PORT, ...numbers].map(String)]
      return JSON.parse(await agent.run(words, limitOf(numbers)))
    },
    hold: () => Promise.reject(new Error("nothing is held open in the machine")),
    [Symbol.asyncDispose]: () => Promise.resolve(), // They end with the machine.
  }))
}

async function verifiedOf(
  contestants: readonly Contestant[],
  progress: (text: string) => void,
): Promise<readonly Contestant[]> {
  const fine: Contestant[] = []
  for (const who of contestants) {
    try {
      await verified(who, VERIFIED_BYTES, 7)
      fine.push(who)
    } catch (error) {
      progress(`    without ${who.label}: ${error instanceof Error ? error.message : String(error)}`)
    }
  }
  return fine
}
