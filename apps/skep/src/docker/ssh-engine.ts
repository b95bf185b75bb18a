/**
 * The engine of a machine that has SSH: one connection, and on it a channel for every stream.
 *
 *   connect()  ->  direct-streamlocal@openssh.com to the engine's Unix socket in the guest
 *                  where the server lacks it, as dropbear before 2024.84 does: `socat` in the guest, remembered,
 *                  and two started ahead since each is a process
 *
 * A server takes so many channels and not one more. What exceeds our own bound waits in a bounded queue, and a server that
 * refuses earlier teaches us its limit (OpenSSH: 10 sessions; dropbear: 1000 channels).
 *
 * @module
 */
import type { Duplex } from "node:stream"
import type { Log } from "@skep/contract"
import type { Client } from "ssh2"
import type { Engine, ExecOptions, ExecResult } from "./engine.ts"
import { Slots } from "./slots.ts"
import { SpareStreams } from "./spare-streams.ts"
import {
  type ChannelKind,
  type ChannelRequest,
  CONNECT_FAILED,
  isSessionLimit,
  isShortage,
  PROHIBITED,
  reasonOf,
  SshChannels,
  UNKNOWN_TYPE,
} from "./ssh-channels.ts"
import { openConnection, type SshAddress } from "./ssh-connection.ts"
import { SshCommand } from "./ssh-exec.ts"

export interface SshEngineOptions extends SshAddress {
  /** Of the engine, in the guest. */
  readonly socketPath: string
  /** Ends the trying while sshd is not up yet; means nothing afterwards. */
  readonly signal: AbortSignal
  readonly log: Log
  /** How long to try, 60 s if left out. */
  readonly deadlineMs?: number
  /** How often to see whether the connection lives, 30 s if left out; three unanswered end it. */
  readonly keepaliveMs?: number
  /** Streams at a time, 512 if left out. */
  readonly channelsMax?: number
}

/** An engine whose machine has a shell as well. */
export interface SshEngine extends Engine {
  exec(command: string, options: ExecOptions): Promise<ExecResult>
  forwardOut(host: string, port: number, signal: AbortSignal): Promise<Duplex>
}

const DEADLINE_MS = 60_000
const KEEPALIVE_MS = 30_000
const CHANNELS_MAX = 512
const SESSIONS_MAX = 64
const QUEUE_MAX = 4096
/** A `docker run` takes two streams over. */
const SPARES = 2
const SOCAT_ATTEMPTS = 3
/**
 * `-t`: without it a half-closed stream is cut after half a second. `shut-close`: without it socat keeps its output open as long
 * as its input is, and `docker run -it` would never end. Standard error goes nowhere, as dropbear ends its output only
 * when that has ended as well.
 */
const SOCAT = "exec socat -t 31536000 STDIO,shut-close"

/** Throws "timeout" when the deadline passed, "permission-denied" for a wrong key on either side. */
export async function connectSshEngine(options: SshEngineOptions): Promise<SshEngine> {
  const connection = await openConnection(options, {
    signal: options.signal,
    log: options.log,
    deadlineMs: options.deadlineMs ?? DEADLINE_MS,
    keepaliveMs: options.keepaliveMs ?? KEEPALIVE_MS,
  })
  const channels = new SshChannels(connection)
  const direct: ChannelKind = {
    slots: new Slots("stream to the Docker engine", options.channelsMax ?? CHANNELS_MAX, QUEUE_MAX),
    isLimit: isShortage,
  }
  const sessions: ChannelKind = {
    slots: new Slots("command in the machine", SESSIONS_MAX, QUEUE_MAX),
    isLimit: isSessionLimit,
    door: new Slots("command in the machine", 1, QUEUE_MAX),
  }
  const { client } = connection
  let isForwarded = false
  let throughSocat = false

  const spares = new SpareStreams(
    (signal) => socat(channels, sessions, signal, client, options.socketPath),
    SPARES,
  )
  const engine: SshEngine = {
    closed: channels.closed,
    connect: async (signal) => {
      if (throughSocat) return spares.take(signal)
      try {
        const stream = await channels.open(direct, signal, (callback) =>
          client.openssh_forwardOutStreamLocal(options.socketPath, callback),
        )
        isForwarded = true
        return stream
      } catch (error) {
        if (
          isForwarded ||
          !(await lacksForwarding(error, () => reachable(engine, options.socketPath, signal)))
        ) {
          throw error
        }
        options.log.info("ssh server forwards no unix socket, using socat", { reason: reasonOf(error) })
        throughSocat = true
        return spares.take(signal)
      }
    },
    exec: async (command, { signal, input }) => {
      const running = await channels.adopt(
        sessions,
        signal,
        (callback) => client.exec(command, callback),
        (channel) => new SshCommand(channel, input),
      )
      return channels.guarded(signal, (inner) => running.finished(inner))
    },
    forwardOut: (host, port, signal) =>
      channels.open(direct, signal, (callback) => client.forwardOut("127.0.0.1", 0, host, port, callback)),
    [Symbol.asyncDispose]: () => channels.end(),
  }
  return engine
}

/** Whether the server forwards no Unix socket at all, as far as its refusal of the first one tells. */
async function lacksForwarding(error: unknown, isThere: () => Promise<boolean>): Promise<boolean> {
  const reason = reasonOf(error)
  if (reason === UNKNOWN_TYPE || reason === PROHIBITED) return true
  // OpenSSH says "connect failed" of what it forbids as of what is not there.
  return reason === CONNECT_FAILED && (await isThere())
}

async function reachable(engine: SshEngine, socketPath: string, signal: AbortSignal): Promise<boolean> {
  const { exitCode } = await engine.exec(`exec socat -u OPEN:/dev/null UNIX-CONNECT:${socketPath}`, {
    signal,
  })
  return exitCode === 0
}

async function socat(
  channels: SshChannels,
  kind: ChannelKind,
  signal: AbortSignal,
  client: Client,
  socketPath: string,
): Promise<Duplex> {
  const request: ChannelRequest = (callback) =>
    client.exec(`${SOCAT} UNIX-CONNECT:${socketPath} 2>/dev/null`, callback)
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await channels.open(kind, signal, request)
    } catch (error) {
      // No reason given: the session was closed before its command, see ChannelKind. Nothing was sent yet.
      if (signal.aborted || reasonOf(error) !== undefined || attempt === SOCAT_ATTEMPTS) throw error
    }
  }
}
