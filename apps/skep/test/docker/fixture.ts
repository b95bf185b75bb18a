/**
 * Stand-ins for a dockerd on a Unix socket, and clients that speak raw bytes.
 *
 * @module
 */
import { mkdtempSync, rmSync } from "node:fs"
import { createServer, type IncomingMessage, type RequestListener, request } from "node:http"
import { connect, createServer as createSocketServer, type Server, type Socket } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Cleanup, silentLog } from "@skep/runtime"
import type { EngineState } from "../../src/docker/engine.ts"
import { type DockerProxy, type DockerProxyOptions, startDockerProxy } from "../../src/docker/proxy.ts"
import { socketEngine } from "./socket-engine.ts"

export function temporaryDirectory(cleanup: Cleanup): string {
  const path = mkdtempSync(join(tmpdir(), "skep-docker-"))
  cleanup.defer(() => rmSync(path, { recursive: true, force: true }))
  return path
}

/** What a test has: an engine of its own making, and a proxy before it. */
export interface Rig extends AsyncDisposable {
  readonly engineSocket: string
  readonly socket: string
  readonly proxy: DockerProxy
  /** Connections that the engine has open. */
  engineConnections(): number
}

type RigOptions = Partial<Omit<DockerProxyOptions, "engine" | "log" | "endpoint">> & {
  readonly state?: (engineSocket: string) => () => EngineState
}

/** `serve` answers as the engine, by Node's http. */
export async function rig(serve: RequestListener, options: RigOptions = {}): Promise<Rig> {
  return await rigOver(createServer({ maxHeaderSize: 1 << 20 }, serve), options)
}

/** `serve` gets the connection, the request's head, and what came after it. */
export async function rawRig(
  serve: (socket: Socket, head: string, rest: Buffer) => void,
  options: RigOptions = {},
): Promise<Rig> {
  const server = createSocketServer({ allowHalfOpen: true }, (socket) => {
    socket.on("error", () => undefined)
    let held = Buffer.alloc(0)
    const onData = (chunk: Buffer): void => {
      held = Buffer.concat([held, chunk])
      const end = held.indexOf("\r\n\r\n")
      if (end < 0) return
      socket.off("data", onData)
      socket.pause()
      serve(socket, held.toString("latin1", 0, end), held.subarray(end + 4))
      socket.resume()
    }
    socket.on("data", onData)
  })
  return await rigOver(server, options)
}

async function rigOver(server: Server, { state, ...options }: RigOptions): Promise<Rig> {
  await using cleanup = new Cleanup()
  const directory = temporaryDirectory(cleanup)
  const engineSocket = join(directory, "engine.sock")
  const socket = join(directory, "docker.sock")
  const open = new Set<Socket>()
  server.on("connection", (connection: Socket) => {
    open.add(connection)
    connection.once("close", () => open.delete(connection))
  })
  await new Promise<void>((resolve) => server.listen(engineSocket, 511, resolve))
  cleanup.defer(() => {
    for (const connection of open) connection.destroy()
    server.close()
  })
  const engine = cleanup.use(socketEngine(engineSocket))
  const proxy = cleanup.use(
    await startDockerProxy({
      endpoint: socket,
      engine: state === undefined ? () => ({ state: "up", engine }) : state(engineSocket),
      log: silentLog,
      ...options,
    }),
  )
  const owned = cleanup.move()
  return {
    engineSocket,
    socket,
    proxy,
    engineConnections: () => open.size,
    [Symbol.asyncDispose]: () => owned[Symbol.asyncDispose](),
  }
}

export interface Answer {
  readonly status: number
  readonly headers: IncomingMessage["headers"]
  readonly body: string
  readonly trailers: IncomingMessage["trailers"]
}

export interface Ask {
  readonly method?: string
  readonly body?: string | Buffer
  readonly headers?: Record<string, string>
}

/** One request on a connection of its own. */
export function ask(socketPath: string, path: string, options: Ask = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const asked = request(
      { socketPath, path, method: options.method ?? "GET", headers: options.headers ?? {}, agent: false },
      (answer) => {
        const chunks: Buffer[] = []
        answer.on("data", (chunk: Buffer) => chunks.push(chunk))
        answer.on("error", reject)
        answer.on("end", () =>
          resolve({
            status: answer.statusCode ?? 0,
            headers: answer.headers,
            body: Buffer.concat(chunks).toString(),
            trailers: answer.trailers,
          }),
        )
      },
    )
    asked.on("error", reject)
    asked.end(options.body)
  })
}

/** A bare connection, and everything that it said so far. */
export interface RawClient {
  readonly socket: Socket
  said(): string
  /** Resolves when `text` was said. */
  until(text: string): Promise<string>
  readonly ended: Promise<string>
}

export function rawClient(path: string): RawClient {
  const socket = connect({ path, allowHalfOpen: true })
  let said = ""
  const waiting = new Set<() => void>()
  socket.setEncoding("latin1")
  socket.on("error", () => undefined)
  socket.on("data", (chunk: string) => {
    said += chunk
    for (const check of waiting) check()
  })
  const ended = new Promise<string>((resolve) => {
    socket.once("end", () => resolve(said))
    socket.once("close", () => resolve(said))
  })
  return {
    socket,
    said: () => said,
    ended,
    until: (text) =>
      new Promise((resolve, reject) => {
        const check = (): void => {
          if (!said.includes(text)) return
          waiting.delete(check)
          resolve(said)
        }
        waiting.add(check)
        void ended.then(() => reject(new Error(`ended before "${text}": ${said}`)))
        check()
      }),
  }
}

/** Resolves once `check` holds; the loop turns meanwhile. */
export async function eventually(check: () => boolean, what: string): Promise<void> {
  const end = Date.now() + 5_000
  while (!check()) {
    if (Date.now() > end) throw new Error(`never: ${what}`)
    await new Promise((resolve) => setImmediate(resolve))
  }
}
