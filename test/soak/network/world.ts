/**
 * Network namespaces of one soak, the program in the host's, and programs in each: all gone at the end.
 *
 * @module
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process"
import { once } from "node:events"
import { createWriteStream, existsSync, readdirSync, readFileSync } from "node:fs"
import { request } from "node:http"
import { join } from "node:path"

const NAMESPACES = "/run/netns"
const STOP_MS = 5000

/** Why there can be no soak here, or "". */
export function whyNoSoak(): string {
  if (process.getuid?.() !== 0) return "needs root, for network namespaces"
  const missing = ["ip", "nsenter", "setpriv", "udhcpc"].filter(
    (name) => spawnSync("sh", ["-c", `command -v ${name}`]).status !== 0,
  )
  if (missing.length > 0) return `needs ${missing.join(", ")}`
  return existsSync("/dev/net/tun") ? "" : "needs /dev/net/tun"
}

function ip(...words: readonly string[]): void {
  const { status, stderr } = spawnSync("ip", words, { encoding: "utf8" })
  if (status !== 0) throw new Error(`ip ${words.join(" ")}: ${stderr}`)
}

export class World implements AsyncDisposable {
  readonly directory: string
  readonly #prefix = `skep-soak-${process.pid}-`
  readonly #names: string[] = []
  readonly #children: ChildProcess[] = []

  constructor(directory: string) {
    this.directory = directory
  }

  /** Makes a namespace with loopback only. Returns its file. */
  namespace(name: string): string {
    const full = this.#prefix + name
    ip("netns", "add", full)
    this.#names.push(full)
    ip("-n", full, "link", "set", "lo", "up")
    // Servers that say more than anybody reads would otherwise take all of the memory that the kernel has for TCP, everybody's.
    ip("netns", "exec", full, "sysctl", "-qw", "net.ipv4.tcp_wmem=4096 16384 262144")
    return join(NAMESPACES, full)
  }

  /** Starts a program in a namespace; the kernel ends it with this process. */
  start(name: string, namespace: string, argv: readonly string[]): ChildProcess {
    const child = spawn("setpriv", ["--pdeathsig", "KILL", "nsenter", `--net=${namespace}`, ...argv], {
      stdio: ["pipe", "pipe", "pipe"],
    })
    child.stdin.on("error", () => undefined)
    child.stderr.pipe(createWriteStream(join(this.directory, `${name}.log`)))
    this.#children.push(child)
    return child
  }

  log(name: string): string {
    return readFileSync(join(this.directory, `${name}.log`), "utf8").slice(-4000)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of this.#children.splice(0).toReversed()) await ended(child)
    for (const name of this.#names.splice(0)) ip("netns", "delete", name)
  }
}

/** Ends a program: its stdin ends, then SIGTERM, then SIGKILL. */
export async function ended(child: ChildProcess): Promise<void> {
  if (hasEnded(child)) return
  const gone = once(child, "exit")
  child.stdin?.end()
  child.kill("SIGTERM")
  const timer = setTimeout(() => child.kill("SIGKILL"), STOP_MS)
  await gone
  clearTimeout(timer)
}

export function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null
}

/** Lets a program end by itself when its stdin does. */
export async function finished(child: ChildProcess): Promise<void> {
  if (hasEnded(child)) return
  const gone = once(child, "exit")
  child.stdin?.end()
  const timer = setTimeout(() => child.kill("SIGKILL"), STOP_MS)
  await gone
  clearTimeout(timer)
}

/** Resident memory in MB. */
export function residentOf(pid: number): number {
  return (
    Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, "latin1"))?.[1] ?? 0) * 1.024e-3
  )
}

export function descriptorsOf(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length
}

/** Asks the control socket. */
export async function ask(socketPath: string, method: string, path: string): Promise<unknown> {
  return await new Promise((resolve, reject) => {
    const asked = request({ socketPath, method, path, timeout: 10_000 }, (response) => {
      let body = ""
      response.setEncoding("utf8")
      response.on("data", (chunk: string) => (body += chunk))
      response.on("end", () => {
        const failed = (response.statusCode ?? 500) >= 300
        if (failed) reject(new Error(`${method} ${path}: ${response.statusCode} ${body}`))
        else resolve(body === "" ? undefined : (JSON.parse(body) as unknown))
      })
    })
    asked.on("timeout", () => asked.destroy(new Error(`${method} ${path}: no answer`)))
    asked.on("error", reject)
    asked.end()
  })
}
