/**
 * A stream to a vsock port of the guest, through the socket that the machine's bridge serves for it.
 *
 * The dialect is Firecracker's (`CONNECT PORT\n`, answered by `OK N\n`), since HyperKit's does not tell whether the guest accepted. Both are
 * understood on the same socket.
 *
 * @module
 */
import { connect, type Socket } from "node:net"
import { SidecarError } from "@skep/contract"
import { withResolvers } from "@skep/runtime/deadline"

/** The bridge itself gives the guest 5 s; one that does not answer at all gets a moment more. */
const ANSWER_MS = 6000
const LINE_MAX = 32

export interface GuestPort {
  /** The bridge's `connect` socket. */
  readonly connect: string
  readonly port: number
}

/**
 * Resolves when the guest has accepted. The stream half-closes both ways and is the caller's.
 * Rejects with "unreachable": no bridge, or nobody in the guest; with "timeout"; or with the signal's reason.
 */
export async function dialGuest({ connect: path, port }: GuestPort, signal: AbortSignal): Promise<Socket> {
  signal.throwIfAborted()
  const socket = connect({ path, allowHalfOpen: true })
  const accepted = withResolvers<void>()
  const refuse = (code: "unreachable" | "timeout", why: string, cause?: unknown): void =>
    accepted.reject(
      new SidecarError(code, `Cannot reach port ${port} of the machine over vsock: ${why}`, { cause }),
    )
  let line = ""
  // Byte by byte: what follows the line is the guest's, which may speak first and at once.
  const onReadable = (): void => {
    for (let byte = readByte(socket); byte !== undefined; byte = readByte(socket)) {
      if (byte === "\n") return line.startsWith("OK ") ? accepted.resolve() : onStranger()
      line += byte
      if (line.length > LINE_MAX) return onStranger()
    }
  }
  const onStranger = (): void => refuse("unreachable", "its bridge does not speak this dialect")
  const onEnd = (): void => refuse("unreachable", "nobody listens there")
  const onError = (error: Error): void => refuse("unreachable", error.message, error)
  const onAbort = (): void => accepted.reject(signal.reason)
  const timer = setTimeout(() => refuse("timeout", `no answer within ${ANSWER_MS / 1000} s`), ANSWER_MS)
  socket.on("readable", onReadable).once("end", onEnd).on("error", onError)
  signal.addEventListener("abort", onAbort, { once: true })
  socket.write(`CONNECT ${port}\n`)
  try {
    await accepted.promise
    return socket
  } catch (error) {
    socket.destroy()
    throw error
  } finally {
    clearTimeout(timer)
    signal.removeEventListener("abort", onAbort)
    socket.off("readable", onReadable).off("end", onEnd)
    if (!socket.destroyed) socket.off("error", onError)
  }
}

function readByte(socket: Socket): string | undefined {
  const byte: unknown = socket.read(1)
  return Buffer.isBuffer(byte) ? byte.toString("latin1") : undefined
}
