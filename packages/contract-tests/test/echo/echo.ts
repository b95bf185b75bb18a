/**
 * The smallest real sidecar: echoes bytes on a Unix socket. It proves the contract suite and the runtime.
 *
 * @module
 */
import { createServer, type Socket } from "node:net"
import { type Counters, type Running, type Sidecar, SidecarError } from "@skep/contract"
import { listenPrivately, notRunning, withResolvers } from "@skep/runtime"
import { z } from "zod"

const Options = z.strictObject({ socket: z.string().min(1) })
export type EchoOptions = z.infer<typeof Options>
export interface EchoStatus {
  readonly counters: Counters
}

/** Crashes when a client sends the byte 0. */
export const echo: Sidecar<EchoOptions, EchoStatus> = {
  name: "echo",
  parseOptions: (input) => {
    const parsed = Options.safeParse(input)
    if (parsed.success) return parsed.data
    throw new SidecarError("bad-options", `Cannot read the options: ${z.prettifyError(parsed.error)}`)
  },
  start: async (options, context) => {
    context.signal.throwIfAborted()
    const closed = withResolvers<void>()
    closed.promise.catch(() => undefined)
    const clients = new Set<Socket>()
    let bytes = 0
    let stopped: Promise<void> | undefined
    const server = createServer((client) => {
      clients.add(client)
      client.on("error", () => client.destroy())
      client.on("close", () => clients.delete(client))
      client.on("data", (chunk) => {
        bytes += chunk.length
        if (chunk[0] === 0) crash()
        else client.write(chunk)
      })
    })
    const socket = await listenPrivately(server, options.socket)
    const halt = async (): Promise<void> => {
      for (const client of clients) client.destroy()
      await socket[Symbol.asyncDispose]()
    }
    const crash = (): void => {
      stopped ??= halt().then(() =>
        closed.reject(new SidecarError("crashed", "The echo crashed: a client sent 0")),
      )
    }
    const running: Running<EchoStatus> = {
      endpoints: [options.socket],
      closed: closed.promise,
      status: async () => {
        if (stopped !== undefined) throw notRunning("echo")
        return { counters: { bytesReceived: bytes } }
      },
      [Symbol.asyncDispose]: () => {
        stopped ??= halt().then(() => closed.resolve())
        return stopped
      },
    }
    if (context.signal.aborted) {
      await running[Symbol.asyncDispose]()
      context.signal.throwIfAborted()
    }
    return running
  },
}

export const parseEchoStatus = (value: unknown): EchoStatus =>
  z.object({ counters: z.record(z.string(), z.number()) }).parse(value)
