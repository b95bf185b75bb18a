/**
 * `skep shell` (also `ssh`): a shell or one command in the machine, over SSH with the machine's own keys.
 *
 * @module
 */
import { existsSync } from "node:fs"
import { SidecarError } from "@skep/contract"
import { orAborted } from "@skep/runtime/deadline"
import type { ClientChannel, PseudoTtyOptions } from "ssh2"
import { checkExists, connectBackend } from "../../client/backend.ts"
import type { SshConnection } from "../../docker/ssh-connection.ts"
import { type Home, machinePaths } from "../../home/paths.ts"
import { sshConfig } from "../../machine/keys.ts"
import { openGuest, runInGuest } from "../guest.ts"
import { quoteIfNeeded } from "../quote.ts"
import type { Session } from "../session.ts"

/** Runs a command, or an interactive shell without one. The exit code is the command's. */
export async function shell(session: Session, name: string, command: readonly string[]): Promise<void> {
  const guest = await openGuest(session, name)
  try {
    process.exitCode = await Promise.race([run(guest, command, session.signal), guest.lost])
  } finally {
    guest.end()
  }
}

/** Which of the words is the machine: the first one, if it stands before any `--` and a machine has that name. */
export function splitWords(
  home: Home,
  machine: string | undefined,
  words: readonly string[],
  argv: readonly string[],
): { readonly name: string; readonly command: readonly string[] } {
  if (machine !== undefined) return { name: machine, command: words }
  const [first = ""] = words
  const dashes = argv.indexOf("--")
  const named = first !== "" && (dashes < 0 || argv.indexOf(first) < dashes) && isMachine(home, first)
  if (!named) return { name: "default", command: words }
  // `skep shell dev -- ls`: behind a word the parser leaves the dashes in place.
  return { name: first, command: words.slice(words[1] === "--" ? 2 : 1) }
}

function isMachine(home: Home, name: string): boolean {
  return /^[a-z0-9-]+$/.test(name) && existsSync(machinePaths(home, name).directory)
}

export async function printSshConfig(session: Session, name: string): Promise<void> {
  checkExists(session.home, name)
  const backend = await connectBackend(session.home, session.signal)
  const machine = await backend.machine(name)
  if (machine.record === undefined)
    throw new SidecarError("corrupt-file", `Cannot read the machine "${name}"`)
  const paths = machinePaths(session.home, name)
  const { sshPort } = machine.record
  if (session.output.json) {
    session.output.value({
      host: `skep-${name}`,
      hostName: "127.0.0.1",
      port: sshPort,
      user: "root",
      identityFile: paths.identityFile,
      userKnownHostsFile: paths.knownHosts,
    })
    return
  }
  process.stdout.write(sshConfig(paths, name, sshPort))
  session.output.note(`# Use it with: ssh -F ${paths.sshConfig} skep-${name}, or put this into ~/.ssh/config`)
}

async function run(guest: SshConnection, command: readonly string[], signal: AbortSignal): Promise<number> {
  const { stdin, stdout, stderr } = process
  const interactive = stdin.isTTY && stdout.isTTY
  const { channel, exited } = await runInGuest(guest, {
    ...(command.length === 0 ? {} : { line: lineOf(command) }),
    ...(interactive ? { terminal: windowOf(stdout) } : {}),
  })
  channel.pipe(stdout, { end: false })
  channel.stderr.pipe(stderr, { end: false })
  const restore = interactive ? rawMode(channel) : (): void => undefined
  stdin.pipe(channel)
  try {
    return await orAborted(exited, signal)
  } catch (error) {
    // The command sees its input and output end; OpenSSH passes no signal on to what root runs.
    channel.close()
    throw error
  } finally {
    restore()
    stdin.unpipe(channel)
    stdin.pause()
  }
}

function windowOf({ columns, rows }: NodeJS.WriteStream): PseudoTtyOptions {
  return { term: process.env["TERM"] ?? "xterm", cols: columns, rows }
}

/** The terminal is the guest's now: every key goes there, Ctrl-C too. Returns the way back. */
function rawMode(channel: ClientChannel): () => void {
  const resize = (): void => channel.setWindow(process.stdout.rows, process.stdout.columns, 0, 0)
  process.stdin.setRawMode(true)
  process.stdout.on("resize", resize)
  return () => {
    process.stdin.setRawMode(false)
    process.stdout.off("resize", resize)
  }
}

/** A line for the guest's shell. A single word may be a whole line, as with ssh(1). */
function lineOf(command: readonly string[]): string {
  return command.length === 1 ? (command[0] ?? "") : command.map(quoteIfNeeded).join(" ")
}
