/**
 * `skep shell` (also `ssh`): a shell or one command in the machine, over SSH with the machine's own keys.
 *
 * @module
 */
import { existsSync } from "node:fs"
import { SidecarError } from "@skep/contract"
import { withResolvers } from "@skep/runtime/deadline"
import ssh2, { type Client, type ClientChannel } from "ssh2"
import { checkExists, connectBackend } from "../../client/backend.ts"
import { type Home, machinePaths } from "../../home/paths.ts"
import { readKeys, sshConfig } from "../../machine/keys.ts"
import type { Session } from "../session.ts"

const CONNECT_DEADLINE_MS = 20_000
const SIGNAL_EXIT = 128

/** Runs a command, or an interactive shell without one. The exit code is the command's. */
export async function shell(session: Session, name: string, command: readonly string[]): Promise<void> {
  checkExists(session.home, name)
  const backend = await connectBackend(session.home, session.signal)
  const machine = await backend.machine(name)
  if (machine.record === undefined || machine.vm === undefined) {
    throw new SidecarError(
      "not-running",
      `Cannot open a shell in "${name}": the machine is ${machine.state}`,
      {
        next: `Start it with skep up ${name}`,
      },
    )
  }
  const keys = await readKeys(machinePaths(session.home, name))
  const client = await connect(machine.record.sshPort, keys.user.privateKey, keys.host.publicKey)
  try {
    process.exitCode = await run(client, command)
  } finally {
    client.end()
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
  return named ? { name: first, command: words.slice(1) } : { name: "default", command: words }
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

function connect(port: number, privateKey: string, hostKey: string): Promise<Client> {
  const { promise, resolve, reject } = withResolvers<Client>()
  const client = new ssh2.Client()
  const expected = hostKey.split(" ")[1] ?? ""
  client.on("ready", () => resolve(client))
  client.on("error", (cause) => {
    reject(
      new SidecarError(
        "unreachable",
        `Cannot reach the machine's SSH server at 127.0.0.1:${port}: ${cause.message}`,
        {
          cause,
          next: "Wait until it has booted (skep status), or look with skep console",
        },
      ),
    )
  })
  client.connect({
    host: "127.0.0.1",
    port,
    username: "root",
    privateKey,
    readyTimeout: CONNECT_DEADLINE_MS,
    hostVerifier: (key: Buffer) => key.toString("base64") === expected,
  })
  return promise
}

async function run(client: Client, command: readonly string[]): Promise<number> {
  const interactive = process.stdin.isTTY && process.stdout.isTTY
  const channel = await openChannel(client, command, interactive)
  const { promise, resolve } = withResolvers<number>()
  // A channel may close without an exit status when the machine goes away.
  let code = SIGNAL_EXIT + 127
  channel.on("exit", (status: number | null, signal?: string) => {
    code = status ?? SIGNAL_EXIT + signalNumber(signal)
  })
  channel.on("close", () => resolve(code))
  channel.pipe(process.stdout, { end: false })
  channel.stderr.pipe(process.stderr, { end: false })
  const restore = interactive ? rawMode(channel) : (): void => undefined
  process.stdin.pipe(channel)
  try {
    return await promise
  } finally {
    restore()
    process.stdin.unpipe(channel)
    process.stdin.pause()
  }
}

function openChannel(
  client: Client,
  command: readonly string[],
  interactive: boolean,
): Promise<ClientChannel> {
  const { promise, resolve, reject } = withResolvers<ClientChannel>()
  const opened = (error: Error | undefined, channel: ClientChannel): void => {
    if (error === undefined) resolve(channel)
    else reject(new SidecarError("unreachable", `Cannot start a shell: ${error.message}`, { cause: error }))
  }
  const window = {
    term: process.env["TERM"] ?? "xterm",
    cols: process.stdout.columns,
    rows: process.stdout.rows,
  }
  if (command.length === 0) {
    if (interactive) client.shell(window, opened)
    else client.shell(false, opened)
  } else {
    client.exec(command.map(quoted).join(" "), interactive ? { pty: window } : {}, opened)
  }
  return promise
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

/** One word for the guest's shell. A single argument may be a whole line, as with ssh(1). */
function quoted(word: string, _index: number, all: readonly string[]): string {
  return all.length === 1 || /^[A-Za-z0-9_@%+=:,./-]+$/.test(word)
    ? word
    : `'${word.replaceAll("'", `'\\''`)}'`
}

function signalNumber(name: string | undefined): number {
  const numbers: Readonly<Record<string, number>> = { HUP: 1, INT: 2, QUIT: 3, KILL: 9, TERM: 15 }
  return numbers[name ?? ""] ?? 1
}
