/**
 * `skep logs`: the console of a machine, or the log of one of Skep's own processes.
 *
 * @module
 */

import { open, stat, watch } from "node:fs/promises"
import { basename, dirname, join } from "node:path"
import { SidecarError } from "@skep/contract"
import { errnoOf } from "@skep/runtime/files"
import { checkName, machinePaths } from "../../home/paths.ts"
import type { Session } from "../session.ts"

export const SOURCES = ["console", "launcher", "qemu", "backend"] as const
const TAIL_BYTES_PER_LINE = 512

export interface LogsOptions {
  readonly source: string
  readonly lines: number
  readonly follow: boolean
}

/** Prints the last lines, and with `follow` those that come, until Ctrl-C. */
export async function logs(session: Session, name: string, options: LogsOptions): Promise<void> {
  const path = pathOf(session, name, options.source)
  const print = session.output.json
    ? (text: string) => {
        for (const line of text.split("\n"))
          if (line !== "") session.output.item({ source: options.source, line })
      }
    : (text: string) => void process.stdout.write(text)
  let position = await printTail(path, options.lines, print)
  if (!options.follow) return
  const changes = watchFile(path, session.signal)
  for await (const _change of changes) {
    position = await printFrom(path, position, print)
  }
}

function pathOf(session: Session, name: string, source: string): string {
  const paths = machinePaths(session.home, checkName(name))
  switch (source) {
    case "console":
      return paths.consoleLog
    case "launcher":
      return paths.launcherLog
    case "qemu":
      return join(paths.directory, "qemu.log")
    case "backend":
      return session.home.backendLog
    default:
      throw new SidecarError(
        "bad-options",
        `Cannot show the log "${source}": there are ${SOURCES.join(", ")}`,
        {
          next: "Choose one of them with --source",
        },
      )
  }
}

async function printTail(path: string, lines: number, print: (text: string) => void): Promise<number> {
  const size = await sizeOf(path)
  const length = Math.min(size, Math.max(4096, lines * TAIL_BYTES_PER_LINE))
  const text = await read(path, size - length, length)
  const all = text.split("\n")
  const last = all.at(-1) === "" ? all.length - 1 : all.length
  print(all.slice(Math.max(0, last - lines)).join("\n"))
  return size
}

async function printFrom(path: string, position: number, print: (text: string) => void): Promise<number> {
  const size = await sizeOf(path)
  const from = size < position ? 0 : position // it was rotated
  print(await read(path, from, size - from))
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

async function read(path: string, from: number, length: number): Promise<string> {
  await using file = await open(path)
  const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, from)
  return buffer.subarray(0, bytesRead).toString("utf8")
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
