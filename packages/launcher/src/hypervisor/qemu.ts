/**
 * QEMU: a machine description to its command line. Pure; one file a hypervisor.
 *
 * `microvm` has no PCI, no firmware menu and no legacy devices but a serial port and the timers that the guest's kernel
 * calibrates its clock by (without `pit` it hangs there). Its devices sit on virtio-mmio, 24 at most.
 *
 * @module
 */
import { type Accelerator, type ForwardRule, SidecarError } from "@skep/contract"
import {
  type Disk,
  keptDevices,
  type MachineDescription,
  type MachineNetwork,
  type UserNetwork,
  type VhostUserDevice,
} from "../description.ts"
import { option } from "./option.ts"

export interface QemuPlan {
  readonly description: MachineDescription
  readonly accelerator: Accelerator
  readonly sockets: {
    readonly qmp: string
    readonly qmpNetwork: string
    readonly serial: string
    /** Where QEMU listens for the keeper, by the name of the device. */
    readonly fronts: Readonly<Record<string, string>>
  }
  /** QEMU's system-call filter is Linux's. */
  readonly platform: NodeJS.Platform
}

/**
 * The arguments of `qemu-system-x86_64`. The machine waits for `cont`, so that nothing it prints is lost.
 * Throws "unsupported-arch" and "unsupported".
 */
export function qemuArguments(plan: QemuPlan): readonly string[] {
  const { description, sockets } = plan
  if (description.arch !== "amd64") {
    throw new SidecarError(
      "unsupported-arch",
      `Cannot start "${description.name}" under QEMU: its architecture is ${description.arch}, only amd64 is supported`,
    )
  }
  return [
    ["-name", option("", { guest: description.name })],
    ["-no-user-config", "-nodefaults"],
    machineArguments(description),
    acceleratorArguments(plan.accelerator),
    ["-smp", String(description.cpus), "-m", `${description.memoryMiB}M`],
    ["-rtc", "base=utc", "-display", "none", "-msg", "timestamp=on", "-S"],
    plan.platform === "linux" ? ["-sandbox", SANDBOX] : [],
    ["-global", "virtio-mmio.force-legacy=off"],
    ["-kernel", description.boot.kernel, "-initrd", description.boot.initrd],
    ["-append", commandLineOf(plan)],
    socketArguments("serial", sockets.serial),
    ["-serial", "chardev:serial"],
    socketArguments("qmp", sockets.qmp),
    ["-mon", option("", { chardev: "qmp", mode: "control" })],
    socketArguments("qmp-network", sockets.qmpNetwork),
    ["-mon", option("", { chardev: "qmp-network", mode: "control" })],
    ...description.disks.map(diskArguments),
    networkArguments(description.network, sockets.fronts["net"] ?? ""),
    ...description.devices.map((device) => vhostUserArguments(device, sockets.fronts[device.name] ?? "")),
    ["-device", "virtio-rng-device"],
    ["-device", option("virtio-balloon-device", { "free-page-reporting": true })],
  ].flat()
}

/** A back end in another process maps the guest's memory, so that has to be a file that both have. */
function machineArguments(description: MachineDescription): readonly string[] {
  const { memoryMiB } = description
  const machine = { acpi: true, rtc: true, "isa-serial": true }
  if (keptDevices(description).length === 0) return ["-machine", option("microvm", machine)]
  const memory = { id: MEMORY, size: `${memoryMiB}M`, share: true }
  return [
    ["-object", option("memory-backend-memfd", memory)],
    ["-machine", option("microvm", { ...machine, "memory-backend": MEMORY })],
  ].flat()
}

const MEMORY = "memory"

/**
 * QEMU listens and waits for the keeper before it starts, and takes another one later: a client of its own would never connect again
 * (`reconnect` is refused for this device, and without it a lost socket stays lost).
 */
function vhostUserArguments(device: VhostUserDevice, path: string): readonly string[] {
  return [...frontArguments(device.name, path), "-device", modelOf(device)]
}

function modelOf(device: VhostUserDevice): string {
  const chardev = frontOf(device.name)
  switch (device.kind) {
    case "vsock":
      return option("vhost-user-vsock-device", { chardev })
    case "virtiofs":
      return option("vhost-user-fs-device", { chardev, tag: device.tag, "queue-size": FS_QUEUE })
  }
}

