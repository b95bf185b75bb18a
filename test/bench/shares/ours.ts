/**
 * Our share manager as a server of the benchmark: the built program, once for virtiofs and once for NFS.
 *
 * @module
 */
import { mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { start } from "../network/process.ts"
import { nfsMount } from "./peers.ts"
import type { Place, Served, Server } from "./server.ts"

const PROGRAM = join(import.meta.dirname, "../../../apps/skep/dist/programs/shares.js")
/** The one share, which is the whole of what is served. */
const TARGET = "/work"
export const OURS = "ours"

export const oursVirtiofs: Server = {
  name: OURS,
  kind: "virtiofs",
  missing: () => undefined,
  serve: async (place) => {
    const socket = join(place.directory, "fs.sock")
    const program = await started(place, { socket })
    return { program, socket, mount: "-t virtiofs TAG", within: "1" }
  },
}

export const oursNfs: Server = {
  name: `${OURS}-nfs`,
  kind: "nfs",
  missing: () => undefined,
  serve: async (place): Promise<Served> => {
    const socket = join(place.directory, "fs.sock")
    const program = await started(place, { socket, protocol: "nfs", nfs: { port: place.port } })
    return { program, mount: nfsMount("/", place.port, place.port), within: "1" }
  },
}

async function started(place: Place, options: Readonly<Record<string, unknown>>) {
  const { source, directory, log, namespace } = place
  const stateDirectory = join(directory, "state")
  mkdirSync(stateDirectory, { mode: 0o700 })
  const config = join(directory, "options.json")
  const share = { path: source, target: TARGET, readOnly: false, cache: "cached", ownership: "virtual" }
  writeFileSync(config, JSON.stringify({ machine: "bench", stateDirectory, shares: [share], ...options }))
  const control = join(directory, "control.sock")
  const words = [PROGRAM, "--config", config, "--control", control]
  return await start([process.execPath, ...words], { log, namespace, untilLine: true })
}
