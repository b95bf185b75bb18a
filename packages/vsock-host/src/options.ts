/**
 * The options that every vsock bridge has, whatever its device is: which guest, and which sockets of the host.
 *
 * @module
 */
import { inspect } from "node:util"
import { SidecarError } from "@skep/contract"
import * as z from "zod"
import { CID_HOST, CID_MAX, PORT_MAX } from "./dialect/address.ts"
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

export interface HostOptions {
  readonly guestCid: number
  /** Where the sockets of the HyperKit dialect are. Without it there are none. */
  readonly directory?: string
  /** Guest ports with a socket of their own in `directory`, on which no greeting is needed. */
  readonly guestForwards: readonly number[]
  /** The socket of the Firecracker dialect, beside which its services are. Without it there is none. */
  readonly udsPath?: string
  readonly ports: readonly PortMap[]
}

/** An absolute path without what would end or hide part of it. */
export const absolutePath: z.ZodString = z.string().regex(/^\/[^\n\0]*$/, "must be an absolute path")
export const port: z.ZodInt = z.int().min(0).max(PORT_MAX)

/** For the schema of a bridge, beside what is its own: `z.strictObject({ ...hostFields, socket: absolutePath })`. */
export const hostFields: {
  readonly guestCid: z.ZodInt
  readonly directory: z.ZodExactOptional<z.ZodString>
  readonly guestForwards: z.ZodDefault<z.ZodArray<z.ZodInt>>
  readonly udsPath: z.ZodExactOptional<z.ZodString>
  readonly ports: z.ZodType<readonly PortMap[]>
} = {
  guestCid: z
    .int()
    .min(CID_HOST + 1)
    .max(CID_MAX),
  directory: absolutePath.exactOptional(),
  guestForwards: z.array(port).max(64).default([]),
  udsPath: absolutePath.exactOptional(),
  ports: z
    .array(
      z.strictObject({ port, path: absolutePath, mode: z.enum(["listen", "connect"]).default("listen") }),
    )
    .max(1024)
    .default([]),
}

const Devices = z.looseObject({ devices: z.array(z.string().min(1).max(4096)).max(1024).default([]) })

export interface ParseOptions<O extends HostOptions> {
  readonly schema: z.ZodType<O>
  /** Sockets of the bridge beside those of `hostPaths`. */
  readonly otherPaths: (options: O) => readonly string[]
  readonly platform: Platform
}

/** Where we run. */
export const here: Platform = process.platform === "darwin" ? "darwin" : "linux"

/**
 * Checks options from outside; those of `devices`, strings of other programs (`dialect/devices.ts`), are among them afterwards. Throws "bad-options" with one sentence that names the field and its value, and
 * "path-too-long" for sockets that the platform could not bind.
 */
export function parseHostOptions<O extends HostOptions>(
  input: unknown,
  { schema, otherPaths, platform }: ParseOptions<O>,
): O {
  const whole = Devices.safeParse(input)
  if (!whole.success) throw refusal(input, whole.error)
  const { devices, ...rest } = whole.data
  const said = addDevices(rest, devices)
  const parsed = schema.safeParse(said)
  if (!parsed.success) throw refusal(said, parsed.error)
  const options = parsed.data
  const others = otherPaths(options)
  for (const path of others) checkSocketPath(path, platform)
  if (options.directory !== undefined) checkDirectory(options.directory, platform)
  if (options.udsPath !== undefined) checkUdsPath(options.udsPath, platform)
  for (const { path } of options.ports) checkSocketPath(path, platform)
  if (options.guestForwards.length > 0 && options.directory === undefined) {
    throw badOptions('"guestForwards": they need a "directory"')
  }
  refuseTwice("paths", [...others, ...hostPaths(options)])
  refuseTwice(
    "host ports",
    options.ports.filter(({ mode }) => mode === "listen").map((map) => String(map.port)),
  )
  return options
}

/** Every path that `HostSockets` creates. */
export function hostPaths({
  directory,
  udsPath,
  guestCid,
  guestForwards,
  ports,
}: HostOptions): readonly string[] {
  const hyperkit =
    directory === undefined
      ? []
      : [
          connectPath(directory),
          ...guestForwards.flatMap((forward) => [
            forwardPath(directory, guestCid, forward),
            forwardLink(directory, forward),
          ]),
        ]
  const maps = ports.filter(({ mode }) => mode === "connect").map(({ path }) => path)
  return [...hyperkit, ...(udsPath === undefined ? [] : [udsPath]), ...maps]
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
