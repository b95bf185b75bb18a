/**
 * The options of the vsock sidecar.
 *
 * @module
 */
import { inspect } from "node:util"
import { SidecarError } from "@skep/contract"
import { z } from "zod"
import { CID_HOST, CID_MAX, PORT_MAX } from "./device/packet.ts"
import { DEFAULT_LIMITS, type StreamLimits } from "./device/streams.ts"
import { addDevices } from "./dialect/devices.ts"
import type { PortMap } from "./dialect/option-string.ts"
import {
  checkDirectory,
  checkSocketPath,
  checkUdsPath,
  connectPath,
  forwardLink,
  forwardPath,
  type Platform,
} from "./dialect/socket-path.ts"

export interface VsockOptions {
  readonly guestCid: number
  /** The vhost-user socket, on which the hypervisor's side connects. */
  readonly socket: string
  /** Where the sockets of the HyperKit dialect are. Without it there are none. */
  readonly directory?: string
  /** Guest ports with a socket of their own in `directory`, on which no greeting is needed. */
  readonly guestForwards: readonly number[]
  /** The socket of the Firecracker dialect, beside which its services are. Without it there is none. */
  readonly udsPath?: string
  readonly ports: readonly PortMap[]
  readonly limits: StreamLimits
  /** Ends the sidecar when no front end was connected for so long, from its start or the last hang-up on. 0 is never. */
  readonly lonelyMs: number
}

const absolutePath = z.string().regex(/^\/[^\n\0]*$/, "must be an absolute path")
const port = z.int().min(0).max(PORT_MAX)
const milliseconds = z.int().min(1).max(600_000)
const DAY_MS = 86_400_000

const Limits: z.ZodType<StreamLimits> = z.strictObject({
  maxStreams: z.int().min(1).max(65_536).default(DEFAULT_LIMITS.maxStreams),
  bufferBytes: z
    .int()
    .min(4096)
    .max(1 << 24)
    .default(DEFAULT_LIMITS.bufferBytes),
  maxHeldBytes: z.int().min(4096).default(DEFAULT_LIMITS.maxHeldBytes),
  maxReplies: z.int().min(1).max(65_536).default(DEFAULT_LIMITS.maxReplies),
  connectMs: milliseconds.default(DEFAULT_LIMITS.connectMs),
  lingerMs: milliseconds.default(DEFAULT_LIMITS.lingerMs),
})

const Options: z.ZodType<VsockOptions> = z.strictObject({
  guestCid: z
    .int()
    .min(CID_HOST + 1)
    .max(CID_MAX),
  socket: absolutePath,
  directory: absolutePath.exactOptional(),
  guestForwards: z.array(port).max(64).default([]),
  udsPath: absolutePath.exactOptional(),
  ports: z
    .array(
      z.strictObject({ port, path: absolutePath, mode: z.enum(["listen", "connect"]).default("listen") }),
    )
    .max(1024)
    .default([]),
  limits: Limits.prefault({}),
  lonelyMs: z.int().min(0).max(DAY_MS).default(0),
})

const Devices = z.looseObject({ devices: z.array(z.string().min(1).max(4096)).max(1024).default([]) })

/**
 * Checks options from outside; those of `devices`, strings of other programs (`dialect/devices.ts`), are among them afterwards. Throws "bad-options" with one sentence that names the field and its value, and
 * "path-too-long" for sockets that `platform`, this one unless told, could not bind.
 */
export function parseVsockOptions(
  input: unknown,
  platform: Platform = process.platform === "darwin" ? "darwin" : "linux",
): VsockOptions {
  const whole = Devices.safeParse(input)
  if (!whole.success) throw refusal(input, whole.error)
  const { devices, ...rest } = whole.data
  const said = addDevices(rest, devices)
  const parsed = Options.safeParse(said)
  if (!parsed.success) throw refusal(said, parsed.error)
  const options = parsed.data
  checkSocketPath(options.socket, platform)
  if (options.directory !== undefined) checkDirectory(options.directory, platform)
  if (options.udsPath !== undefined) checkUdsPath(options.udsPath, platform)
  for (const { path } of options.ports) checkSocketPath(path, platform)
  if (options.guestForwards.length > 0 && options.directory === undefined) {
    throw badOptions('"guestForwards": they need a "directory"')
  }
  refuseTwice("paths", ownPaths(options))
  refuseTwice(
    "host ports",
    options.ports.filter(({ mode }) => mode === "listen").map((map) => String(map.port)),
  )
  return options
}

/** Every path that the sidecar creates. */
export function ownPaths(options: VsockOptions): readonly string[] {
  const { directory, udsPath, guestCid } = options
  const hyperkit =
    directory === undefined
      ? []
      : [
          connectPath(directory),
          ...options.guestForwards.flatMap((forward) => [
            forwardPath(directory, guestCid, forward),
            forwardLink(directory, forward),
          ]),
        ]
  const maps = options.ports.filter(({ mode }) => mode === "connect").map(({ path }) => path)
  return [options.socket, ...hyperkit, ...(udsPath === undefined ? [] : [udsPath]), ...maps]
}

/** Where the streams are noted that the guest knows of, for a successor; there only while there are any. */
export function journalPath({ socket }: VsockOptions): string {
  return `${socket}.streams`
}

function refuseTwice(what: string, values: readonly string[]): void {
  const twice = values.find((value, index) => values.indexOf(value) !== index)
  if (twice !== undefined) throw badOptions(`the ${what}: "${twice}" is there twice`)
}

function refusal(input: unknown, error: z.ZodError): SidecarError {
  const issue = error.issues[0]
  const path = issue?.path ?? []
  const field = path.length === 0 ? "the options" : `"${path.join(".")}"`
  const value = valueAt(input, path)
  const shown =
    value === undefined
      ? "missing"
      : inspect(value, { depth: 1, breakLength: Number.POSITIVE_INFINITY }).slice(0, 80)
  return badOptions(`${field}: it is ${shown}: ${issue?.message ?? "not valid"}`, error)
}

function badOptions(reason: string, cause?: unknown): SidecarError {
  return new SidecarError("bad-options", `Cannot use ${reason}`, cause === undefined ? {} : { cause })
}

function valueAt(input: unknown, path: readonly PropertyKey[]): unknown {
  let value = input
  for (const key of path) {
    if (typeof value !== "object" || value === null) return undefined
    value = new Map<PropertyKey, unknown>(Object.entries(value)).get(String(key))
  }
  return value
}
