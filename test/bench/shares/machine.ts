/**
 * The guest of the benchmark: our image under QEMU, with a device for each virtiofs server, the tools' disk, and a shell.
 *
 * @module
 */
import { copyFileSync, existsSync, statSync, truncateSync } from "node:fs"
import { join } from "node:path"
import { setTimeout as delay } from "node:timers/promises"
import type { Cleanup } from "@skep/runtime"
import { prepareBare, withSerialPorts, withSharedMemory } from "../../vm/bare-qemu.ts"
import { benchHome, MACHINE } from "../home.ts"
import { type Started, start, until } from "../network/process.ts"
import { processCpu } from "../vsock/cpu.ts"
import type { Served } from "./server.ts"
import { connectShell, PORT, SHELL, type Shell } from "./shell.ts"
import { WORK } from "./workload.ts"

const MEMORY_MIB = 1024
const SERIAL = "tools"
const SECTOR = 4096
/** Processor time of QEMU in a second in which its guest does nothing. */
const REST_S = 0.15
const REST_TRIES = 60
/** Where each server's tree is mounted, by its name. */
export const MOUNTS = "/mnt"

export interface Guest {
  readonly shell: Shell
  readonly qemu: Started
}

export interface GuestParts {
  readonly directory: string
  /** The tools' image. */
  readonly tools: string
  readonly namespace: string
  /** By name. */
  readonly servers: Readonly<Record<string, Served>>
  readonly progress: (text: string) => void
}

/** Boots it and mounts everything. What it starts belongs to `cleanup`. */
export async function bootGuest(parts: GuestParts, cleanup: Cleanup): Promise<Guest> {
  const { directory, tools, namespace, servers, progress } = parts
  const home = await image(progress)
  const at = join(directory, "vm")
  const serial = join(at, "shell.sock")
  const argv = await prepareBare({
    directory: at,
    images: join(home.directory, "images"),
    accelerator: home.accelerator,
    memoryMiB: MEMORY_MIB,
    bootLocal: `#!/bin/sh\nmodprobe virtio_console; modprobe virtiofs; modprobe nfs; modprobe nfsv3\nexport W=${WORK}\n${SHELL}`,
    restricted: false,
  })
  const words = withSerialPorts(withTools(withDevices(argv, servers), tools), [
    { name: PORT, socket: serial },
  ])
  const log = join(directory, "qemu.log")
  const qemu = cleanup.use(await start(["qemu-system-x86_64", ...words], { namespace, log }))
  await until("QEMU", () => {
    qemu.check()
    return existsSync(serial) ? true : undefined
  })
  const shell = await connectShell(serial)
  cleanup.defer(() => shell[Symbol.dispose]())
  await mountTools(shell)
  await rest(qemu)
  for (const [name, served] of Object.entries(servers)) await mountServer(shell, name, served)
  return { shell, qemu }
}

async function mountTools(shell: Shell): Promise<void> {
  const find = `for s in /sys/block/*/serial; do [ "$(cat $s)" != ${SERIAL} ] || d=\${s%/serial}; done`
  await shell.run(`${find}; mkdir -p /tools && mount -t erofs -o ro /dev/\${d##*/} /tools`)
  for (const name of ["proc", "dev", "sys"]) await shell.run(`mount --bind /${name} /tools/${name}`)
  await shell.run("mount -t tmpfs tmpfs /tools/tmp")
}

async function mountServer(shell: Shell, name: string, { mount }: Served): Promise<void> {
  await shell.run(`mkdir -p ${MOUNTS}/${name} && mount ${mount.replace("TAG", name)} ${MOUNTS}/${name}`)
}

/** Builds the guest's image where there is none, and finds out what runs it. */
async function image(
  progress: (text: string) => void,
): Promise<{ readonly directory: string; readonly accelerator: "kvm" | "tcg" }> {
  progress("    the guest's image")
  const home = benchHome()
  await home.skep("up", MACHINE, "--network", "restricted", "--memory", "1g", "--cpus", "2", "--disk", "4g")
  try {
    const { vm } = JSON.parse(await home.skep("inspect", MACHINE)) as { vm: { accelerator: "kvm" | "tcg" } }
    return { directory: home.directory, accelerator: vm.accelerator }
  } finally {
    await home.skep("rm", "--force", MACHINE)
  }
}

function withDevices(argv: readonly string[], servers: Readonly<Record<string, Served>>): readonly string[] {
  const each = Object.entries(servers).flatMap(([name, { socket }]) =>
    socket === undefined
      ? []
      : [
          "-chardev",
          `socket,id=fs-${name},path=${socket}`,
          "-device",
          `vhost-user-fs-device,chardev=fs-${name},tag=${name},queue-size=1024`,
        ],
  )
  return [...withSharedMemory(argv, MEMORY_MIB), ...each]
}

function withTools(argv: readonly string[], tools: string): readonly string[] {
  const disk = `${tools}.disk`
  copyFileSync(tools, disk)
  truncateSync(disk, Math.ceil(statSync(disk).size / SECTOR) * SECTOR)
  const file = `driver=raw,node-name=tools,file.driver=file,file.filename=${disk},read-only=on`
  return [...argv, "-blockdev", file, "-device", `virtio-blk-device,drive=tools,serial=${SERIAL}`]
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
