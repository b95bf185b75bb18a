/**
 * gvproxy as a machine's network.
 *
 * @module
 */
import { adoptGvproxy, GUEST, gvproxyProcess, HOST } from "@skep/adapters/gvproxy/client"
import { sshForward } from "./forward.ts"
import { LONELY_MS, type OwnProgram } from "./own.ts"

export const GVPROXY: OwnProgram = {
  provider: "gvproxy",
  mtu: 65_520,
  hostAddress: HOST,
  mac: GUEST.mac,
  adopt: adoptGvproxy,
  start: async ({ paths, record, programs }, stderr, context) => {
    const sidecar = gvproxyProcess({ file: process.execPath, args: programs.gvproxy, stderr })
    const options = sidecar.parseOptions({
      socket: paths.netSocket,
      program: record.gvproxy ?? "gvproxy",
      forwards: [sshForward(record)],
      lonelyMs: LONELY_MS,
    })
    return await sidecar.start(options, context)
  },
}
