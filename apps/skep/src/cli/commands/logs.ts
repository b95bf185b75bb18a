/**
 * `skep logs`: the console of a machine, what its guest has to say, the log of its Docker engine, or the log of one of Skep's own processes.
 *
 * @module
 */

import { existsSync } from "node:fs"
import { open, stat, watch } from "node:fs/promises"
import { basename, dirname, join } from "node:path"
import { SidecarError } from "@skep/contract"
import { orAborted } from "@skep/runtime/deadline"
import { errnoOf } from "@skep/runtime/files"
import { checkExists } from "../../client/backend.ts"
import { checkName, machinePaths } from "../../home/paths.ts"
import { openGuest, runInGuest } from "../guest.ts"
import { type LogPrinter, logPrinter } from "../log-printer.ts"
import type { Session } from "../session.ts"

const SOURCES = [
  "console",
  "guest",
  "docker",
  "launcher",
  "keeper",
  "vsock",
  "shares",
  "network",
  "qemu",
  "backend",
] as const
type Source = (typeof SOURCES)[number]

const TAIL_BYTES_PER_LINE = 512
const NEWLINE = 0x0a
/** In the guest: what `/etc/init.d/dockerd` writes to. */
const DOCKER_LOG = "/run/skep/dockerd.log"

export interface LogsOptions {
  readonly source: string
  readonly lines: number
  readonly follow: boolean
}

/** Prints the last lines, and with `follow` those that come, until Ctrl-C. */
export async function logs(session: Session, name: string, options: LogsOptions): Promise<void> {
  const source = sourceNamed(options.source)
  if (source !== "backend") checkExists(session.home, name)
  const printer = logPrinter(session.output, source)
  try {
    if (source === "docker") await printDockerLog(session, name, options, printer)
    else await printFile(session, pathOf(session, name, source), options, printer)
  } finally {
    printer.end()
  }
}

function sourceNamed(text: string): Source {
  const source = SOURCES.find((known) => known === text)
  if (source !== undefined) return source
  throw new SidecarError("bad-options", `Cannot show the log "${text}": there are ${SOURCES.join(", ")}`, {
    next: "Choose one of them with --source",
  })
}

function pathOf(session: Session, name: string, source: Exclude<Source, "docker">): string {
  const paths = machinePaths(session.home, checkName(name))
  switch (source) {
    case "console":
      return paths.consoleLog
    case "guest":
      return paths.guestLog
    case "launcher":
      return paths.launcherLog
    case "keeper":
      return join(paths.directory, "keeper.log")
    case "network":
      // A network of the machine's own has its log there; all others share one.
      return existsSync(paths.networkLog) ? paths.networkLog : session.home.networkLog
    case "vsock":
      return paths.vsockLog
    case "shares":
      return paths.sharesLog
    case "qemu":
      return join(paths.directory, "qemu.log")
    case "backend":
      return session.home.backendLog
  }
}

/** The engine's log lies in the guest's memory, and is read there. */
async function printDockerLog(
  session: Session,
  name: string,
  { lines, follow }: LogsOptions,
  printer: LogPrinter,
): Promise<void> {
  const guest = await openGuest(session, name)
  try {
    const line = `exec tail -n ${lines} ${follow ? "-F " : ""}${DOCKER_LOG}`
    const { channel, exited } = await runInGuest(guest, { line })
    const said: Buffer[] = []
    channel.on("data", (chunk: Buffer) => printer.write(chunk))
    channel.stderr.on("data", (chunk: Buffer) => said.push(chunk))
    const code = await orAborted(Promise.race([exited, guest.lost]), session.signal)
    if (code === 0) return
    throw new SidecarError("not-found", `Cannot show "${DOCKER_LOG}" of "${name}": tail ended with ${code}`, {
      detail: Buffer.concat(said).toString("utf8").trim().split("\n"),
      next: `See the console instead with skep logs ${name}`,
    })
  } catch (error) {
    if (!follow || !session.signal.aborted) throw error
  } finally {
    guest.end()
  }
}

async function printFile(
  session: Session,
  path: string,
  { lines, follow }: LogsOptions,
  printer: LogPrinter,
): Promise<void> {
  let position = await printTail(path, lines, printer)
  if (!follow) return
  for await (const _change of watchFile(path, session.signal)) {
    position = await printFrom(path, position, printer)
  }
}

async function printTail(path: string, lines: number, printer: LogPrinter): Promise<number> {
  const size = await sizeOf(path)
  const length = Math.min(size, Math.max(4096, lines * TAIL_BYTES_PER_LINE))
  const bytes = await read(path, size - length, length)
  printer.write(bytes.subarray(lastLines(bytes, lines)))
  return size
}

/** Where the last `count` lines begin. */
function lastLines(bytes: Buffer, count: number): number {
  let end = bytes.at(-1) === NEWLINE ? bytes.length - 1 : bytes.length
  for (let found = 0; found < count; found++) {
    end = end === 0 ? -1 : bytes.lastIndexOf(NEWLINE, end - 1)
    if (end < 0) return 0
  }
  return end + 1
}

async function printFrom(path: string, position: number, printer: LogPrinter): Promise<number> {
  const size = await sizeOf(path)
  const from = size < position ? 0 : position // it was rotated
  printer.write(await read(path, from, size - from))
  return size
}

async function sizeOf(path: string): Promise<number> {
  try {
    return (await stat(path)).size
  } catch (error) {
    if (errnoOf(error) !== "ENOENT") throw error
    throw new SidecarError("not-found", `Cannot show "${path}": there is no such log yet`, {
      next: "skep ls shows the machines",
    })
  }
}

async function read(path: string, from: number, length: number): Promise<Buffer> {
  await using file = await open(path)
  const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, from)
  return buffer.subarray(0, bytesRead)
}

/** Yields after each change of the file; watches its directory, so that a rotation is seen. */
async function* watchFile(path: string, signal: AbortSignal): AsyncGenerator<void> {
  const changes = watch(dirname(path), { signal })
  try {
    for await (const change of changes) if (change.filename === basename(path)) yield
  } catch (error) {
    if (!signal.aborted) throw error
  }
}
