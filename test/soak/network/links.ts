/**
 * How the machines that are namespaces are on the network: by a TAP interface, or, for a driver that has none, over QEMU's stream with the benchmark's
 * stand-in for QEMU (`../../bench/network/cable.c`) in the namespace.
 *
 * @module
 */
import { execFileSync, spawnSync } from "node:child_process"
import { existsSync } from "node:fs"
import { join } from "node:path"
import { setTimeout as delay } from "node:timers/promises"
import type { World } from "./world.ts"

/** The interface in each namespace. */
export const TAP = "tap0"
const CABLE = join(import.meta.dirname, "../../bench/network/cable.c")
const DEADLINE_MS = 10_000

export type Driver = "loop" | "node"

/** By the names of the machines: the files of their namespaces. */
export type Machines = Readonly<Record<string, string>>

function socketOf(directory: string, name: string): string {
  return join(directory, `${name}.sock`)
}

/** The words of the network's command line. */
export function linkWords(driver: Driver, machines: Machines, directory: string): string {
  const words = Object.entries(machines).map(([name, namespace]) =>
    driver === "loop" ? `--tap ${name}=${TAP}@${namespace}` : `--qemu ${name}=${socketOf(directory, name)}`,
  )
  return words.join(" ")
}

/** Resolves when every machine has its interface. To be called when the network is there. */
export async function connect(world: World, driver: Driver, machines: Machines): Promise<void> {
  if (driver === "loop") return // the network has made them
  const cable = join(world.directory, "cable")
  execFileSync("gcc", ["-O2", "-o", cable, CABLE])
  for (const [name, namespace] of Object.entries(machines)) {
    world.start(`cable-${name}`, namespace, [cable, TAP, "unix", socketOf(world.directory, name)])
    await appears(namespace)
  }
}

async function appears(namespace: string): Promise<void> {
  const until = Date.now() + DEADLINE_MS
  const shows = ["nsenter", `--net=${namespace}`, "ip", "link", "set", TAP, "up"] as const
  const [program, ...words] = shows
  while (spawnSync(program, words).status !== 0) {
    if (Date.now() > until) throw new Error(`there is no ${TAP} in ${namespace}`)
    await delay(50)
  }
}

/** Why the machines cannot be connected here, or "". */
export function whyNoLinks(driver: Driver): string {
  if (driver === "loop") return ""
  return existsSync(CABLE) && spawnSync("gcc", ["--version"]).status === 0 ? "" : "needs gcc, for the cable"
}
