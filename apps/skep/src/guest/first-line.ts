/**
 * The first line of a stream, read byte by byte: what follows it belongs to somebody else and stays where it is.
 *
 * @module
 */
import type { Socket } from "node:net"
import { withResolvers } from "@skep/runtime/deadline"

/** "ended": the other side was gone before. "too-long": no line feed among the first `max` bytes. */
export type FirstLine = { readonly line: string } | "ended" | "too-long"

/** Rejects with the signal's reason, or with the socket's error. The socket is the caller's, whatever comes. */
export async function firstLine(socket: Socket, max: number, signal: AbortSignal): Promise<FirstLine> {
  signal.throwIfAborted()
  const found = withResolvers<FirstLine>()
  let line = ""
  const onReadable = (): void => {
    for (let byte = readByte(socket); byte !== undefined; byte = readByte(socket)) {
      if (byte === "\n") return found.resolve({ line })
      line += byte
      if (line.length >= max) return found.resolve("too-long")
    }
  }
  const onEnd = (): void => found.resolve("ended")
  const onAbort = (): void => found.reject(signal.reason)
  const listeners = { readable: onReadable, end: onEnd, close: onEnd, error: found.reject } as const
  for (const [event, listener] of Object.entries(listeners)) socket.on(event, listener)
  signal.addEventListener("abort", onAbort, { once: true })
  try {
    return await found.promise
  } finally {
    signal.removeEventListener("abort", onAbort)
    for (const [event, listener] of Object.entries(listeners)) {
      // One that is being destroyed has its error still to tell.
      if (event !== "error" || !socket.destroyed) socket.off(event, listener)
    }
  }
}

function readByte(socket: Socket): string | undefined {
  const byte: unknown = socket.read(1)
  return Buffer.isBuffer(byte) ? byte.toString("latin1") : undefined
}