/** Linux asks for as many pages at a time as fit a queue beside its headers: 256 of them, which is 1 MiB, need more than QEMU's 128. */
const FS_QUEUE = 1024

function frontOf(name: string): string {
  return `vhost-${name}`
}

function frontArguments(name: string, path: string): readonly string[] {
  return ["-chardev", option("socket", { id: frontOf(name), path, server: true, wait: true })]
}

function commandLineOf({ description: { boot }, accelerator }: QemuPlan): string {
  const emulated = accelerator === "tcg" && boot.emulationParameters !== ""
  return emulated ? `${boot.commandLine} ${boot.emulationParameters}` : boot.commandLine
}

/** No new privileges, no children, no old system calls; `resourcecontrol` stays, its threads set their own affinity. */
const SANDBOX = "on,obsolete=deny,elevateprivileges=deny,spawn=deny"

function acceleratorArguments(accelerator: Accelerator): readonly string[] {
  switch (accelerator) {
    case "kvm":
      return ["-accel", "kvm", "-cpu", "host"]
    case "hvf":
      return ["-accel", "hvf", "-cpu", "host"]
    case "tcg":
      // `-cpu max` costs a quarter more processor time under emulation. Emulation has no spec-ctrl and would warn.
      return ["-accel", "tcg,thread=multi", "-cpu", "Nehalem,-spec-ctrl"]
  }
}

function socketArguments(id: string, path: string): readonly string[] {
  return ["-chardev", option("socket", { id, path, server: true, wait: false })]
}

function diskArguments(disk: Disk): readonly string[] {
  const node = `disk-${disk.serial}`
  const discard = disk.discard ? "unmap" : "ignore"
  const image = {
    driver: "raw",
    "node-name": node,
    "file.driver": "file",
    "file.filename": disk.path,
    "file.discard": discard,
    discard,
    "read-only": disk.readOnly,
  }
  const device = option("virtio-blk-device", { drive: node, serial: disk.serial })
  return ["-blockdev", option("", image), "-device", device]
}

function networkArguments(network: MachineNetwork, front: string): readonly string[] {
  switch (network.kind) {
    case "qemu-user":
      return userNetworkArguments(network)
    case "vhost-user": {
      const netdev = option("vhost-user", { id: NIC, chardev: frontOf("net") })
      return [...frontArguments("net", front), "-netdev", netdev, ...nicArguments(network)]
    }
    case "stream":
      // The other port of this hub comes and goes with the program at the socket (machine/stream-link.ts).
      return ["-netdev", option("hubport", { id: NIC, hubid: HUB }), ...nicArguments(network)]
  }
}

/** The id of the machine's network, whatever it is. */
const NIC = "net0"
/** The hub that a stream joins. */
export const HUB = 0

function nicArguments({
  mac,
  mtu,
}: Pick<MachineNetwork, "mac"> & { readonly mtu?: number }): readonly string[] {
  const offered = mtu === undefined ? {} : { host_mtu: mtu }
  return ["-device", option("virtio-net-device", { netdev: NIC, mac, ...offered })]
}

function userNetworkArguments(network: UserNetwork): readonly string[] {
  const netdev = option("user", { id: network.id, restrict: network.restricted })
  const forwards = network.forwards.map((rule) => option("", { hostfwd: hostForward(rule) }))
  return ["-netdev", [netdev, ...forwards].join(","), ...nicArguments(network)]
}

/** `tcp:127.0.0.1:8080-:80`, as `hostfwd_add` takes it too. Throws "unsupported" for IPv6, which it cannot write. */
export function hostForward(rule: ForwardRule): string {
  if (rule.hostAddress.includes(":") || rule.guestAddress?.includes(":") === true) {
    throw new SidecarError(
      "unsupported",
      `Cannot forward "${rule.hostAddress}" port ${rule.hostPort}: QEMU's user network forwards IPv4 only`,
    )
  }
  return `${rule.transport}:${rule.hostAddress}:${rule.hostPort}-${rule.guestAddress ?? ""}:${rule.guestPort}`
}
