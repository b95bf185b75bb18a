/**
 * A guest of ours under QEMU without Skep: the launcher's own command line, with its own disk and seed.
 *
 * @module
 */
import { mkdirSync, rmSync } from "node:fs"
import { join } from "node:path"
import { currentImage, emulationParameters, hostTscKhz, kernelCommandLine, writeSeed } from "@skep/guest"
import { createDisk, parseLauncherOptions, qemuArguments, type UserNetwork } from "@skep/launcher"
import { newSshKey } from "@skep/runtime/ssh-key"

const GIB = 2 ** 30
/** Of the bare guest: what it says first to the host's SSH agent. */
export const BARE_SECRET = "a secret of the bare guest"

/** Of the adapter on QEMU's user network. */
export const BARE_MAC = "52:54:00:00:00:01"

export interface BareOptions {
  /** Emptied first; sockets are made there. */
  readonly directory: string
  /** Where the guest's image is: $SKEP_HOME/images. */
  readonly images: string
  readonly accelerator: "kvm" | "tcg"
  readonly memoryMiB: number
  /** Run by the guest as it starts. */
  readonly bootLocal: string
  readonly forwards?: UserNetwork["forwards"]
  /** False where QEMU runs in a namespace that leads nowhere: the guest then reaches all that is there. */
  readonly restricted?: boolean
}

/** Makes the disk and the seed, and returns QEMU's arguments. The guest reaches nothing, if not asked otherwise. */
export async function prepareBare(options: BareOptions): Promise<readonly string[]> {
  const { directory, memoryMiB, accelerator, bootLocal, forwards = [], restricted = true } = options
  rmSync(directory, { recursive: true, force: true })
  mkdirSync(directory, { mode: 0o700 })
  const image = await currentImage(options.images, "amd64")
  if (image === undefined) throw new Error("skep up has just built the image")
  const data = join(directory, "data.img")
  await createDisk(data, 4 * GIB)
  const seed = join(directory, "seed.img")
  const hostKey = newSshKey("").privateKey
  await writeSeed(seed, {
    hostname: "bare",
    authorizedKeys: [],
    hostKey,
    vsockSecret: BARE_SECRET,
    bootLocal,
  })
  const description = parseLauncherOptions({
    name: "bare",
    cpus: 2,
    memoryMiB,
    boot: {
      kernel: image.kernel,
      initrd: image.initrd,
      commandLine: kernelCommandLine({ arch: "amd64" }),
      emulationParameters: emulationParameters(await hostTscKhz()).join(" "),
    },
    disks: [
      { serial: "skep-root", path: image.root, readOnly: true },
      { serial: "skep-data", path: data, discard: true },
      { serial: "skep-seed", path: seed, readOnly: true },
    ],
    network: { kind: "qemu-user", mac: BARE_MAC, restricted, forwards },
    runDirectory: directory,
    logDirectory: directory,
    verdictFile: join(directory, "verdicts.json"),
  })
  const sockets = {
    qmp: join(directory, "qmp.sock"),
    qmpNetwork: join(directory, "qmp-network.sock"),
    serial: join(directory, "serial.sock"),
    fronts: {},
  }
  // It does not wait for a monitor's `cont`.
  return qemuArguments({ description, accelerator, sockets, platform: process.platform }).filter(
    (word) => word !== "-S",
  )
}

/** The same with memory that a back end in another process can map. */
export function withSharedMemory(argv: readonly string[], memoryMiB: number): readonly string[] {
  return [
    ...argv.map((word) => (word.startsWith("microvm") ? `${word},memory-backend=ram` : word)),
    "-object",
    `memory-backend-memfd,id=ram,size=${memoryMiB}M,share=on`,
  ]
}

/** The same with shared memory and a vsock device whose back end listens on `socket`. */
export function withVsock(argv: readonly string[], memoryMiB: number, socket: string): readonly string[] {
  return [
    ...withSharedMemory(argv, memoryMiB),
    "-chardev",
    `socket,id=vsock,path=${socket}`,
    "-device",
    "vhost-user-vsock-device,chardev=vsock",
  ]
}

/** The same with shared memory and a NIC, instead of the user network's, whose back end listens on `socket`. */
export function withVhostNet(argv: readonly string[], memoryMiB: number, socket: string): readonly string[] {
  const users = (word = ""): boolean => word.startsWith("user,") || word.startsWith("virtio-net-device")
  const rest = argv.filter((word, index) => !users(word) && !users(argv[index + 1]))
  return [
    ...rest.map((word) => (word.startsWith("microvm") ? `${word},memory-backend=ram` : word)),
    "-object",
    `memory-backend-memfd,id=ram,size=${memoryMiB}M,share=on`,
    "-chardev",
    `socket,id=nic,path=${socket}`,
    "-netdev",
    "vhost-user,id=nic,chardev=nic",
    "-device",
    "virtio-net-device,netdev=nic,mac=52:54:00:00:00:01",
  ]
}

export interface SerialPort {
  /** As the guest sees it under /sys/class/virtio-ports. */
  readonly name: string
  /** QEMU listens there, for one client at a time. */
  readonly socket: string
}

/** The same with ports of a virtio-serial device. */
export function withSerialPorts(argv: readonly string[], ports: readonly SerialPort[]): readonly string[] {
  const each = ports.flatMap(({ name, socket }, index) => [
    "-chardev",
    `socket,id=port${index},path=${socket},server=on,wait=off`,
    "-device",
    `virtserialport,chardev=port${index},name=${name}`,
  ])
  return [...argv, "-device", "virtio-serial-device", ...each]
}
