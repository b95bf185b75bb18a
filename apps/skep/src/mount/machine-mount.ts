/**
 * The sidecar `mount`: one directory of a running machine as a directory of the host, in a process of its own. It ends when its machine does.
 *
 * @module
 */

import { readFile } from "node:fs/promises"
import { type Identity, type Sidecar, SidecarError } from "@skep/contract"
import { type Link, type MountRunning, type MountStatus, mountRemote } from "@skep/host-mount"
import { isAlive } from "@skep/runtime"
import * as z from "zod"
import { openConnection } from "../docker/ssh-connection.ts"
import { dialSsh } from "../guest/dial-ssh.ts"

export interface MachineMountOptions {
  readonly machine: string
  readonly path: string
  readonly directory: string
  /** Where in the machine absolute links below `path` begin: `path` itself means that they are the machine's own paths. */
  readonly linkBase: string
  readonly readOnly: boolean
  readonly cacheMs: number
  readonly deadlineMs: number
  /** The bridge's `connect` socket, and the port of the host that leads to sshd. */
  readonly connect: string
  readonly sshPort: number
  readonly identityFile: string
  readonly hostKey: string
  /** The hypervisor's process: the mount ends with it. */
  readonly hypervisor: Identity
}

const absolute = z.string().regex(/^\/[^\n\0]*$/, "must be an absolute path")

const Options: z.ZodType<MachineMountOptions> = z.strictObject({
  machine: z.string().regex(/^[a-z0-9-]+$/),
  path: absolute,
  directory: absolute,
  linkBase: absolute,
  readOnly: z.boolean().default(false),
  cacheMs: z.int().min(0).max(600_000).default(1000),
  deadlineMs: z.int().min(100).max(600_000).default(10_000),
  connect: absolute,
  sshPort: z.int().min(1).max(65_535),
  identityFile: absolute,
  hostKey: z.string().min(1),
  hypervisor: z.object({ pid: z.int().min(1), startTime: z.string() }),
})

/** While the machine runs it is tried again and again; between two tries it is seen whether it still runs. */
const TRY_MS = 3000
const FIRST_MS = 20_000
/** A machine that is paused, or whose sshd hangs, is found out after three of these. */
const KEEPALIVE_MS = 5000

export const machineMount: Sidecar<MachineMountOptions, MountStatus, MountRunning> = {
  name: "mount",
  parseOptions: parseMountOptions,
  start: async (options, context) => {
    const privateKey = await readFile(options.identityFile, "utf8")
    let deadlineMs = FIRST_MS
    const connect = async (signal: AbortSignal): Promise<Link> => {
      const link = await connectSftp(options, privateKey, { deadlineMs, signal })
      deadlineMs = TRY_MS
      return link
    }
    return await mountRemote(options, { connect, isGone: () => !isAlive(options.hypervisor) }, context)
  },
}

/** Throws "bad-options". */
export function parseMountOptions(input: unknown): MachineMountOptions {
  const parsed = Options.safeParse(input)
  if (parsed.success) return parsed.data
  const reason = z.prettifyError(parsed.error).replaceAll("\n", " ")
  throw new SidecarError("bad-options", `Cannot read the options of a mount: ${reason}`, {
    cause: parsed.error,
  })
}

async function connectSftp(
  { connect, sshPort, hostKey }: MachineMountOptions,
  privateKey: string,
  { deadlineMs, signal }: { readonly deadlineMs: number; readonly signal: AbortSignal },
): Promise<Link> {
  const tcp = { host: "127.0.0.1", port: sshPort }
  const connection = await openConnection(
    { ...tcp, dial: (limit) => dialSsh({ connect, tcp }, limit), user: "root", privateKey, hostKey },
    { signal, deadlineMs, keepaliveMs: KEEPALIVE_MS },
  )
  const opening = new Promise<Link>((resolve, reject) => {
    connection.client.sftp((error, sftp) => {
      if (error === undefined) resolve({ sftp, lost: connection.lost, end: connection.end })
      else
        reject(
          new SidecarError("unreachable", `Cannot read the machine's files: ${error.message}`, {
            cause: error,
          }),
        )
    })
  })
  try {
    return await Promise.race([opening, connection.lost])
  } catch (error) {
    connection.end()
    throw error
  }
}
