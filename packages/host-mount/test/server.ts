/**
 * SSH on loopback with OpenSSH's own sftp-server behind it, or with one that answers what a test wants.
 *
 * @module
 */
import { spawn } from "node:child_process"
import { existsSync, mkdtempSync, realpathSync, rmSync } from "node:fs"
import type { AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { withResolvers } from "@skep/runtime/deadline"
import { newSshKey } from "@skep/runtime/ssh-key"
import ssh2, { type ServerChannel, type SFTPWrapper } from "ssh2"
import type { Link } from "../src/remote.ts"

const SFTP_SERVER = "/usr/lib/openssh/sftp-server"

/** Why there is none, or undefined. */
export const noSftpServer: string | undefined = existsSync(SFTP_SERVER)
  ? undefined
  : "OpenSSH's sftp-server is not installed"

export interface TestServer extends AsyncDisposable {
  /** A directory of the test's own, removed with the server. */
  readonly directory: string
  readonly connect: () => Promise<Link>
  /** Ends all connections, as a machine that dies does. */
  readonly cut: () => void
  /** Nothing that comes from now on reaches the files, and nothing is answered. */
  readonly hang: () => void
}

/** `answers` makes a server that is not OpenSSH's. */
export async function startServer(answers?: (sftp: SFTPWrapper) => void): Promise<TestServer> {
  const directory = realpathSync(mkdtempSync(join(tmpdir(), "hm-")))
  const hostKey = newSshKey("").privateKey
  const ends = new Set<() => void>()
  const links = new Set<ssh2.Client>()
  let hangs = false
  // ssh2 knows by the name that OpenSSH has the arguments of SYMLINK in its own order.
  const server = new ssh2.Server({ hostKeys: [hostKey], ident: "OpenSSH_9.2" }, (client) => {
    client.on("error", () => undefined) // it was cut
    client.on("authentication", (context) => context.accept())
    client.on("session", (accept) => {
      const session = accept()
      if (answers !== undefined) session.on("sftp", (take) => answers(take()))
      else
        session.on("subsystem", (take: () => ServerChannel) => {
          const channel = take()
          const child = spawn(SFTP_SERVER, ["-u", "022"], { stdio: ["pipe", "pipe", "ignore"] })
          child.stdin.on("error", () => undefined)
          channel.on("data", (chunk: Buffer) => {
            if (!hangs) child.stdin.write(chunk)
          })
          child.stdout.on("data", (chunk: Buffer) => void channel.write(chunk))
          channel.on("close", () => child.kill())
          ends.add(() => child.kill())
        })
    })
    ends.add(() => client.end())
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- it listens on TCP
  const { port } = server.address() as AddressInfo
  const cut = (): void => {
    for (const client of links) client.destroy()
    links.clear()
  }
  return {
    directory,
    cut,
    hang: () => {
      hangs = true
    },
    connect: async () => {
      const client = new ssh2.Client()
      links.add(client)
      const lost = withResolvers<never>()
      lost.promise.catch(() => undefined)
      const ready = withResolvers<void>()
      client.on("ready", () => ready.resolve())
      client.on("error", (error) => {
        ready.reject(error)
        lost.reject(error)
      })
      client.on("close", () => lost.reject(new Error("closed")))
      client.connect({ host: "127.0.0.1", port, username: "root", password: "x" })
      await ready.promise
      const sftp = await new Promise<SFTPWrapper>((resolve, reject) => {
        client.sftp((error, opened) => (error === undefined ? resolve(opened) : reject(error)))
      })
      return { sftp, lost: lost.promise, end: () => client.end() }
    },
    [Symbol.asyncDispose]: async () => {
      cut()
      for (const end of ends) end()
      await new Promise<void>((resolve) => server.close(() => resolve()))
      rmSync(directory, { recursive: true, force: true })
    },
  }
}
