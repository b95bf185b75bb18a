/**
 * The machine description: what a virtual machine is, without a word of any hypervisor's command line.
 *
 * @module
 */
import { isIP } from "node:net"
import { type Accelerator, type ForwardRule, SidecarError } from "@skep/contract"
import * as z from "zod"
import { CPUS_MAX, MEMORY_MAX_MIB } from "./bounds.ts"

/** A raw image, seen in the guest as a virtio block device. */
export interface Disk {
  /** How the guest finds it, whatever its order: `/sys/block/X/serial`. At most 20 bytes. */
  readonly serial: string
  readonly path: string
  readonly readOnly: boolean
  /** Gives blocks that the guest trims back to the host. */
  readonly discard: boolean
}

export interface Boot {
  readonly kernel: string
  readonly initrd: string
  readonly commandLine: string
  /** Added to the command line under emulation only, such as `mitigations=off`. */
  readonly emulationParameters: string
}

/** QEMU's own user network (libslirp). */
export interface UserNetwork {
  readonly kind: "qemu-user"
  readonly id: "net0"
  readonly mac: string
  /** Keeps the guest from reaching anything but its forwards. */
  readonly restricted: boolean
  readonly forwards: readonly ForwardRule[]
}

/** What every device has whose back end is another program. */
interface ServedDevice {
  /** Unique in the machine. */
  readonly name: string
  /** Where the back end listens, or will. */
  readonly socket: string
}

export interface VsockDevice extends ServedDevice {
  readonly kind: "vsock"
}

/** A file system that the guest mounts by its tag: `mount -t virtiofs TAG DIRECTORY`. */
export interface VirtiofsDevice extends ServedDevice {
  readonly kind: "virtiofs"
  /** At most 36 bytes. */
  readonly tag: string
}

/** A device whose back end is another program, reached over vhost-user through the keeper. The memory is shared with it. */
export type VhostUserDevice = VsockDevice | VirtiofsDevice

/** What a NIC has whose other end is another program. */
interface ServedNetwork {
  readonly mac: string
  /** Where the program listens, or will. */
  readonly socket: string
  /** The largest packet, offered to the guest's driver; it takes Ethernet's 1500 unless told. */
  readonly mtu?: number
  /** Who serves it, for whoever finds the machine running; `status` tells it again. */
  readonly provider?: string
}

/** A NIC whose back end maps the guest's memory, reached over vhost-user through the keeper. */
export interface VhostUserNetwork extends ServedNetwork {
  readonly kind: "vhost-user"
}

/**
 * A NIC whose frames go to another program over a socket, each after its length (u32, big-endian). A socket that is lost is connected
 * again as soon as the program is back; the guest sees none of it.
 */
export interface StreamNetwork extends ServedNetwork {
  readonly kind: "stream"
}

export type MachineNetwork = UserNetwork | VhostUserNetwork | StreamNetwork

/** A device behind the keeper. */
export interface KeptBackEnd {
  readonly name: string
  readonly socket: string
}

/** The name of the NIC's device, where that is behind the keeper. */
const NET = "net"

/** All that goes through the keeper: the devices, and the NIC where that is one of them. */
export function keptDevices({
  network,
  devices,
}: Pick<MachineDescription, "network" | "devices">): readonly KeptBackEnd[] {
  const nic = network.kind === "vhost-user" ? [{ name: NET, socket: network.socket }] : []
  return [...devices.map(({ name, socket }) => ({ name, socket })), ...nic]
}

export interface MachineDescription {
  readonly name: string
  readonly arch: "amd64" | "arm64"
  readonly cpus: number
  readonly memoryMiB: number
  readonly accelerator: "auto" | Accelerator
  readonly boot: Boot
  readonly disks: readonly Disk[]
  readonly network: MachineNetwork
  readonly devices: readonly VhostUserDevice[]
}

export interface LauncherOptions extends MachineDescription {
  /** Private to this machine: monitors, console, vm.json. */
  readonly runDirectory: string
  /** Holds console.log and qemu.log, which stay when the machine goes. */
  readonly logDirectory: string
  /** Remembers which accelerator works on this host; machines may share it. */
  readonly verdictFile: string
  /** The hypervisor's program: a name to be found in PATH, or a path. */
  readonly program: string
  /** How long a guest under an accelerator that is not proven yet may stay silent. */
  readonly provingMs: number
  /** How long a guest under a proven accelerator may stay silent before it is started again. */
  readonly silenceMs: number
  /** The phase that ends the guest's boot: until it is reported, a guest that hangs is started again. One that names none is not watched. */
  readonly bootedPhase?: string
  /** How long a guest that boots may neither print nor use its disks. */
  readonly bootSilenceMs: number
  /** Bound of console.log and console.log.1 together. */
  readonly consoleLogBytes: number
}

const absolutePath = z.string().regex(/^\/[^\n]*$/, "must be an absolute path")
const ipAddress = z.string().refine((text) => isIP(text) !== 0, "must be an IP address")
const port = z.int().min(1).max(65_535)
const oneLine = z.string().regex(/^[^\n]*$/, "must be one line")
const milliseconds = z.int().min(1).max(600_000)

