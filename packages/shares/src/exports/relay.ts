/**
 * The way of one machine to its host's NFS server: Unix sockets, to which the machine's gateway leads, and behind each a connection to the server from the
 * address to which this machine's directories are exported.
 *
 * ```
 *  guest ──TCP 2049──► gateway ──► socket ──► 127.83.4.5:* ──► 127.0.0.1:2049   nfsd
 *        ──TCP 20048─►         ──► mountSocket ──►          ──► rpcbind's word  mountd
 * ```
 *
 * @module
 */
import { once } from "node:events"
import { chmodSync } from "node:fs"
import { connect, createServer, type Server, type Socket } from "node:net"
import { type Context, SidecarError } from "@skep/contract"
import { Cleanup } from "@skep/runtime"
import { PROGRAMS } from "./portmap.ts"
import { findServer, type ServerHost } from "./server.ts"

export interface RelayOptions {
  readonly socket: string
  readonly mountSocket: string
  /** The address that the server sees. */
  readonly from: string
}

/** Disposing it hangs up on everybody. */
export interface Relay extends AsyncDisposable {
  readonly counters: () => Readonly<Record<string, number>>
}

const SERVER = "127.0.0.1"
const SOCKET_MODE = 0o600
const CONNECTIONS_MAX = 256

/** Resolves when both sockets are listened on. The caller owns their paths. */
export async function openRelay(
  { socket, mountSocket, from }: RelayOptions,
  { signal, log }: Pick<Context, "signal" | "log">,
  host: ServerHost = {},
): Promise<Relay> {
  await using cleanup = new Cleanup()
  const counts = { exportsConnections: 0, exportsRefused: 0 }
  const over = new AbortController()
  const system = { platform: process.platform === "darwin" ? "macos" : "linux" } as const
  for (const [path, program] of [
    [socket, PROGRAMS.nfs],
    [mountSocket, PROGRAMS.mount],
  ] as const) {
    const serve = async (client: Socket): Promise<void> => {
      try {
        // Each time: a server that is started anew may listen elsewhere.
        const ports = await findServer(system, over.signal, host)
        if (client.destroyed) return
        const port = program === PROGRAMS.nfs ? ports.nfs : ports.mount
        joined(client, connect({ host: SERVER, port, localAddress: from, allowHalfOpen: true }))
        counts.exportsConnections++
      } catch (error) {
        client.destroy()
        if (!(error instanceof SidecarError) && !over.signal.aborted) throw error
        counts.exportsRefused++
        log.info("nfs server not reached", { reason: String(error) })
      }
    }
    cleanup.use(await listening(path, serve, signal))
  }
  cleanup.defer(() => over.abort(new SidecarError("not-running", "The way to the NFS server is closed")))
  const owned = cleanup.move()
  return { counters: () => ({ ...counts }), [Symbol.asyncDispose]: () => owned[Symbol.asyncDispose]() }
}

async function listening(
  path: string,
  serve: (client: Socket) => Promise<void>,
  signal: AbortSignal,
): Promise<AsyncDisposable> {
  const clients = new Set<Socket>()
  // What the guest has sent waits until the server is there.
  const server = createServer({ pauseOnConnect: true, allowHalfOpen: true }, (client) => {
    clients.add(client)
    client.on("error", () => client.destroy())
    client.once("close", () => clients.delete(client))
    void serve(client)
  })
  server.maxConnections = CONNECTIONS_MAX
  await bound(server, path, signal)
  return {
    [Symbol.asyncDispose]: async () => {
      for (const client of clients) client.destroy()
      const closed = once(server, "close")
      server.close()
      await closed
    },
  }
}

async function bound(server: Server, path: string, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted()
  server.listen(path)
  try {
    await once(server, "listening")
    chmodSync(path, SOCKET_MODE)
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw new SidecarError("address-in-use", `Cannot listen on "${path}": ${reason}`, { cause: error })
  }
}

/** Both ways, ends of streams too; where one breaks the other does. */
function joined(client: Socket, server: Socket): void {
  const breaks = (one: Socket, other: Socket): void => {
    // After both of its ends, the other one still has to send what it was given.
    one.once("close", () => {
      if (!one.readableEnded || !one.writableFinished) other.destroy()
    })
  }
  breaks(client, server)
  breaks(server, client)
  server.on("error", () => server.destroy())
  server.setNoDelay(true)
  client.pipe(server)
  server.pipe(client)
}
