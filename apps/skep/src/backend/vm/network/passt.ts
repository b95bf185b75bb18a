/**
 * passt as a machine's network.
 *
 * @module
 */
import { adoptPasst, passtProcess } from "@skep/adapters/passt/client"
import { sshForward } from "./forward.ts"
import { LONELY_MS, type OwnProgram } from "./own.ts"

/** The gateway: passt leads what is for it to the host's loopback. */
const HOST = "192.168.64.1"

export const PASST: OwnProgram = {
  provider: "passt",
  mtu: 65_520,
  hostAddress: HOST,
  adopt: adoptPasst,
  start: async ({ paths, record, programs }, stderr, context) => {
    const sidecar = passtProcess({ file: process.execPath, args: programs.passt, stderr })
    const options = sidecar.parseOptions({
      socket: paths.netSocket,
      mac: record.mac,
      gateway: HOST,
      policy: record.networkPolicy === "loopback" ? "loopback" : "open",
      forwards: [sshForward(record)],
      lonelyMs: LONELY_MS,
    })
    return await sidecar.start(options, context)
  },
}
