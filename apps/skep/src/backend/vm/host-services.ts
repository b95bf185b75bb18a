/**
 * What the guest reaches of the host over its vsock (packages/guest/AGENT.md): a place for its log, and the user's SSH agent.
 *
 * The bridge leads port P of the host to the socket `00000002.PPPPPPPP` of the machine's vsock directory.
 *
 * @module
 */
import { timingSafeEqual } from "node:crypto"
import { connect, createServer, type Socket } from "node:net"
import type { Log } from "@skep/contract"
import { HOST_PORTS } from "@skep/guest/agent"
import { LogFile } from "@skep/launcher"
import { Cleanup, listenPrivately, privateDirectory } from "@skep/runtime"
import { servicePath } from "@skep/vsock/dialect"
import { firstLine } from "../../guest/first-line.ts"
import type { MachinePaths } from "../../home/paths.ts"

const LOG_BYTES = 4 << 20
/** More at a time than any guest needs; who comes then is hung up on. */
const CLIENTS_MAX = 64
const SECRET_MS = 5000

/** How the guest reaches the user's SSH agent. */
export interface SharedAgent {
  /** Asked for each client: the user's setting as it is now. Never rejects. */
  readonly isShared: () => Promise<boolean>
  /** Leads to the agent of whoever used Skep last; followed on each connection. */
  readonly path: string
  /** What a client has to say first, on a line of its own: any container can open a vsock, but only the guest's root knows this. */
  readonly secret: string
}

export interface HostServicesOptions {
  readonly paths: MachinePaths
  readonly sshAgent: SharedAgent
  readonly log: Log
}

/** Resolves when all listen. Disposal hangs up on the guest. */
export async function serveGuest({ paths, sshAgent, log }: HostServicesOptions): Promise<AsyncDisposable> {
  await using cleanup = new Cleanup()
  const directory = paths.vsockDirectory
  await privateDirectory(directory)
  const file = new LogFile(paths.guestLog, LOG_BYTES)
  cleanup.defer(() => file[Symbol.dispose]())
  cleanup.use(await serve(servicePath(directory, HOST_PORTS.log), (guest) => keepLog(guest, file)))
  cleanup.use(
    await serve(servicePath(directory, HOST_PORTS.sshAgent), (guest) => void admit(guest, sshAgent, log)),
  )
  return cleanup.move()
}

async function serve(path: string, accepted: (guest: Socket) => void): Promise<AsyncDisposable> {
  const guests = new Set<Socket>()
  const server = createServer({ allowHalfOpen: true }, (guest) => {
    guest.on("error", () => guest.destroy())
    if (guests.size >= CLIENTS_MAX) {
      guest.destroy()
      return
    }
    guests.add(guest)
    guest.once("close", () => guests.delete(guest))
    accepted(guest)
  })
  const listening = await listenPrivately(server, path)
  return {
    [Symbol.asyncDispose]: async () => {
      const closed = listening[Symbol.asyncDispose]()
      for (const guest of guests) guest.destroy()
      await closed
    },
  }
}

function keepLog(guest: Socket, file: LogFile): void {
  guest.on("data", (chunk: Buffer) => file.write(chunk))
  guest.once("end", () => guest.end())
}

async function admit(guest: Socket, { isShared, path, secret }: SharedAgent, log: Log): Promise<void> {
  try {
    const said = await firstLine(guest, secret.length + 1, AbortSignal.timeout(SECRET_MS))
    const isKnown = typeof said === "object" && isSame(said.line, secret)
    if (isKnown && (await isShared())) {
      if (!guest.destroyed) joinAgent(guest, path, log) // else it has gone meanwhile, and would tell nobody so again
      return
    }
    const reason = isKnown
      ? "settings.json turns it off"
      : "somebody in the guest does not know the machine's secret"
    log.info("ssh agent refused", { reason })
  } catch (error) {
    log.debug("ssh agent refused", { reason: String(error) })
  }
  guest.destroy()
}

function isSame(said: string, secret: string): boolean {
  const [a, b] = [Buffer.from(said), Buffer.from(secret)]
  return a.length === b.length && timingSafeEqual(a, b)
}

/** Each direction ends by itself; whoever breaks off ends both. */
function joinAgent(guest: Socket, path: string, log: Log): void {
  const agent = connect({ path, allowHalfOpen: true })
  agent.on("error", (error) => {
    log.debug("no ssh agent", { reason: error.message })
    guest.destroy()
  })
  guest.once("close", () => agent.destroy())
  agent.once("close", () => {
    if (!agent.readableEnded) guest.destroy()
  })
  guest.pipe(agent).pipe(guest)
}
