/**
 * The SSH engine against OpenSSH's own server.
 *
 * @module
 */
import { createHash, randomBytes } from "node:crypto"
import { setMaxListeners } from "node:events"
import { rmSync } from "node:fs"
import { createServer, type Server, type Socket } from "node:net"
import { join } from "node:path"
import type { Duplex } from "node:stream"
import { Cleanup, silentLog, sleep } from "@skep/runtime"
import { describe, expect, test } from "vitest"
import type { Engine } from "../../src/docker/engine.ts"
import { startDockerProxy } from "../../src/docker/proxy.ts"
import { connectSshEngine, type SshEngineOptions } from "../../src/docker/ssh-engine.ts"
import { ask, eventually, temporaryDirectory } from "./fixture.ts"
import { engineOptions, noSshd, relayTo, type Sshd, sshd } from "./sshd.ts"

const never = new AbortController().signal
setMaxListeners(0, never)
const MEGABYTE = 1 << 20

/** A server on a Unix socket that does `serve` with each connection. */
async function socketServer(
  cleanup: Cleanup,
  serve: (socket: Socket) => void,
  path?: string,
): Promise<string> {
  const where = path ?? join(temporaryDirectory(cleanup), "engine.sock")
  const open = new Set<Socket>()
  cleanup.defer(() => {
    for (const socket of open) socket.destroy()
  })
  const server: Server = createServer({ allowHalfOpen: true }, (socket) => {
    open.add(socket)
    socket.on("error", () => undefined)
    serve(socket)
  })
  await new Promise<void>((resolve) => server.listen(where, 511, resolve))
  cleanup.defer(() => void server.close())
  return where
}

/** Says what it heard, once it has heard all. */
function sayBack(socket: Socket): void {
  const heard: Buffer[] = []
  socket.on("data", (chunk: Buffer) => heard.push(chunk))
  socket.on("end", () => socket.end(Buffer.concat(heard)))
}

async function opened(
  server: Sshd,
  socketPath: string,
  more: Partial<SshEngineOptions> = {},
): Promise<Engine> {
  return await connectSshEngine({
    ...engineOptions(server, socketPath),
    signal: never,
    deadlineMs: 10_000,
    ...more,
  })
}

async function textOf(stream: Duplex): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of stream) chunks.push(Buffer.from(chunk))
  return Buffer.concat(chunks).toString()
}

const why = noSshd === undefined ? "" : ` (skipped: ${noSshd})`

describe.skipIf(noSshd !== undefined)(`connecting${why}`, () => {
  test("waits for a server that is not up yet", async () => {
    await using server = await sshd()
    const engine = opened(server, "/nowhere")
    await sleep(300, never)
    await server.start()
    await (await engine)[Symbol.asyncDispose]()
  })

  test("refuses a host key that is not the machine's", async () => {
    await using server = await sshd()
    await using other = await sshd()
    await server.start()
    await expect(opened(server, "/nowhere", { hostKey: other.hostKey })).rejects.toMatchObject({
      code: "permission-denied",
      message: expect.stringContaining("another host key"),
    })
    await expect(opened(server, "/nowhere", { hostKey: "ssh-rsa AAAA" })).rejects.toMatchObject({
      code: "bad-options",
    })
  })

  test("gives up at once if the user's key is refused", async () => {
    await using server = await sshd()
    await using other = await sshd()
    await server.start()
    await expect(opened(server, "/nowhere", { privateKey: other.privateKey })).rejects.toMatchObject({
      code: "permission-denied",
    })
  })

  test("ends with its deadline or its signal", async () => {
    await using server = await sshd()
    await expect(opened(server, "/nowhere", { deadlineMs: 200 })).rejects.toMatchObject({ code: "timeout" })
    await using cleanup = new Cleanup()
    const mute = createServer((socket) => cleanup.defer(() => void socket.destroy())) // a forward with nothing behind it
    await new Promise<void>((resolve) => mute.listen(0, "127.0.0.1", resolve))
    cleanup.defer(() => void mute.close())
    const address = mute.address()
    const port = typeof address === "object" && address !== null ? address.port : 0
    await expect(opened(server, "/nowhere", { port, deadlineMs: 300 })).rejects.toMatchObject({
      code: "timeout",
    })
    const controller = new AbortController()
    const waiting = opened(server, "/nowhere", { port, signal: controller.signal })
    await sleep(50, never)
    controller.abort(new Error("enough"))
    await expect(waiting).rejects.toThrow("enough")
  })
})

