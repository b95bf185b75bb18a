/**
 * The mounts of this user: a process and a control socket each, in the run directory of its machine, named after the directory of the host.
 *
 * @module
 */
import { createHash } from "node:crypto"
import { closeSync, openSync } from "node:fs"
import { readdir } from "node:fs/promises"
import { join } from "node:path"
import { SidecarError } from "@skep/contract"
import { isOurs, type MountStatus, mountOn, unmountLazily } from "@skep/host-mount"
import { type Remote, silentLog, spawn } from "@skep/runtime"
import { call } from "@skep/runtime/control-client"
import { within } from "@skep/runtime/deadline"
import { programArguments } from "../client/program.ts"
import type { Home } from "../home/paths.ts"
import type { MachineMountOptions } from "./machine-mount.ts"

const START_MS = 60_000
const ANSWER_MS = 5000
const UNMOUNT_MS = 20_000
const SOCKET = /^mount-[0-9a-f]{8}\.sock$/

export interface ListedMount extends MountStatus {
  readonly socket: string
}

/** Resolves when the directory shows the files; the process outlives this one. */
export async function startMount(
  home: Home,
  options: MachineMountOptions,
  signal: AbortSignal,
): Promise<MountStatus> {
  const log = openSync(mountLog(home), "a", 0o600)
  const deadline = AbortSignal.timeout(START_MS)
  try {
    const sidecar = spawn<MachineMountOptions, MountStatus, Remote<MountStatus>>(
      {
        name: "mount",
        file: process.execPath,
        args: programArguments("mount"),
        control: () => socketOf(home, options.machine, options.directory),
        // Both ends are of one build: what one writes the other reads.
        // oxlint-disable-next-line typescript/no-unsafe-type-assertion
        parseOptions: (input) => input as MachineMountOptions,
        // As above.
        // oxlint-disable-next-line typescript/no-unsafe-type-assertion
        parseStatus: (value) => value as MountStatus,
        stderr: log,
      },
      (remote) => remote,
    )
    const context = { signal: AbortSignal.any([signal, deadline]), log: silentLog, emit: () => undefined }
    const remote = await sidecar.start(options, context)
    const status = await remote.status()
    remote.release()
    return status
  } catch (error) {
    if (signal.aborted || !deadline.aborted) throw error
    throw new SidecarError("timeout", `Cannot mount on "${options.directory}" within ${START_MS / 1000} s`, {
      cause: error,
      next: `See the end of ${mountLog(home)}`,
    })
  } finally {
    closeSync(log)
  }
}

/** All that answer. */
export async function listMounts(home: Home, signal: AbortSignal): Promise<readonly ListedMount[]> {
  const found = await Promise.all(
    (await sockets(home)).map(async (socket) => {
      try {
        const status = await call(socket, {
          method: "GET",
          path: "/status",
          signal: within(ANSWER_MS, signal),
        })
        // As above.
        // oxlint-disable-next-line typescript/no-unsafe-type-assertion
        return { ...(status as MountStatus), socket }
      } catch {
        signal.throwIfAborted()
        return undefined // its process was killed, or ends
      }
    }),
  )
  return found.filter((mount) => mount !== undefined).toSorted((a, b) => (a.directory < b.directory ? -1 : 1))
}

/** Throws "busy" while programs use it, unless forced; "not-found" where nothing of ours is mounted. */
export async function endMount(
  home: Home,
  directory: string,
  force: boolean,
  signal: AbortSignal,
): Promise<void> {
  const mount = (await listMounts(home, signal)).find((one) => one.directory === directory)
  if (mount !== undefined) {
    const limit = within(UNMOUNT_MS, signal)
    await call(mount.socket, { method: "POST", path: "/unmount", body: { force }, signal: limit })
    return
  }
  const there = await mountOn(directory)
  if (there === undefined || !isOurs(there)) {
    throw new SidecarError(
      "not-found",
      `Cannot unmount "${directory}": no machine's files are mounted there`,
      {
        next: "See what is mounted with skep mount",
      },
    )
  }
  // Its process was killed, or belongs to another $SKEP_RUN.
  await unmountLazily(directory)
}

export function mountLog(home: Home): string {
  return join(home.logs, "mounts.log")
}

function socketOf(home: Home, machine: string, directory: string): string {
  const hash = createHash("sha256").update(directory).digest("hex").slice(0, 8)
  return join(home.run, machine, `mount-${hash}.sock`)
}

async function sockets(home: Home): Promise<readonly string[]> {
  const machines = await readdir(home.run, { withFileTypes: true }).catch(() => [])
  const found = await Promise.all(
    machines
      .filter((entry) => entry.isDirectory())
      .map(async ({ name }) => {
        const directory = join(home.run, name)
        const names = await readdir(directory).catch(() => []) // removed meanwhile
        return names.filter((file) => SOCKET.test(file)).map((file) => join(directory, file))
      }),
  )
  return found.flat()
}
