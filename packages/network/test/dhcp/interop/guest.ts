/**
 * Two network namespaces with a cable between them: the server is at one end, real clients at the other.
 *
 * @module
 */
import { execFile, execFileSync, spawnSync } from "node:child_process"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { Cleanup } from "@skep/runtime"
import {
  fromSource,
  type Program,
  startProgram,
  type TemporaryDirectory,
  temporaryDirectory,
} from "@skep/testkit"
import type { Lease, ServerOptions } from "../../../src/dhcp/index.ts"

/** Nothing here takes a tenth of it; what does hangs, and the test says so instead of waiting. */
const PATIENCE_MS = 45_000
const PROGRAM = fileURLToPath(new URL("program.ts", import.meta.url))

/** Why this cannot run here, or undefined. */
export function missing(programs: readonly string[]): string | undefined {
  if (process.platform !== "linux") return "needs Linux"
  if (process.getuid?.() !== 0) return "needs root, for network namespaces"
  const absent = ["ip", "unshare", ...programs].filter(
    (name) => spawnSync("sh", ["-c", `command -v ${name}`]).status !== 0,
  )
  if (absent.length > 0) return `needs ${absent.join(", ")}`
  const name = `skep-probe-${process.pid}`
  if (spawnSync("ip", ["netns", "add", name]).status !== 0) return "needs network namespaces"
  ip("netns", "del", name)
  return undefined
}

export interface Guest extends AsyncDisposable {
  /** The guest's end of the cable. */
  readonly device: string
  readonly directory: TemporaryDirectory
  /** A process in the guest's namespace, which ends with it at the latest. */
  start(command: string, ...args: readonly string[]): Program
  /** Runs to its end in the guest's namespace. Returns its output, both of them; rejects for an exit status that is not 0. */
  run(command: string, ...args: readonly string[]): Promise<string>
  /** The server, at the other end. */
  serve(options: Omit<ServerOptions, "store">): Promise<Served>
  /** Gives the server's end one more address. */
  addNeighbour(address: string): void
}

export interface Served extends AsyncDisposable {
  /** Waits until the server heard or said such a message. */
  message(matches: (message: Heard) => boolean): Promise<Heard>
  readonly messages: readonly Heard[]
  /** Ends it. */
  result(): Promise<{
    readonly leases: readonly Lease[]
    readonly counters: Readonly<Record<string, number>>
  }>
}

export interface Heard {
  readonly way: "in" | "out"
  readonly peer: string
  readonly type: string
  readonly address: string
}

export async function guest(): Promise<Guest> {
  await using cleanup = new Cleanup()
  const directory = cleanup.use(await temporaryDirectory())
  const id = `skep-d${process.pid}`
  const [host, own] = [`${id}h`, `${id}g`]
  for (const namespace of [host, own]) {
    ip("netns", "add", namespace)
    cleanup.defer(() => ip("netns", "del", namespace))
    ip("-n", namespace, "link", "set", "lo", "up")
  }
  ip("link", "add", "cable0", "netns", host, "type", "veth", "peer", "name", "cable1", "netns", own)
  ip("-n", host, "addr", "add", "192.168.64.1/22", "dev", "cable0")
  for (const [namespace, device] of [
    [host, "cable0"],
    [own, "cable1"],
  ] as const) {
    // The checksums of a veth are finished by nobody: captures would show wrong ones.
    spawnSync("ip", ["netns", "exec", namespace, "ethtool", "-K", device, "tx", "off"])
    ip("-n", namespace, "link", "set", device, "up")
  }
  // Or what is for all goes to nobody.
  ip("-n", host, "route", "add", "255.255.255.255/32", "dev", "cable0")
  const ownership = cleanup.move()
  return {
    device: "cable1",
    directory,
    start: (command, ...args) => ownership.use(programIn(own, [command, ...args])),
    run: async (command, ...args) => {
      const options = { timeout: PATIENCE_MS, killSignal: "SIGKILL" as const }
      const { stdout, stderr } = await promisify(execFile)(
        "ip",
        ["netns", "exec", own, command, ...args],
        options,
      )
      return stdout + stderr
    },
    serve: (options) => serve(host, options),
    addNeighbour: (address) => ip("-n", host, "addr", "add", `${address}/32`, "dev", "cable0"),
    [Symbol.asyncDispose]: () => ownership[Symbol.asyncDispose](),
  }
}

async function serve(namespace: string, options: Omit<ServerOptions, "store">): Promise<Served> {
  const args = [...fromSource(PROGRAM), "cable0", JSON.stringify(options)]
  const server = programIn(namespace, [process.execPath, ...args])
  await server.line((line) => line.includes('"ready"'))
  const parse = (line: string): Heard | undefined => {
    const heard: Partial<Heard> = JSON.parse(line)
    return heard.way === undefined ? undefined : (heard as Heard)
  }
  return {
    get messages() {
      return server.lines.flatMap((line) => parse(line) ?? [])
    },
    message: async (matches) => {
      const line = await server.line((text) => {
        const heard = parse(text)
        return heard !== undefined && matches(heard)
      })
      return JSON.parse(line)
    },
    result: async () => {
      server.child.stdin?.end()
      return JSON.parse(await server.line((line) => line.startsWith('{"leases"')))
    },
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  }
}

function programIn(namespace: string, command: readonly string[]): Program {
  return startProgram("ip", ["netns", "exec", namespace, ...command])
}

function ip(...args: readonly string[]): void {
  execFileSync("ip", args)
}
