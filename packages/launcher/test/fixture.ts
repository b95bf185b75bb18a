/**
 * A place for fake machines: their hypervisor, their files, their options.
 *
 * @module
 */
import { chmod, readFile, writeFile } from "node:fs/promises"
import { connect, type Socket } from "node:net"
import { join } from "node:path"
import type { LauncherRunning, LauncherStatus, Sidecar } from "@skep/contract"
import { fromSource, leftoversOf, type TemporaryDirectory, temporaryDirectory } from "@skep/testkit"
import { build } from "esbuild"
import { type LauncherOptions, launcher, launcherProcess, type MachinePaths, pathsOf } from "../src/index.ts"
import type { Behaviours } from "./fake/behaviour.ts"

export interface Place extends AsyncDisposable {
  readonly directory: TemporaryDirectory
  /** Options as they come from outside, for a machine of its own by index. */
  input(index?: number, more?: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>>
  options(index?: number, more?: Readonly<Record<string, unknown>>): LauncherOptions
  paths(index?: number): MachinePaths
  /** Processes, sockets and files in the run directory. */
  leftovers(index?: number): Promise<readonly string[]>
  /** The accelerators that were tried, in order. */
  starts(): Promise<readonly string[]>
}

/** Short, since a guest that is silent on purpose makes the test wait. */
const SILENCE = { provingMs: 150, silenceMs: 250 }

export async function openPlace(behaviours: Omit<Behaviours, "log"> = {}): Promise<Place> {
  const directory = await temporaryDirectory()
  const bundle = directory.at("hypervisor.mjs")
  hypervisor ??= bundledHypervisor()
  await writeFile(bundle, await hypervisor)
  const log = directory.at("starts.log")
  await writeFile(log, "")
  const behaviour = JSON.stringify({ ...behaviours, log })
  const program = directory.at("qemu")
  await writeFile(program, `#!/bin/sh\nexec '${process.execPath}' '${bundle}' '${behaviour}' "$@"\n`)
  await chmod(program, 0o755)
  for (const name of ["vmlinuz", "initrd.img", "data.img"]) await writeFile(directory.at(name), name)
  const input: Place["input"] = (index = 0, more = {}) => ({
    name: `box${index}`,
    cpus: 1,
    memoryMiB: 128,
    accelerator: "tcg",
    boot: {
      kernel: directory.at("vmlinuz"),
      initrd: directory.at("initrd.img"),
      commandLine: "console=ttyS0",
    },
    disks: [{ serial: "skep-data", path: directory.at("data.img") }],
    network: { kind: "qemu-user", mac: "52:54:00:00:00:01", restricted: true },
    runDirectory: directory.at(`run${index}`),
    logDirectory: directory.at(`log${index}`),
    verdictFile: directory.at("verdict.json"),
    program,
    provingMs: 20_000,
    silenceMs: 20_000,
    ...more,
  })
  const options: Place["options"] = (index, more) => launcher.parseOptions(input(index, more))
  return {
    directory,
    input,
    options,
    paths: (index) => pathsOf(options(index)),
    leftovers: (index) => leftoversOf(options(index).runDirectory),
    starts: async () => (await readFile(log, "utf8")).split("\n").filter((line) => line !== ""),
    [Symbol.asyncDispose]: () => directory[Symbol.asyncDispose](),
  }
}

let hypervisor: Promise<string> | undefined

async function bundledHypervisor(): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [join(import.meta.dirname, "fake/hypervisor.ts")],
    bundle: true,
    platform: "node",
    format: "esm",
    write: false,
    logLevel: "error",
  })
  return outputFiles.map(({ text }) => text).join("")
}

export const impatient: Readonly<Record<string, unknown>> = SILENCE

export function spawnedLauncher(): Sidecar<LauncherOptions, LauncherStatus, LauncherRunning> {
  return launcherProcess({
    file: process.execPath,
    args: fromSource(import.meta.dirname, "../src/main.ts"),
    endWithParent: true,
  })
}

export interface Terminal extends AsyncDisposable {
  readonly socket: Socket
  type(line: string): void
  /** Resolves with all that came so far once it contains `text`. */
  until(text: string): Promise<string>
  readonly closed: Promise<void>
}

/** Opens the console as a user does. */
export async function openTerminal(path: string): Promise<Terminal> {
  const socket = connect(path)
  let seen = ""
  let look = (): void => undefined
  socket.setEncoding("utf8")
  socket.on("data", (text: string) => {
    seen += text
    look()
  })
  socket.on("error", () => socket.destroy())
  const closed = new Promise<void>((resolve) => {
    socket.once("close", () => resolve())
  })
  await new Promise<void>((resolve) => {
    socket.once("connect", () => resolve())
    socket.once("close", () => resolve())
  })
  return {
    socket,
    closed,
    type: (line) => void socket.write(`${line}\n`),
    until: (text) =>
      new Promise((resolve, reject) => {
        look = () => {
          if (seen.includes(text)) resolve(seen)
        }
        look()
        socket.once("close", () =>
          reject(new Error(`the console closed without ${JSON.stringify(text)}: ${seen}`)),
        )
      }),
    [Symbol.asyncDispose]: async () => {
      socket.destroy()
      await closed
    },
  }
}