describe.skipIf(noSshd !== undefined)(`a stream over a forwarded Unix socket${why}`, () => {
  test("half-closes both ways", async () => {
    await using cleanup = new Cleanup()
    const server = cleanup.use(await sshd())
    await server.start()
    const back = await socketServer(cleanup, sayBack)
    const engine = cleanup.use(await opened(server, back))
    const asking = await engine.connect(never)
    asking.end("hello")
    expect(await textOf(asking)).toBe("hello")

    let heard = ""
    const first = await socketServer(cleanup, (socket) => {
      socket.end("bye")
      socket.on("data", (chunk: Buffer) => (heard += chunk.toString()))
    })
    const other = cleanup.use(await opened(server, first))
    const listening = await other.connect(never)
    let said = ""
    listening.on("data", (chunk: Buffer) => (said += chunk.toString()))
    await new Promise((resolve) => listening.once("end", resolve))
    expect(said).toBe("bye")
    expect(listening.destroyed).toBe(false)
    listening.end("still here")
    await eventually(() => heard === "still here", "the engine hears what follows its end")
  })

  test("carries much, both ways at once, unchanged", async () => {
    await using cleanup = new Cleanup()
    const server = cleanup.use(await sshd())
    await server.start()
    const engine = cleanup.use(
      await opened(server, await socketServer(cleanup, (socket) => void socket.pipe(socket))),
    )
    const bytes = randomBytes(24 * MEGABYTE)
    const stream = await engine.connect(never)
    const sum = createHash("sha256")
    stream.end(bytes)
    for await (const chunk of stream) sum.update(Buffer.from(chunk))
    expect(sum.digest("hex")).toBe(createHash("sha256").update(bytes).digest("hex"))
  })

  test("is one of many, with no more at a time than the bound", async () => {
    await using cleanup = new Cleanup()
    const server = cleanup.use(await sshd())
    await server.start()
    const engine = cleanup.use(
      await opened(server, await socketServer(cleanup, sayBack), { channelsMax: 50 }),
    )
    const count = 300
    const said = await Promise.all(
      Array.from({ length: count }, async (_, index) => {
        const stream = await engine.connect(never)
        stream.end(String(index))
        return await textOf(stream)
      }),
    )
    expect(said).toEqual(Array.from({ length: count }, (_, index) => String(index)))
  })

  test("that nobody reads holds up no other, and can be destroyed", async () => {
    await using cleanup = new Cleanup()
    const server = cleanup.use(await sshd())
    await server.start()
    const path = await socketServer(cleanup, (socket) => {
      socket.once("data", () => socket.write(Buffer.alloc(20 * MEGABYTE))) // an engine speaks when spoken to
      sayBack(socket)
    })
    const engine = cleanup.use(await opened(server, path))
    const stuck = await engine.connect(never)
    stuck.write("x")
    await eventually(() => stuck.readableLength > 0, "something came")
    const other = await engine.connect(never)
    other.end("x")
    expect((await textOf(other)).length).toBe(20 * MEGABYTE + 1)
    expect(stuck.readableLength).toBeLessThan(MEGABYTE)
    stuck.destroy()
    const again = await engine.connect(never)
    again.destroy()
  })

  test("to an engine that is not there is an error", async () => {
    await using cleanup = new Cleanup()
    const server = cleanup.use(await sshd())
    await server.start()
    const engine = cleanup.use(await opened(server, "/nonexistent/docker.sock"))
    const attempt = engine.connect(never).then((stream) => {
      stream.end("x")
      return textOf(stream)
    })
    await expect(attempt).rejects.toMatchObject({
      code: "unreachable",
      next: expect.stringContaining("skep logs --source docker"),
    })
  })
})

