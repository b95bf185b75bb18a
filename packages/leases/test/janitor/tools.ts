/**
 * Machines that a tool of this host knows of, for tests: Skep's own files in a home directory of the test.
 *
 * @module
 */
import { mkdirSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import type { LeaseClient } from "@skep/contract-tests"
import type { HostOptions } from "../../src/owners/host.ts"

export interface Tools {
  readonly options: HostOptions
  readonly machine: (client: LeaseClient, state: "running" | "stopped" | "gone") => Promise<void>
}

/** Below the directory; nothing else of this host is looked at. */
export function toolsIn(directory: string): Tools {
  const home = join(directory, "home")
  return {
    options: { root: join(directory, "root"), homes: [home], env: {}, machineId: "this-host" },
    machine: async ({ name, mac }, state) => {
      const [machine, run] = [join(home, ".skep/machines", name), join(home, ".skep/run", name)]
      rmSync(machine, { recursive: true, force: true })
      rmSync(run, { recursive: true, force: true })
      if (state === "gone") return
      mkdirSync(machine, { recursive: true })
      writeFileSync(join(machine, "machine.json"), JSON.stringify({ version: 1, name, mac }))
      if (state === "stopped") return
      mkdirSync(run, { recursive: true })
      writeFileSync(join(run, "vm.json"), JSON.stringify({ identity: { pid: process.pid } }))
    },
  }
}
