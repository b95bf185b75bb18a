/**
 * A real OpenSSH server on loopback, with keys of its own, for as long as a test lasts.
 *
 * @module
 */
import { execFileSync, spawn } from "node:child_process"
import { accessSync, constants, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { connect, createServer, type Socket } from "node:net"
import { tmpdir, userInfo } from "node:os"
import { join } from "node:path"
import { Cleanup, silentLog } from "@skep/runtime"
import type { SshEngineOptions } from "../../src/docker/ssh-engine.ts"

const SSHD = "/usr/sbin/sshd"

/** Why there is none, or undefined. */
export const noSshd: string | undefined = [SSHD, "/usr/bin/ssh-keygen"].every(isExecutable)
  ? undefined
  : "OpenSSH's sshd is not installed"

export interface Sshd extends AsyncDisposable {
  readonly port: number
  readonly user: string
  readonly privateKey: string
  readonly hostKey: string
  readonly directory: string
  /** Resolves when it listens. */
  start(): Promise<void>
}

/** Nothing runs before `start`. */
export async function sshd(config: readonly string[] = []): Promise<Sshd> {
  await using cleanup = new Cleanup()
  const directory = mkdtempSync(join(tmpdir(), "skep-sshd-"))
  cleanup.defer(() => rmSync(directory, { recursive: true, force: true }))
  for (const name of ["host", "user"]) {
    execFileSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", join(directory, name)])
  }
  const port = await freePort()
  const lines = [
    `ListenAddress 127.0.0.1:${port}`,
    `HostKey ${join(directory, "host")}`,
    `AuthorizedKeysFile ${join(directory, "user.pub")}`,
    "StrictModes no",
    "UsePAM no",
    "PasswordAuthentication no",
    "PermitRootLogin prohibit-password",
    "PidFile none",
    "MaxStartups 100",
    ...config,
  ]
  writeFileSync(join(directory, "config"), `${lines.join("\n")}\n`)
  const owned = cleanup.move()
  return {
    port,
    directory,
    user: userInfo().username,
    privateKey: readFileSync(join(directory, "user"), "utf8"),
    hostKey: readFileSync(join(directory, "host.pub"), "utf8"),
    start: () => listening(join(directory, "config"), owned),
    [Symbol.asyncDispose]: () => owned[Symbol.asyncDispose](),
  }
}

/** How to reach an engine at `socketPath` behind that server. */
export function engineOptions(server: Sshd, socketPath: string): SshEngineOptions {
  return {
    host: "127.0.0.1",
    port: server.port,
    user: server.user,
    privateKey: server.privateKey,
    hostKey: server.hostKey,
    socketPath,
    signal: new AbortController().signal,
    log: silentLog,
  }
}

/** A TCP relay on loopback whose connections can be cut. */
export async function relayTo(port: number): Promise<{ port: number; cut(): void } & AsyncDisposable> {
  const open = new Set<Socket>()
  const server = createServer((near) => {
    const far = connect(port, "127.0.0.1")
    for (const socket of [near, far]) {
      open.add(socket)
      socket.on("error", () => undefined)
      socket.on("close", () => {
        near.destroy()
        far.destroy()
      })
    }
    near.pipe(far).pipe(near)
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const address = server.address()
  const cut = (): void => {
    for (const socket of open) socket.destroy()
  }
  return {
    port: typeof address === "object" && address !== null ? address.port : 0,
    cut,
    [Symbol.asyncDispose]: async () => {
      cut()
      server.close()
    },
  }
}

export async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  return typeof address === "object" && address !== null ? address.port : 0
}

function listening(config: string, cleanup: Cleanup): Promise<void> {
  // sshd of root wants /run/sshd: it gets one in a mount namespace of its own, where root has a plain shell as in a guest.
  const script = [
    "mount --make-rprivate / && mount -t tmpfs tmpfs /run && mkdir /run/sshd",
    "sed 's#^\\(root:.*\\):[^:]*$#\\1:/bin/sh#' /etc/passwd > /run/passwd && mount --bind /run/passwd /etc/passwd",
    'exec "$@"',
  ].join(" && ")
  const command = [SSHD, "-D", "-e", "-f", config]
  const [program = "", ...rest] =
    userInfo().uid === 0 ? ["unshare", "-m", "sh", "-c", script, "sh", ...command] : command
  const child = spawn(program, rest, { stdio: ["ignore", "ignore", "pipe"] })
  const ended = new Promise<void>((resolve) => child.once("close", () => resolve()))
  cleanup.defer(async () => {
    child.kill("SIGTERM")
    await ended
  })
  return new Promise((resolve, reject) => {
    let said = ""
    child.stderr.on("data", (chunk: Buffer) => {
      said += chunk.toString()
      if (said.includes("Server listening")) resolve()
    })
    void ended.then(() => reject(new Error(`sshd ended: ${said}`)))
  })
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
