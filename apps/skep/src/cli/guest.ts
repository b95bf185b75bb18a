/**
 * The way into a running machine, by SSH with the machine's own keys: for `skep shell`, and for logs that lie in the guest. It goes over the
 * machine's vsock; where there is none, or while that is away, over the loopback port that leads to its sshd.
 *
 * @module
 */
import { constants } from "node:os"
import { SidecarError } from "@skep/contract"
import { withResolvers } from "@skep/runtime/deadline"
import { connectPath } from "@skep/vsock/dialect"
import type { ClientChannel, PseudoTtyOptions } from "ssh2"
import { checkExists, connectBackend } from "../client/backend.ts"
import { openConnection, type SshConnection } from "../docker/ssh-connection.ts"
import { dialSsh } from "../guest/dial-ssh.ts"
import { machinePaths } from "../home/paths.ts"
import { readKeys } from "../machine/keys.ts"
import type { Session } from "./session.ts"

const CONNECT_DEADLINE_MS = 20_000
/** As a shell says it of a command that a signal ended. */
const SIGNAL_EXIT = 128
/** As ssh(1) has it for a command whose end nobody told. */
const UNKNOWN_EXIT = 255

/** Throws "not-found", "not-running", "timeout" or "permission-denied". */
export async function openGuest(session: Session, name: string): Promise<SshConnection> {
  checkExists(session.home, name)
  const backend = await connectBackend(session.home, session.signal)
  const machine = await backend.machine(name)
  // A machine may run though nothing is known of it for a moment: its launcher is being replaced, or hangs.
  const runs = machine.vm !== undefined || machine.state === "running"
  if (machine.record === undefined || !runs) {
    throw new SidecarError("not-running", `Cannot reach into "${name}": the machine is ${machine.state}`, {
      next: `Start it with skep up ${name}`,
    })
  }
  const paths = machinePaths(session.home, name)
  const keys = await readKeys(paths, name)
  const tcp = { host: "127.0.0.1", port: machine.record.sshPort }
  return await openConnection(
    {
      ...tcp,
      dial: (signal) => dialSsh({ connect: connectPath(paths.vsockDirectory), tcp }, signal),
      user: "root",
      privateKey: keys.user.privateKey,
      hostKey: keys.host.publicKey,
    },
    // A shell may outlive a pause of the machine: nothing asks whether it is still there.
    { signal: session.signal, deadlineMs: CONNECT_DEADLINE_MS, keepaliveMs: 0 },
  )
}

export interface GuestCommand {
  /** A line for the guest's shell; a login shell without one. */
  readonly line?: string
  /** The terminal to give it. */
  readonly terminal?: PseudoTtyOptions
}

export interface RunningCommand {
  readonly channel: ClientChannel
  /** Resolves with the exit code when the channel has closed. */
  readonly exited: Promise<number>
}

export function runInGuest({ client }: SshConnection, command: GuestCommand): Promise<RunningCommand> {
  const { promise, resolve, reject } = withResolvers<RunningCommand>()
  const opened = (error: Error | undefined, channel: ClientChannel): void => {
    // At once: the exit status may lie in the same packet.
    if (error === undefined) resolve({ channel, exited: exitOf(channel) })
    else
      reject(
        new SidecarError("unreachable", `Cannot run anything in the machine: ${error.message}`, {
          cause: error,
        }),
      )
  }
  const { line, terminal } = command
  if (line !== undefined) client.exec(line, terminal === undefined ? {} : { pty: terminal }, opened)
  else client.shell(terminal ?? false, opened)
  return promise
}

function exitOf(channel: ClientChannel): Promise<number> {
  const { promise, resolve } = withResolvers<number>()
  let code = UNKNOWN_EXIT
  channel.on("exit", (status: number | null, signal?: string) => {
    code = status ?? SIGNAL_EXIT + signalNumber(signal)
  })
  channel.on("close", () => resolve(code))
  return promise
}

/** With or without its SIG: RFC 4254 §6.10 leaves it out, ssh2 puts it back. */
function signalNumber(name: string | undefined): number {
  const known = Object.entries(constants.signals).find(
    ([signal]) => signal === name || signal === `SIG${name}`,
  )
  return known?.[1] ?? 0
}
