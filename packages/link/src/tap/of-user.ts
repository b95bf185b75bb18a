/**
 * TAP devices in the namespaces of a process of the same user, without being root: what slirp4netns does with a process number.
 *
 * A user is the master of the user namespaces that he made, and of the network namespaces that belong to them. But a process has to enter such a
 * namespace before it has any right there, setns(2) lets only one of a single thread do that, and Node has many. So nsenter(1) of util-linux enters,
 * and runs a small program of ours there that hands the open device back (unix(7), SCM_RIGHTS). A device that is open goes on where it is.
 *
 * @module
 */
import { spawnSync } from "node:child_process"
import { fileURLToPath } from "node:url"
import * as sys from "@skep/loop/sys"
import type { TapDevice, TapOptions } from "./device.ts"
import { type Asked, type Handover, takeOver } from "./handover.ts"
import { NetworkInterface } from "./interface.ts"

const TIMEOUT_MS = 10_000
const SOURCE = import.meta.url.endsWith(".ts")
/** An entry of its own to a bundler. */
const OPENER = new URL(SOURCE ? "./opener.ts" : "./tap-opener.js", import.meta.url)

/**
 * Opens a device in the user and the network namespace of a process. Waits for a program to do so, for a moment as a rule and at most 10 s. Throws the
 * `SystemError` of what refused, or an `Error` where there is no nsenter, or it may not enter.
 */
export function openTapOfUser(process: number, options: Omit<TapOptions, "netns"> = {}): TapDevice {
  const pair = new Int32Array(2)
  sys.check(sys.socketPair(sys.AF_UNIX, sys.SOCK_STREAM, pair), "socketpair")
  const [ours = -1, theirs = -1] = pair
  try {
    const said = runOpener(process, theirs, options)
    const got = takeOver(ours)
    if (got === undefined)
      throw new Error(`Cannot open a TAP device in the namespaces of process ${process}: ${said}`)
    return deviceOf(got.text, got.fds)
  } finally {
    sys.close(ours)
    sys.close(theirs)
  }
}

/** Returns what it said to its standard error. */
function runOpener(target: number, socket: number, options: TapOptions): string {
  const { hardwareAddress, netns: _, ...rest } = options
  const asked: Asked = {
    ...rest,
    ...(hardwareAddress === undefined ? {} : { hardwareAddress: [...hardwareAddress] }),
  }
  const node = SOURCE ? ["--conditions=source", "--import", "tsx"] : []
  const { error, signal, stderr } = spawnSync(
    "nsenter",
    [
      "--preserve-credentials",
      "--user",
      "--net",
      `--target=${target}`,
      "--",
      process.execPath,
      ...node,
      fileURLToPath(OPENER),
      JSON.stringify(asked),
    ],
    { stdio: ["ignore", "ignore", "pipe", socket], encoding: "utf8", timeout: TIMEOUT_MS },
  )
  if (error !== undefined) return error.message
  return signal === null ? stderr.trim() : `ended by ${signal}`
}

function deviceOf(text: string, fds: readonly number[]): TapDevice {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- what our own program wrote
  const said = JSON.parse(text) as Handover
  if ("error" in said) {
    if (said.syscall === undefined || said.errno === undefined) throw new Error(said.error)
    throw new sys.SystemError(said.syscall, said.errno, "in the namespaces of another process")
  }
  const [fd = -1, socket = -1] = fds
  return { ...said, fd, interface: new NetworkInterface(said.interfaceName, socket) }
}
