/**
 * The engine of a machine that has SSH: one connection, and on it a channel for every stream.
 *
 *   connect()  ->  direct-streamlocal@openssh.com to the engine's Unix socket in the guest
 *
 * A server takes so many channels and not one more: what exceeds our own bound waits in a bounded queue.
 *
 * @module
 */
import type { Log } from "@skep/contract"
import type { Engine } from "./engine.ts"
import { Slots } from "./slots.ts"
import { SshChannels } from "./ssh-channels.ts"
import { openConnection, type SshAddress } from "./ssh-connection.ts"

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

const DEADLINE_MS = 60_000
const KEEPALIVE_MS = 30_000
const CHANNELS_MAX = 512
const QUEUE_MAX = 4096

/** Throws "timeout" when the deadline passed, "permission-denied" for a wrong key on either side. */
export async function connectSshEngine(options: SshEngineOptions): Promise<Engine> {
  const connection = await openConnection(options, {
    signal: options.signal,
    log: options.log,
    deadlineMs: options.deadlineMs ?? DEADLINE_MS,
    keepaliveMs: options.keepaliveMs ?? KEEPALIVE_MS,
  })
  const channels = new SshChannels(
    connection,
    new Slots("stream to the Docker engine", options.channelsMax ?? CHANNELS_MAX, QUEUE_MAX),
  )
  return {
    closed: channels.closed,
    connect: (signal) =>
      channels.open(signal, (callback) =>
        connection.client.openssh_forwardOutStreamLocal(options.socketPath, callback),
      ),
    [Symbol.asyncDispose]: () => channels.end(),
  }
}
