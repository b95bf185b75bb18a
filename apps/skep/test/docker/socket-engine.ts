/**
 * An engine behind a Unix socket of this host: one connection per stream. The proxy's tests have theirs so.
 *
 * @module
 */
import { connect, type Socket } from "node:net"
import type { Duplex } from "node:stream"
import { SidecarError } from "@skep/contract"
import { errnoOf, withResolvers } from "@skep/runtime"
import type { Engine } from "../../src/docker/engine.ts"

/** Opens nothing yet; each `connect` does. `closed` settles at disposal only, since there is nothing in between to lose. */
export function socketEngine(path: string): Engine {
  const open = new Set<Socket>()
  const closed = withResolvers<void>()
  let disposed = false
  return {
    closed: closed.promise,
    connect: async (signal) => {
      signal.throwIfAborted()
      if (disposed)
        throw new SidecarError("not-running", "Cannot reach the Docker engine: its connection was closed")
      return opened(path, open, signal)
    },
    [Symbol.asyncDispose]: async () => {
      disposed = true
      for (const socket of open) socket.destroy()
      closed.resolve()
      await closed.promise
    },
  }
}

function opened(path: string, open: Set<Socket>, signal: AbortSignal): Promise<Duplex> {
  const { promise, resolve, reject } = withResolvers<Duplex>()
  const socket = connect({ path, allowHalfOpen: true })
  const onAbort = (): void => {
    socket.destroy()
    reject(signal.reason)
  }
  const onError = (error: Error): void => reject(unreachable(path, error))
  signal.addEventListener("abort", onAbort, { once: true })
  open.add(socket)
  socket.once("close", () => {
    open.delete(socket)
    signal.removeEventListener("abort", onAbort)
  })
  socket.once("error", onError)
  socket.once("connect", () => {
    signal.removeEventListener("abort", onAbort)
    socket.off("error", onError)
    resolve(socket)
  })
  return promise
}

function unreachable(path: string, error: Error): SidecarError {
  return new SidecarError(
    "unreachable",
    `Cannot connect to the Docker engine at "unix:${path}": ${errnoOf(error) ?? error.message}`,
    { cause: error },
  )
}
