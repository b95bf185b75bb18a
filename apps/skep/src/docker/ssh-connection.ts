/**
 * One SSH connection to a machine: trusted by the machine's own host key, and tried again while its sshd is not up yet.
 *
 * @module
 */
import { connect, type Socket } from "node:net"
import { type Log, SidecarError } from "@skep/contract"
import { sleep, withResolvers } from "@skep/runtime/deadline"
import { errnoOf } from "@skep/runtime/files"
import { Client } from "ssh2"

export interface SshAddress {
  readonly host: string
  readonly port: number
  readonly user: string
  /** PEM or OpenSSH format. */
  readonly privateKey: string | Buffer
  /** The one host key to trust, as in `ssh-ed25519 AAAA…`; any other is refused. */
  readonly hostKey: string
  /** Another way to its sshd than `host` and `port`, which it may fall back to. */
  readonly dial?: (signal: AbortSignal) => Promise<Socket>
}

export interface SshConnectOptions {
  /** Ends the trying. */
  readonly signal: AbortSignal
  /** How long to try in all. */
  readonly deadlineMs: number
  /** How often to see whether it lives; 0 for never. */
  readonly keepaliveMs: number
  readonly log?: Log
}

/** A connection past its authentication. `lost` rejects when it ends for whatever reason. */
export interface SshConnection {
  readonly client: Client
  readonly lost: Promise<never>
  readonly end: () => void
}

/** A forward accepts before anything behind it listens: whoever says nothing for this long is hung up on and tried again. */
const SILENCE_MS = { first: 2_000, most: 15_000 }
const PAUSE_MS = { first: 50, most: 500 }
const HANDSHAKE_MS = 30_000
/** Unanswered keepalives after which the connection counts as lost. */
const KEEPALIVES_UNANSWERED = 3
const KEY_TYPE = "ssh-ed25519"

/** Throws "timeout", "permission-denied" (host key or user key refused) or the signal's reason. */
export async function openConnection(
  address: SshAddress,
  options: SshConnectOptions,
): Promise<SshConnection> {
  const trusted = hostKeyBlob(address.hostKey)
  const end = Date.now() + options.deadlineMs
  for (let attempt = 0; ; attempt += 1) {
    options.signal.throwIfAborted()
    const silenceMs = Math.min(
      SILENCE_MS.first * 2 ** attempt,
      SILENCE_MS.most,
      Math.max(end - Date.now(), 1),
    )
    try {
      return await attemptOnce(address, trusted, silenceMs, options)
    } catch (error) {
      options.signal.throwIfAborted()
      if (error instanceof SidecarError && error.code !== "unreachable") throw error
      const pauseMs = Math.min(PAUSE_MS.first * 2 ** attempt, PAUSE_MS.most)
      if (Date.now() + pauseMs >= end) throw tooLate(address, options.deadlineMs, error)
      options.log?.debug("ssh not there yet", { attempt, reason: String(error) })
      await sleep(pauseMs, options.signal)
    }
  }
}

export function dialTcp({ host, port }: Pick<SshAddress, "host" | "port">): Socket {
  return connect({ host, port, noDelay: true })
}

async function attemptOnce(
  address: SshAddress,
  trusted: Buffer,
  silenceMs: number,
  options: SshConnectOptions,
): Promise<SshConnection> {
  const socket = (await address.dial?.(options.signal)) ?? dialTcp(address)
  const client = new Client()
  const lost = withResolvers<never>()
  lost.promise.catch(() => undefined) // whoever waits for it sees the reason
  const ready = withResolvers<void>()
  let hostKeyRefused = false

  const fail = (error: unknown): void => {
    const reason = hostKeyRefused ? untrusted(address) : describe(address, error)
    ready.reject(reason)
    lost.reject(reason)
    socket.destroy()
  }
  const onAbort = (): void => fail(options.signal.reason)
  options.signal.addEventListener("abort", onAbort, { once: true })
  const silence = setTimeout(() => fail(new Error(`no greeting within ${silenceMs / 1000} s`)), silenceMs)
  socket.once("data", () => clearTimeout(silence))
  // Before ssh2's own listener, which would tell every channel of an orderly end.
  socket.once("close", () => fail(new Error("the connection was closed")))
  client.once("ready", () => ready.resolve())
  client.on("error", fail)
  client.connect({
    sock: socket,
    username: address.user,
    privateKey: address.privateKey,
    authHandler: ["publickey"],
    hostVerifier: (key: Buffer) => {
      hostKeyRefused = !key.equals(trusted)
      return !hostKeyRefused
    },
    readyTimeout: HANDSHAKE_MS,
    keepaliveInterval: options.keepaliveMs,
    keepaliveCountMax: KEEPALIVES_UNANSWERED,
    algorithms: {
      serverHostKey: [KEY_TYPE],
      // Both ends with AES instructions do GCM a fifth faster (measured: 550 against 450 MB/s), but the machine's CPU is
      // emulated more often than not, and has none.
      cipher: ["chacha20-poly1305@openssh.com", "aes128-ctr", "aes256-ctr"],
      compress: ["none"],
    },
  })
  try {
    await ready.promise
  } finally {
    clearTimeout(silence)
    options.signal.removeEventListener("abort", onAbort)
  }
  return { client, lost: lost.promise, end: () => endOf(client, socket) }
}

function endOf(client: Client, socket: Socket): void {
  client.end()
  socket.destroySoon()
}

function hostKeyBlob(hostKey: string): Buffer {
  const [type, blob] = hostKey.trim().split(/\s+/)
  if (type === KEY_TYPE && blob !== undefined) return Buffer.from(blob, "base64")
  throw new SidecarError(
    "bad-options",
    `Cannot use the host key "${hostKey}": it is no ${KEY_TYPE} public key`,
  )
}

function untrusted(address: SshAddress): SidecarError {
  return new SidecarError(
    "permission-denied",
    `Cannot trust the SSH server at "${address.host}:${address.port}": it shows another host key than the machine's own`,
    { next: "Something else listens on that port: stop it, then restart the machine" },
  )
}

function describe(address: SshAddress, error: unknown): unknown {
  if (error instanceof SidecarError || !(error instanceof Error)) return error
  const where = `"${address.host}:${address.port}"`
  if ("level" in error && error.level === "client-authentication") {
    return new SidecarError(
      "permission-denied",
      `Cannot log in to ${where} as "${address.user}": ${error.message}`,
      {
        cause: error,
      },
    )
  }
  return new SidecarError(
    "unreachable",
    `Cannot reach the SSH server at ${where}: ${errnoOf(error) ?? error.message}`,
    {
      cause: error,
    },
  )
}

function tooLate(address: SshAddress, deadlineMs: number, cause: unknown): SidecarError {
  const what = `Cannot reach the SSH server at "${address.host}:${address.port}" within ${deadlineMs / 1000} s`
  return new SidecarError("timeout", `${what}: ${cause instanceof Error ? cause.message : String(cause)}`, {
    cause,
    next: "See how far the machine has booted with skep status and skep logs",
  })
}