const Forward = z.strictObject({
  transport: z.enum(["tcp", "udp"]),
  hostAddress: ipAddress,
  hostPort: port,
  guestAddress: ipAddress.exactOptional(),
  guestPort: port,
})

const mac = z
  .string()
  .regex(/^[0-9a-f][02468ace](:[0-9a-f]{2}){5}$/, "must be a unicast address such as 52:54:00:12:34:56")

/** IPv6's smallest, and the largest that fits into a frame of 64 KiB. */
const MTU = { least: 1280, most: 65_520 }

const served = {
  mac,
  socket: absolutePath,
  mtu: z.int().min(MTU.least).max(MTU.most).exactOptional(),
  provider: z
    .string()
    .regex(/^[a-z][a-z0-9-]{0,31}$/, "must be lower-case letters, digits and dashes")
    .exactOptional(),
}

const servedDevice = {
  name: z
    .string()
    .regex(/^[a-z][a-z0-9-]{0,9}$/, "must be at most 10 lower-case letters, digits and dashes")
    .refine((name) => name !== NET, `must not be "${NET}", which is the NIC's`),
  socket: absolutePath,
}

/** Virtio 1.2, section 5.11.4: 36 bytes of UTF-8. */
const tag = z
  .string()
  .regex(/^[a-z0-9][a-z0-9._-]{0,35}$/i, "must be at most 36 letters, digits, dots, dashes and underscores")

const description = {
  name: z
    .string()
    .regex(/^[a-z0-9][a-z0-9_.-]{0,62}$/i, "must be letters, digits, dots, dashes and underscores"),
  arch: z.enum(["amd64", "arm64"]).default("amd64"),
  cpus: z.int().min(1).max(CPUS_MAX),
  memoryMiB: z.int().min(128).max(MEMORY_MAX_MIB),
  accelerator: z.enum(["auto", "kvm", "hvf", "tcg"]).default("auto"),
  boot: z.strictObject({
    kernel: absolutePath,
    initrd: absolutePath,
    commandLine: oneLine,
    emulationParameters: oneLine.default(""),
  }),
  disks: z
    .array(
      z.strictObject({
        serial: z
          .string()
          .regex(/^[a-z0-9][a-z0-9_-]{0,19}$/, "must be at most 20 lower-case letters, digits and dashes"),
        path: absolutePath,
        readOnly: z.boolean().default(false),
        discard: z.boolean().default(false),
      }),
    )
    .refine(
      (disks) => new Set(disks.map((disk) => disk.serial)).size === disks.length,
      "must have distinct serials",
    ),
  network: z.discriminatedUnion("kind", [
    z.strictObject({
      kind: z.literal("qemu-user"),
      id: z.literal("net0").default("net0"),
      mac,
      restricted: z.boolean(),
      forwards: z.array(Forward).default([]),
    }),
    z.strictObject({ kind: z.literal("vhost-user"), ...served }),
    z.strictObject({ kind: z.literal("stream"), ...served }),
  ]),
  devices: z
    .array(
      z.discriminatedUnion("kind", [
        z.strictObject({ kind: z.literal("vsock"), ...servedDevice }),
        z.strictObject({ kind: z.literal("virtiofs"), ...servedDevice, tag }),
      ]),
    )
    .max(8)
    .refine(
      (devices) => new Set(devices.map((device) => device.name)).size === devices.length,
      "must have distinct names",
    )
    .default([]),
}

export const MachineDescription: z.ZodType<MachineDescription> = z.strictObject(description)

export const LauncherOptions: z.ZodType<LauncherOptions> = z.strictObject({
  ...description,
  runDirectory: absolutePath,
  logDirectory: absolutePath,
  verdictFile: absolutePath,
  program: z.string().min(1).default("qemu-system-x86_64"),
  provingMs: milliseconds.default(5000),
  silenceMs: milliseconds.default(20_000),
  bootedPhase: z
    .string()
    .regex(/^\S{1,64}$/, "must be a word")
    .exactOptional(),
  bootSilenceMs: milliseconds.default(30_000),
  consoleLogBytes: z
    .int()
    .min(4096)
    .default(8 << 20),
})

/** Checks options from outside. Throws "bad-options" with one sentence that names the field and its value. */
export function parseLauncherOptions(input: unknown): LauncherOptions {
  const parsed = LauncherOptions.safeParse(input)
  if (parsed.success) return parsed.data
  const issue = parsed.error.issues[0]
  const path = issue?.path ?? []
  const field = path.length === 0 ? "the options" : `"${path.join(".")}"`
  const value = valueAt(input, path)
  const shown = value === undefined ? "missing" : JSON.stringify(value).slice(0, 80)
  throw new SidecarError(
    "bad-options",
    `Cannot use ${field} of the launcher: it is ${shown}: ${issue?.message ?? "not valid"}`,
    {
      cause: parsed.error,
    },
  )
}

function valueAt(input: unknown, path: readonly PropertyKey[]): unknown {
  let value = input
  for (const key of path) {
    if (typeof value !== "object" || value === null) return undefined
    value = new Map<PropertyKey, unknown>(Object.entries(value)).get(String(key))
  }
  return value
}
