/**
 * Listening on a Unix socket that only its owner may use, and that a crashed predecessor may have left behind.
 *
 * Whoever holds the lock file beside the socket owns its path; so a socket file found there under the lock is stale.
 *
 * @module
 */
import { chmodSync, rmSync } from "node:fs"
import type { Server } from "node:net"
import { SidecarError } from "@skep/contract"
import { checkSocketPath, describeFileError, errnoOf, removeStaleSocket } from "../files.ts"
import { type Lock, waitForLock } from "../lock.ts"
import { socketLockOf } from "../lock-holder.ts"

const LOCK_PATIENCE_MS = 500

/** Binds `server`; disposing closes it and removes socket and lock. Throws "address-in-use" while another process owns it. */
export async function listenPrivately(server: Server, endpoint: string): Promise<AsyncDisposable> {
  const inherited = /^fd:(\d+)$/.exec(endpoint)
  if (inherited !== null) {
    await listening(server, { fd: Number(inherited[1]) }, endpoint)
    return { [Symbol.asyncDispose]: () => closed(server) }
  }
  checkSocketPath(endpoint)
  const lock = await lockFor(endpoint)
  try {
    removeStaleSocket(endpoint)
    // The mask keeps the socket private from its first moment; the mode afterwards is for readers of `ls`.
    const mask = process.umask(0o177)
    const bound = listening(server, { path: endpoint }, endpoint)
    process.umask(mask)
    await bound
    chmodSync(endpoint, 0o600)
  } catch (error) {
    lock[Symbol.dispose]()
    throw error
  }
  return {
    [Symbol.asyncDispose]: async () => {
      await closed(server)
      rmSync(endpoint, { force: true })
      lock[Symbol.dispose]()
    },
  }
}

/** A process that was killed holds its locks for a moment after it counts as dead. */
async function lockFor(endpoint: string): Promise<Lock> {
  try {
    return await waitForLock(socketLockOf(endpoint), LOCK_PATIENCE_MS, new AbortController().signal)
  } catch (error) {
    if (!(error instanceof SidecarError) || error.code !== "busy")
      throw describeFileError("listen on", endpoint, error)
    throw new SidecarError(
      "address-in-use",
      `Cannot listen on "unix:${endpoint}": another process listens there`,
      {
        cause: error,
      },
    )
  }
}

function listening(
  server: Server,
  where: { path: string } | { fd: number },
  endpoint: string,
): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (error) => {
      const code = errnoOf(error) === "EADDRINUSE" ? "address-in-use" : "permission-denied"
      reject(
        new SidecarError(code, `Cannot listen on "unix:${endpoint}": ${error.message}`, { cause: error }),
      )
    })
    server.listen({ ...where, backlog: 511 }, () => {
      server.removeAllListeners("error")
      resolve()
    })
  })
}

/** Node tells of the end before libuv has freed the handles, which it does at the end of a turn of its loop. */
function closed(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => setImmediate(() => setImmediate(resolve)))
  })
}
