/**
 * A stream to the sshd of a machine: over its vsock; where there is none, or while that is away, over the loopback port that leads there.
 *
 * @module
 */
import type { Socket } from "node:net"
import { GUEST_PORTS } from "@skep/guest/agent"
import { within } from "@skep/runtime/deadline"
import { dialTcp } from "../docker/ssh-connection.ts"
import { dialGuest } from "./dial.ts"

/** A guest accepts within some milliseconds; while its vsock is away, nobody has to wait longer for TCP. */
const VSOCK_MS = 2000

export interface SshWays {
  /** The bridge's `connect` socket. */
  readonly connect: string
  readonly tcp: Parameters<typeof dialTcp>[0]
}

/** Rejects with the signal's reason only: what is wrong with TCP shows on the socket. */
export async function dialSsh({ connect, tcp }: SshWays, signal: AbortSignal): Promise<Socket> {
  try {
    const socket = await dialGuest({ connect, port: GUEST_PORTS.ssh }, within(VSOCK_MS, signal))
    // SSH has no half-closed connections: a bridge that was killed leaves one, on which nothing would ever come.
    socket.once("end", () => socket.destroy())
    return socket
  } catch (error) {
    if (signal.aborted) throw error
    return dialTcp(tcp)
  }
}
