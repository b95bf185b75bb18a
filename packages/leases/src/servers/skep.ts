/**
 * Our own network: `skep-network` has its leases in memory, shares its file by a lock (packages/network/src/dhcp/lease-file.md), and takes leases back by a verb.
 *
 * @module
 */
import { connect } from "node:net"
import { basename, dirname, join } from "node:path"
import { SidecarError } from "@skep/contract"
import { call } from "@skep/runtime/control-client"
import { sameFile } from "./same-file.ts"
import type { LeaseServer } from "./server.ts"

const CONTROL = "network/control.sock"

export const skep: LeaseServer = {
  name: "skep",
  title: "skep-network",
  places: [],
  whileRunning: "ask",
  next: "Start the network's backend anew: skep ls",
  lockOf: (path) => `${path}.lock`,
  async isRunning(path, _host, signal) {
    const answers = await Promise.all(controlsOf(path).map((socket) => listens(socket, signal)))
    return answers.includes(true)
  },
  async ask({ address, machine }, document, signal) {
    if (machine === undefined)
      throw new SidecarError(
        "unsupported",
        `Cannot release ${address} while its network runs: the lease is of no machine`,
      )
    for (const socket of controlsOf(document.path)) {
      if (!(await listens(socket, signal))) continue
      await call(socket, { method: "DELETE", path: `/leases/${encodeURIComponent(machine)}`, signal })
      return
    }
  },
}

/**
 * Where the network of a file may listen: `$SKEP_HOME/network/leases.json` belongs to that of `$SKEP_RUN`, any other file to the control socket beside it. Never that of
 * another home, which may have a machine of the same name.
 */
function controlsOf(path: string): readonly string[] {
  // Where the sockets are is the user's to say.
  // oxlint-disable-next-line node/no-process-env
  const { SKEP_HOME: own, SKEP_RUN: run } = process.env
  const directory = dirname(path)
  const beside = join(directory, "control.sock")
  if (basename(directory) !== "network") return [beside]
  const home = dirname(directory)
  const isOwn = own === undefined ? basename(home) === ".skep" : sameFile(own, home)
  return [beside, ...(isOwn && run !== undefined ? [join(run, CONTROL)] : []), join(home, "run", CONTROL)]
}

function listens(path: string, signal: AbortSignal): Promise<boolean> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) {
      reject(signal.reason)
      return
    }
    const socket = connect(path)
    socket.once("connect", () => {
      socket.destroy()
      resolve(true)
    })
    socket.once("error", () => resolve(false))
  })
}
