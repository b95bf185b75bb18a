/**
 * QEMU's own user network: a part of the machine's process, with forwards through its monitor.
 *
 * @module
 */
import { qemuUser } from "@skep/adapters/qemu-user"
import type { VmContext } from "../context.ts"
import { sshForward } from "./forward.ts"
import type { MachineNetwork } from "./network.ts"

/** That of every guest of it, unless QEMU is told otherwise. */
const HOST = "10.0.2.2"

export function userNetwork({ record, paths, log, emit }: VmContext): MachineNetwork {
  const restricted = record.networkPolicy === "restricted"
  return {
    provider: "user",
    // QEMU's `restrict=on` drops what is for addresses outside of its own network.
    answersOthers: !restricted,
    ready: () => Promise.resolve(),
    hostAddress: () => Promise.resolve(HOST),
    describe: () => ({
      kind: "qemu-user",
      id: "net0",
      mac: record.mac,
      restricted,
      forwards: [sshForward(record)],
    }),
    attach: (signal) =>
      qemuUser.start(qemuUser.parseOptions({ qmp: paths.networkMonitor }), { signal, log, emit }),
    release: () => Promise.resolve(),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  }
}
