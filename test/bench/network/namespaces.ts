/**
 * Network namespaces of one run: one that stands for the host, and as many guests as wanted. None of them reaches anything outside.
 *
 * @module
 */
import { spawnSync } from "node:child_process"
import { existsSync, readdirSync } from "node:fs"
import { constants } from "node:os"
import { run } from "../home.ts"

const DIRECTORY = "/run/netns"
const PREFIX = "skep-bench-"

/** The host's own address beside loopback: what comes from there is not taken by a shortcut that is only for loopback. */
export const HOST_ADDRESS = "10.77.0.2"

export interface Namespaces extends AsyncDisposable {
  /** The file of the host's namespace: loopback, and an interface with `HOST_ADDRESS` that leads nowhere. */
  readonly host: string
  /** Makes one with loopback only, and returns its file. */
  readonly make: (name: string) => Promise<string>
}

/** Needs root. Disposal removes all of them; those of runs that were killed are removed here. */
export async function namespaces(): Promise<Namespaces> {
  await sweep()
  const made: string[] = []
  const make = async (name: string): Promise<string> => {
    const full = `${PREFIX}${process.pid}-${name}`
    await ip("netns", "add", full)
    made.push(full)
    await ip("-n", full, "link", "set", "lo", "up")
    await sysctl(full, "net.ipv4.ip_local_port_range=1024 20000") // below the ports of the servers
    // A program that opens thousands of connections a second would spend its time in looking for a port that none of them waits with.
    await sysctl(full, "net.ipv4.tcp_max_tw_buckets=0")
    return `${DIRECTORY}/${full}`
  }
  // A signal leaves no time for anything else; the programs in the namespaces end with the benchmark.
  const killed = (signal: NodeJS.Signals): void => {
    for (const name of made) spawnSync("ip", ["netns", "delete", name])
    process.exit(128 + constants.signals[signal])
  }
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const
  for (const signal of signals) process.once(signal, killed)
  const close = async (): Promise<void> => {
    for (const signal of signals) process.removeListener(signal, killed)
    for (const name of made.splice(0)) await ip("netns", "delete", name)
  }
  try {
    const host = await make("host")
    const [name = ""] = made
    await ip("-n", name, "link", "add", "host0", "type", "veth", "peer", "name", "host1")
    await ip("-n", name, "address", "add", `${HOST_ADDRESS}/24`, "dev", "host0")
    for (const end of ["host0", "host1"]) await ip("-n", name, "link", "set", end, "up")
    // The peers take an interface with a default route for a model.
    await ip("-n", name, "route", "add", "default", "via", "10.77.0.1")
    return { host, make, [Symbol.asyncDispose]: close }
  } catch (error) {
    await close()
    throw error
  }
}

/** `ip` in a namespace that is given by its file. */
export async function ipIn(namespace: string, ...words: readonly string[]): Promise<string> {
  return await ip("-n", namespace.slice(DIRECTORY.length + 1), ...words)
}

/** Removes what a run that was killed has left. */
async function sweep(): Promise<void> {
  if (!existsSync(DIRECTORY)) return
  for (const name of readdirSync(DIRECTORY)) {
    const pid = /^skep-bench-(\d+)-/.exec(name)?.[1]
    if (pid !== undefined && !existsSync(`/proc/${pid}`)) await ip("netns", "delete", name)
  }
}

async function ip(...words: readonly string[]): Promise<string> {
  return await run("ip", words, process.env)
}

async function sysctl(name: string, setting: string): Promise<void> {
  await run("ip", ["netns", "exec", name, "sysctl", "-qw", setting], process.env)
}
