/**
 * Where everything of Skep lies (docs/architecture.md, section 4).
 *
 * `$SKEP_HOME` (`~/.skep`) keeps what outlives a reboot; `$SKEP_RUN` (`$SKEP_HOME/run`) has the sockets. The run directory is
 * not under `$XDG_RUNTIME_DIR`: that one goes with the last login session, while machines run on.
 *
 * @module
 */
import { homedir } from "node:os"
import { join, resolve } from "node:path"
import { SidecarError } from "@skep/contract"
import { checkSocketPath, privateDirectory } from "@skep/runtime/files"

/** The longest socket name inside a machine's run directory; its path must fit into a `sockaddr_un`. */
const LONGEST_SOCKET = "vsock/CCCCCCCC.PPPPPPPP"

export interface Home {
  readonly home: string
  readonly run: string
  readonly machines: string
  readonly images: string
  readonly cache: string
  readonly logs: string
  readonly bin: string
  readonly settingsFile: string
  readonly verdictFile: string
  readonly backendSocket: string
  readonly backendLog: string
  /** What outlives the network of all machines, and its sockets. */
  readonly network: string
  readonly networkLeases: string
  readonly networkDirectory: string
  readonly networkLog: string
  /** A link to the socket of the user's SSH agent, as the last command knew it. */
  readonly sshAgent: string
  /** The Docker API of the active machine: a link to that machine's own socket. */
  readonly dockerSocket: string
}

export interface MachinePaths {
  readonly directory: string
  readonly record: string
  readonly data: string
  readonly seed: string
  readonly identityFile: string
  readonly hostKeyFile: string
  readonly knownHosts: string
  readonly sshConfig: string
  readonly consoleLog: string
  readonly launcherLog: string
  readonly run: string
  readonly launcherSocket: string
  readonly networkMonitor: string
  /** Where a program that serves the machine's network has its frames, and what it has to say. */
  readonly netSocket: string
  readonly networkLog: string
  /** Where the vsock sidecar listens for the machine's device (vhost-user). */
  readonly vsockSocket: string
  /** HyperKit's sockets: `connect` into the guest, `00000002.PPPPPPPP` for what the guest reaches. */
  readonly vsockDirectory: string
  readonly vsockLog: string
  /** Where the sidecar of the shares listens for the machine's device (vhost-user), what it has to say, and what it keeps over its own death. */
  readonly sharesSocket: string
  /** Where it serves NFS, for a machine that has its shares so; the machine's gateway leads there. */
  readonly sharesNfsSocket: string
  /** The same for the MOUNT protocol of the host's own NFS server. */
  readonly sharesMountSocket: string
  readonly sharesLog: string
  readonly sharesDirectory: string
  /** What the guest has to say: its kernel and its services. */
  readonly guestLog: string
  readonly consoleSocket: string
  readonly dockerSocket: string
}

/** Derives all paths from the environment; touches nothing. Throws "path-too-long" when sockets would not fit. */
export function homeFrom(env: Readonly<Record<string, string | undefined>>): Home {
  const home = resolve(env["SKEP_HOME"] ?? join(homedir(), ".skep"))
  const run = resolve(env["SKEP_RUN"] ?? join(home, "run"))
  const cache = join(home, "cache")
  const paths: Home = {
    home,
    run,
    machines: join(home, "machines"),
    images: join(home, "images"),
    cache,
    logs: join(home, "logs"),
    bin: join(home, "bin"),
    settingsFile: join(home, "settings.json"),
    verdictFile: join(cache, "accelerators.json"),
    backendSocket: join(run, "backend.sock"),
    backendLog: join(home, "logs", "backend.log"),
    network: join(home, "network"),
    networkLeases: join(home, "network", "leases.json"),
    networkDirectory: join(run, "network"),
    networkLog: join(home, "logs", "network.log"),
    sshAgent: join(run, "ssh-agent.sock"),
    dockerSocket: join(run, "docker.sock"),
  }
  checkSocketPath(paths.backendSocket)
  return paths
}

/** The paths of one machine. Throws "path-too-long" when its sockets would not fit. */
export function machinePaths(home: Home, name: string): MachinePaths {
  const directory = join(home.machines, name)
  const run = join(home.run, name)
  checkSocketPath(join(run, LONGEST_SOCKET))
  return {
    directory,
    record: join(directory, "machine.json"),
    data: join(directory, "data.img"),
    seed: join(directory, "seed.img"),
    identityFile: join(directory, "id_ed25519"),
    hostKeyFile: join(directory, "ssh_host_ed25519_key"),
    knownHosts: join(directory, "known_hosts"),
    sshConfig: join(directory, "ssh_config"),
    consoleLog: join(directory, "console.log"),
    launcherLog: join(directory, "launcher.log"),
    run,
    launcherSocket: join(run, "launcher.sock"),
    networkMonitor: join(run, "qmp-network.sock"),
    netSocket: join(run, "net.sock"),
    networkLog: join(directory, "network.log"),
    vsockSocket: join(run, "vsock.sock"),
    vsockDirectory: join(run, "vsock"),
    vsockLog: join(directory, "vsock.log"),
    sharesSocket: join(run, "shares.sock"),
    sharesNfsSocket: join(run, "shares-nfs.sock"),
    sharesMountSocket: join(run, "shares-mount.sock"),
    sharesLog: join(directory, "shares.log"),
    sharesDirectory: join(directory, "shares"),
    guestLog: join(directory, "guest.log"),
    consoleSocket: join(run, "console.sock"),
    dockerSocket: join(run, "docker.sock"),
  }
}

/** Creates the directories, each 0700. Throws "permission-denied", "disk-full" or "exists" with what to do. */
export async function createHome(home: Home): Promise<void> {
  for (const directory of [home.home, home.run, home.machines, home.images, home.cache, home.logs]) {
    await privateDirectory(directory)
  }
}

const NAME = /^[a-z0-9][a-z0-9-]{0,30}$/
const RESERVED = new Set(["backend", "docker", "network", "all"])

/** Checks the name of a machine. Throws "bad-name". */
export function checkName(name: string): string {
  if (NAME.test(name) && !RESERVED.has(name)) return name
  const reason = RESERVED.has(name)
    ? "the name is reserved"
    : "a name has 1 to 31 of a-z, 0-9 and -, and begins with no -"
  throw new SidecarError(
    "bad-name",
    `Cannot use ${JSON.stringify(name)} as the name of a machine: ${reason}`,
    {
      next: "Choose another name, such as dev-1",
    },
  )
}
