/**
 * A client of a socket for as long as a test wants one.
 *
 * @module
 */
import { once } from "node:events"
import { connect, type NetConnectOpts, type Socket } from "node:net"
import { setImmediate as turn } from "node:timers/promises"

/** Connects to a Unix socket or a port. Nothing is read until somebody asks. Disposing hangs up, and the handle is gone then. */
export async function openClient(target: string | NetConnectOpts): Promise<Socket & AsyncDisposable> {
  const client = connect(typeof target === "string" ? { path: target } : target)
  client.on("error", () => client.destroy())
  await once(client, "connect")
  return Object.assign(client, {
    [Symbol.asyncDispose]: async () => {
      client.destroy()
      if (!client.closed) await once(client, "close")
      // The handle is freed at the end of a turn.
      await turn()
      await turn()
    },
  })
}
