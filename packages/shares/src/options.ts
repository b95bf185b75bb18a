/**
 * The options of the share manager.
 *
 * @module
 */
import { inspect } from "node:util"
import { type ShareRule, SidecarError } from "@skep/contract"
import { checkSocketPath, parseShareRule } from "@skep/runtime"
import * as z from "zod"
import { SHARES_MAX } from "./tree/numbers.ts"

/** How the guest is reached: through the host's sockets of its vsock bridge. */
export interface GuestWay {
  /** The bridge's socket that takes HyperKit's greeting. */
  readonly connect: string
  readonly cid: number
  /** Where the guest's part listens. */
  readonly port: number
}

/** Where the NFS server listens. Only loopback: it trusts whoever reaches it. */
export type NfsPlace = { readonly socket: string } | { readonly port: number }

/** The way to the NFS server of the host's kernel: sockets for a gateway that leads there. */
export interface ExportsWay {
  readonly socket: string
  /** Of its MOUNT protocol. */
  readonly mountSocket: string
  /** The address that the server sees, to which directories are exported. */
  readonly from: string
  /** By which ports the guest reaches the sockets. */
  readonly port: number
  readonly mountPort: number
}

export interface SharesOptions {
  readonly machine: string
  /** The vhost-user socket, on which the hypervisor's side connects. */
  readonly socket: string
  readonly nfs?: NfsPlace
  /** By which address and port the guest reaches that. The port is the server's own unless told, as behind a gateway. */
  readonly nfsAddress?: string
  readonly nfsPort?: number
  /** What it takes for shares that the host's kernel exports; somebody else sees to it that it does. */
  readonly exports?: ExportsWay
  /** This machine's own: what has to outlive this process. Made if it is missing. */
  readonly stateDirectory: string
  readonly guest?: GuestWay
  /** Exactly these from the start. Without it, those that the state directory has from before. */
  readonly shares?: readonly ShareRule[]
  /** Paths of the host that nobody sees inside a share, and that cannot be shared. */
  readonly hidden: readonly string[]
  readonly protocol: "auto" | "virtiofs" | "nfs" | "exports"
  /** Whether virtiofs has extended attributes: docs/decisions/share-xattrs.md. */
  readonly xattrs: boolean
  /** What the guest mounts by. */
  readonly tag: string
  /** Threads for system calls that wait for a disk. 0: everything in the one thread. */
  readonly ioThreads: number
  /** Descriptors for nodes that the guest remembers, of each share. */
  readonly maxDescriptors: number
  /** Ends the sidecar when no front end was connected for so long, from its start or the last hang-up on. 0 is never. */
  readonly lonelyMs: number
}

const absolutePath = z.string().regex(/^\/[^\n\0]*$/, "must be an absolute path")
const DAY_MS = 86_400_000
const PORT_MAX = 65_535
const SHOWN_MAX = 80
/** vsock: 0 to 2 are the hypervisor, this machine and its host. */
const CID_MIN = 3
const U32_MAX = 0xffff_ffff

const Options: z.ZodType<SharesOptions> = z.strictObject({
  machine: z
    .string()
    .regex(/^[a-z0-9][a-z0-9_.-]{0,62}$/i, "must be letters, digits, dots, dashes and underscores"),
  socket: absolutePath,
  nfs: z
    .union([z.strictObject({ socket: absolutePath }), z.strictObject({ port: z.int().min(0).max(PORT_MAX) })])
    .exactOptional(),
  nfsAddress: z.union([z.ipv4(), z.ipv6()]).exactOptional(),
  nfsPort: z.int().min(1).max(PORT_MAX).exactOptional(),
  exports: z
    .strictObject({
      socket: absolutePath,
      mountSocket: absolutePath,
      from: z.ipv4(),
      port: z.int().min(1).max(PORT_MAX),
      mountPort: z.int().min(1).max(PORT_MAX),
    })
    .exactOptional(),
  stateDirectory: absolutePath,
  guest: z
    .strictObject({
      connect: absolutePath,
      cid: z.int().min(CID_MIN).max(U32_MAX),
      port: z.int().min(0).max(U32_MAX).default(1027),
    })
    .exactOptional(),
  shares: z
    .array(z.unknown().transform((rule) => parseShareRule(rule)))
    .max(SHARES_MAX)
    .exactOptional(),
  hidden: z.array(absolutePath).max(64).default([]),
  protocol: z.enum(["auto", "virtiofs", "nfs", "exports"]).default("auto"),
  xattrs: z.boolean().default(false),
  tag: z
    .string()
    .regex(/^[a-z0-9][a-z0-9._-]{0,35}$/i, "must be at most 36 letters, digits, dots, dashes and underscores")
    .default("skep"),
  ioThreads: z.int().min(0).max(64).default(4),
  maxDescriptors: z.int().min(64).default(8192),
  lonelyMs: z.int().min(0).max(DAY_MS).default(0),
})

/** Checks options from outside. Throws "bad-options" with one sentence that names the field and its value, and "path-too-long". */
export function parseSharesOptions(input: unknown): SharesOptions {
  const parsed = Options.safeParse(input)
  if (!parsed.success) throw refusal(input, parsed.error)
  const options = parsed.data
  for (const path of ownSockets(options)) checkSocketPath(path)
  if (options.protocol === "nfs" && options.nfs === undefined)
    throw badOptions('"protocol" of the shares: NFS needs to be told where to listen ("nfs")')
  if (options.protocol === "nfs" && options.guest !== undefined && options.nfsAddress === undefined)
    throw badOptions('"protocol" of the shares: the guest needs to be told where NFS is ("nfsAddress")')
  if (options.protocol === "exports" && (options.exports === undefined || options.nfsAddress === undefined))
    throw badOptions(
      '"protocol" of the shares: the way to the host\'s server is missing ("exports", "nfsAddress")',
    )
  return options
}

/** Every socket that the sidecar makes. */
export function ownSockets({ socket, nfs, exports }: SharesOptions): readonly string[] {
  return [
    socket,
    ...(nfs !== undefined && "socket" in nfs ? [nfs.socket] : []),
    ...(exports === undefined ? [] : [exports.socket, exports.mountSocket]),
  ]
}

function refusal(input: unknown, error: z.ZodError): SidecarError {
  const issue = error.issues[0]
  const path = issue?.path ?? []
  const field = path.length === 0 ? "the options of the shares" : `"${path.join(".")}" of the shares`
  const value = valueAt(input, path)
  const shown =
    value === undefined
      ? "missing"
      : inspect(value, { depth: 1, breakLength: Number.POSITIVE_INFINITY }).slice(0, SHOWN_MAX)
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
