/**
 * passt as a machine's network.
 *
 * @module
 */
import { adoptPasst, passtProcess } from "@skep/adapters/passt/client"
import { sshForward } from "./forward.ts"
import { LONELY_MS, type OwnProgram } from "./own.ts"

export const PASST: OwnProgram = {
  provider: "passt",
  mtu: 65_520,
  adopt: adoptPasst,
  start: async ({ paths, record, programs }, stderr, context) => {
    const sidecar = passtProcess({ file: process.execPath, args: programs.passt, stderr })
    const options = sidecar.parseOptions({
      socket: paths.netSocket,
      mac: record.mac,
      policy: record.networkPolicy === "loopback" ? "loopback" : "open",
      forwards: [sshForward(record)],
      lonelyMs: LONELY_MS,
    })
    return await sidecar.start(options, context)
  },
}
