/**
 * Which file lies where. A run directory belongs to one machine; the logs outlive it.
 *
 * @module
 */
import { join } from "node:path"
import type { LauncherOptions } from "./description.ts"

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
  readonly consoleLog: string
  readonly hypervisorLog: string
}

/** What is known of the machine, for whoever takes it over. */
export const RECORD_NAME = "vm.json"

type Directories = Pick<LauncherOptions, "runDirectory" | "logDirectory">

export function pathsOf({ runDirectory, logDirectory }: Directories): MachinePaths {
  return {
    lock: join(runDirectory, "vm.lock"),
    record: join(runDirectory, RECORD_NAME),
    qmp: join(runDirectory, "qmp.sock"),
    qmpNetwork: join(runDirectory, "qmp-network.sock"),
    serial: join(runDirectory, "serial.sock"),
    console: join(runDirectory, "console.sock"),
    consoleLog: join(logDirectory, "console.log"),
    hypervisorLog: join(logDirectory, "qemu.log"),
  }
}

/** The launcher's control socket. */
export function controlSocketOf(options: Pick<LauncherOptions, "runDirectory">): string {
  return join(options.runDirectory, "launcher.sock")
}
