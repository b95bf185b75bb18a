/**
 * Does the Docker engine answer? `GET /_ping` over a connection of its own.
 *
 * @module
 */
import { request } from "node:http"
import type { Socket } from "node:net"
import { SidecarError } from "@skep/contract"
import { withDeadline } from "@skep/runtime"
import type { Engine } from "../../docker/engine.ts"

/** Whether the engine answers within `ms`. */
export async function engineAnswers(engine: Engine, ms: number): Promise<boolean> {
  try {
    await withDeadline("ping the Docker engine", ms, neverAborts, (limit) => pingEngine(engine, limit))
    return true
  } catch {
    return false // why does not matter to whoever asks yes or no
  }
}

/** Resolves when the engine answered 200; rejects with "unreachable" otherwise. */
export async function pingEngine(engine: Engine, signal: AbortSignal): Promise<void> {
  const stream = await engine.connect(signal)
  try {
    const status = await new Promise<number | undefined>((resolve, reject) => {
      const ping = request({
        path: "/_ping",
        headers: { host: "docker", connection: "close" },
        signal,
        // http only reads, writes and ends it; a Duplex has all of that.
        // oxlint-disable-next-line typescript/no-unsafe-type-assertion
        createConnection: () => stream as Socket,
      })
      ping.once("response", (response) => {
        response.resume()
        resolve(response.statusCode)
      })
      ping.once("error", reject)
      ping.end()
    })
    if (status !== 200)
      throw new SidecarError("unreachable", `The Docker engine answered its ping with ${status}`)
  } finally {
    stream.destroy()
  }
}

const neverAborts = new AbortController().signal
