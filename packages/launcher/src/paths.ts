/**
 * Which file lies where. A run directory belongs to one machine; the logs outlive it.
 *
 * @module
 */
import { join } from "node:path"
import { keptDevices, type LauncherOptions } from "./description.ts"

export interface MachinePaths {
  /** Held by flock as long as a launcher owns the machine. */
  readonly lock: string
  readonly record: string
  /** The launcher's own monitor. */
  readonly qmp: string
  /** A second monitor for the network adapter. */
  readonly qmpNetwork: string
  /** The guest's serial port, as QEMU serves it: one client, the launcher. */
  readonly serial: string
  /** The same, as the launcher serves it to everybody. */
  readonly console: string
  /** The control socket of the keeper. */
  readonly keeper: string
  readonly keeperLog: string
  /** Where QEMU listens for the keeper, one socket a device. */
  readonly fronts: Readonly<Record<string, string>>
  readonly consoleLog: string
  readonly hypervisorLog: string
}

/** What is known of the machine, for whoever takes it over. */
export const RECORD_NAME = "vm.json"

const KEEPER_NAME = "keeper.sock"

type Places = Pick<LauncherOptions, "runDirectory" | "logDirectory" | "network" | "devices">

export function pathsOf(places: Places): MachinePaths {
  const { runDirectory, logDirectory } = places
  const kept = keptDevices(places)
  return {
    lock: join(runDirectory, "vm.lock"),
    record: join(runDirectory, RECORD_NAME),
    qmp: join(runDirectory, "qmp.sock"),
    qmpNetwork: join(runDirectory, "qmp-network.sock"),
    serial: join(runDirectory, "serial.sock"),
    console: join(runDirectory, "console.sock"),
    keeper: keeperSocketOf(runDirectory),
    keeperLog: join(logDirectory, "keeper.log"),
    fronts: Object.fromEntries(kept.map(({ name }) => [name, join(runDirectory, `vhost-${name}.sock`)])),
    consoleLog: join(logDirectory, "console.log"),
    hypervisorLog: join(logDirectory, "qemu.log"),
  }
}

/** The keeper's control socket. */
export function keeperSocketOf(runDirectory: string): string {
  return join(runDirectory, KEEPER_NAME)
}

/** The launcher's control socket. */
export function controlSocketOf(options: Pick<LauncherOptions, "runDirectory">): string {
  return join(options.runDirectory, "launcher.sock")
}