describe.skipIf(noSshd !== undefined)(`the connection${why}`, () => {
  test("that is lost ends every stream with an error, and `closed` says so", async () => {
    await using cleanup = new Cleanup()
    const server = cleanup.use(await sshd())
    await server.start()
    const relay = cleanup.use(await relayTo(server.port))
    const path = await socketServer(cleanup, (socket) => void socket.write("tick"))
    const engine = cleanup.use(await opened(server, path, { port: relay.port }))
    const streams = await Promise.all([engine.connect(never), engine.connect(never)])
    const endings: Promise<unknown>[] = streams.map((stream) => textOf(stream))
    for (const ending of endings) ending.catch(() => undefined)
    await sleep(100, never)
    relay.cut()
    for (const ending of [...endings, engine.closed, engine.connect(never)]) {
      await expect(ending).rejects.toMatchObject({ code: "unreachable" })
    }
  })

  test("that is disposed of ends every stream, fulfils `closed`, and takes no more", async () => {
    await using cleanup = new Cleanup()
    const server = cleanup.use(await sshd())
    await server.start()
    const engine = await opened(server, await socketServer(cleanup, (socket) => void socket.resume()))
    const ending = textOf(await engine.connect(never))
    ending.catch(() => undefined)
    await Promise.all([engine[Symbol.asyncDispose](), engine[Symbol.asyncDispose]()])
    await engine.closed
    await expect(ending).rejects.toMatchObject({ code: "not-running" })
    await expect(engine.connect(never)).rejects.toMatchObject({ code: "not-running" })
  })

  test("keeps a wait for a stream within its signal", async () => {
    await using cleanup = new Cleanup()
    const server = cleanup.use(await sshd())
    await server.start()
    const engine = cleanup.use(await opened(server, await socketServer(cleanup, sayBack), { channelsMax: 1 }))
    const held = await engine.connect(never)
    const controller = new AbortController()
    const waiting = engine.connect(controller.signal)
    controller.abort(new Error("enough"))
    await expect(waiting).rejects.toThrow("enough")
    const next = engine.connect(never)
    held.destroy()
    ;(await next).destroy()
  })
})

test.skipIf(noSshd !== undefined)(
  "the proxy over SSH outlives a restart of the engine behind it",
  async () => {
    await using cleanup = new Cleanup()
    const server = cleanup.use(await sshd())
    await server.start()
    const http = (socket: Socket): void =>
      void socket.on("data", () => socket.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"))
    const generations = [new Cleanup(), new Cleanup()]
    const [first, second] = generations
    if (first === undefined || second === undefined) throw new Error("unreachable")
    cleanup.defer(() => second[Symbol.asyncDispose]())
    const directory = temporaryDirectory(cleanup)
    const path = await socketServer(first, http, join(directory, "e.sock"))
    const engine = cleanup.use(await opened(server, path))
    const proxy = cleanup.use(
      await startDockerProxy({
        endpoint: join(directory, "d.sock"),
        engine: () => ({ state: "up", engine }),
        log: silentLog,
      }),
    )
    const posts = (): Promise<string[]> =>
      Promise.all(
        Array.from(
          { length: 20 },
          async () => (await ask(proxy.endpoint, "/x", { method: "POST", body: "{}" })).body,
        ),
      )
    expect(new Set(await posts())).toEqual(new Set(["ok"]))
    await first[Symbol.asyncDispose]()
    rmSync(path, { force: true })
    await sleep(100, never)
    await socketServer(second, http, path)
    expect(new Set(await posts())).toEqual(new Set(["ok"]))
  },
)
