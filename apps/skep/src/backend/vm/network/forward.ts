/**
 * The forward that every machine has.
 *
 * @module
 */
import type { ForwardRule } from "@skep/contract"
import type { MachineRecord } from "../../../machine/record.ts"

const SSH = 22

/** To the guest's sshd. */
export function sshForward({ sshPort }: Pick<MachineRecord, "sshPort">): ForwardRule {
  return { transport: "tcp", hostAddress: "127.0.0.1", hostPort: sshPort, guestPort: SSH }
}
