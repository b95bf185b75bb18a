/**
 * The engine of a machine that has a vsock: every stream a connection of its own to the guest's Docker port.
 *
 * A Unix socket ends the same way when its other end is finished and when that end was killed. So before the end of a stream is passed on,
 * the bridge is asked whether it still has its guest: if not, the stream ends with an error.
 *
 * @module
 */
import type { Socket } from "node:net"
import type { Duplex } from "node:stream"
import { SidecarError } from "@skep/contract"
import { GUEST_PORTS } from "@skep/guest/agent"
import { dialGuest } from "../guest/dial.ts"

/** A machine's vsock, as the engine needs it. */
export interface VsockEngineOptions {
  /** The bridge's `connect` socket. */
  readonly connect: string
  /** Nobody would answer. */
  readonly lost: boolean
  /** Whether the bridge is there and has a guest. Never rejects. */
  bridgesGuest(): Promise<boolean>
}

/** Codes: "unreachable", "timeout". */
export async function connectOverVsock(options: VsockEngineOptions, signal: AbortSignal): Promise<Duplex> {
  if (options.lost) throw new SidecarError("unreachable", "The vsock of the machine was lost")
  const socket = await dialGuest({ connect: options.connect, port: GUEST_PORTS.docker }, signal)
  return endingTruly(socket, () => options.bridgesGuest())
}

/** The same socket, whose end of input becomes an error where it is the end of the way there. */
function endingTruly(socket: Socket, alive: () => Promise<boolean>): Socket {
  const push = socket.push.bind(socket)
  socket.push = (chunk: unknown, encoding?: BufferEncoding): boolean => {
    if (chunk !== null) return push(chunk, encoding)
    void alive().then((whole) => {
      if (whole) push(null)
      else socket.destroy(new SidecarError("unreachable", "The vsock of the machine was lost"))
    })
    return false
  }
  return socket
}
