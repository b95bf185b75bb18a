/**
 * The control socket of @skep/runtime and its client, where one side does not behave.
 *
 * @module
 */
import { once } from "node:events"
import { connect, createServer, type Socket } from "node:net"
import {
  adopt,
  call,
  listenPrivately,
  ownIdentity,
  silentLog,
  startControlServer,
  subscribe,
} from "@skep/runtime"
import { temporaryDirectory } from "@skep/testkit"
import { describe, expect, it } from "vitest"
import { testContext } from "../src/index.ts"
import { parseEchoStatus } from "./echo/echo.ts"
import { spawnedEcho } from "./echo/fixture.ts"

const never = new AbortController().signal
const health = { method: "GET", path: "/health" } as const
const soon = (): AbortSignal => AbortSignal.timeout(30)

/** A server that does `answer` to whatever it is sent. */
async function serverAt(path: string, answer: (client: Socket) => void): Promise<AsyncDisposable> {
  const clients: Socket[] = []
  const server = createServer((client) => {
    clients.push(client)
    client.on("error", () => client.destroy())
    client.once("data", () => answer(client))
  })
  const socket = await listenPrivately(server, path)
  return {
    [Symbol.asyncDispose]: async () => {
      for (const client of clients) client.destroy()
      await socket[Symbol.asyncDispose]()
    },
  }
}

describe("a control socket that does not answer", () => {
  it.each([
    ["call()", (path: string) => call(path, { ...health, signal: soon() })],
    ["subscribe()", (path: string) => subscribe(path, () => undefined, soon())],
  ])("is a timeout of %s that names the socket and says what to do", async (_name, ask) => {
    await using directory = await temporaryDirectory()
    const path = directory.at("c.sock")
    await using _server = await serverAt(path, () => undefined)
    await expect(ask(path)).rejects.toMatchObject({
      name: "SidecarError",
      code: "timeout",
      message: `Cannot ask "unix:${path}": no answer came in time`,
      next: expect.stringContaining(path),
    })
  })

  it("is a timeout in the middle of an answer as well", async () => {
    await using directory = await temporaryDirectory()
    const path = directory.at("c.sock")
    await using _server = await serverAt(path, (client) => {
      client.write("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
    })
    await expect(call(path, { ...health, signal: soon() })).rejects.toMatchObject({ code: "timeout" })
  })

  it("is the signal's own reason when that aborts", async () => {
    await using directory = await temporaryDirectory()
    const path = directory.at("c.sock")
    const reason = new Error("enough")
    const controller = new AbortController()
    await using _server = await serverAt(path, () => controller.abort(reason))
    await expect(call(path, { ...health, signal: controller.signal })).rejects.toBe(reason)
  })

  it("is a crash when it hangs up in the middle of an answer", async () => {
    await using directory = await temporaryDirectory()
    const path = directory.at("c.sock")
    await using _server = await serverAt(path, (client) => {
      client.end("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
    })
    await expect(call(path, { ...health, signal: never })).rejects.toMatchObject({ code: "crashed" })
  })
})

describe("a control socket", () => {
  it("survives callers that ask for an upgrade at a wrong path and hang up", async () => {
    await using directory = await temporaryDirectory()
    const control = `${directory.at("e.sock")}.control`
    await using running = await spawnedEcho().start({ socket: directory.at("e.sock") }, testContext())
    for (let round = 0; round < 20; round++) {
      const client = connect(control)
      await once(client, "connect")
      const sent = "GET /wrong HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
      client.write(sent, () => client.destroy())
      await once(client, "close")
    }
    expect(await call(control, { ...health, signal: never })).toMatchObject({ name: "echo" })
    expect(await running.status()).toBeTypeOf("object")
  })

  it("refuses what is meant for another instance of its process", async () => {
    await using directory = await temporaryDirectory()
    const path = directory.at("c.sock")
    const routes = { "GET /health": async () => "here" }
    await using _server = await startControlServer({
      endpoint: path,
      routes,
      log: silentLog,
      instance: "second",
    })
    expect(await call(path, { ...health, signal: never })).toBe("here")
    expect(await call(path, { ...health, signal: never, instance: "second" })).toBe("here")
    await expect(call(path, { ...health, signal: never, instance: "first" })).rejects.toMatchObject({
      code: "not-running",
    })
    await expect(subscribe(path, () => undefined, never, { instance: "first" })).rejects.toMatchObject({
      code: "unreachable",
    })
    const subscription = await subscribe(path, () => undefined, never, { instance: "second" })
    subscription[Symbol.dispose]()
    await subscription.ended
  })

  it("tells a subscriber nothing of the types that he does without, and others everything", async () => {
    await using directory = await temporaryDirectory()
    const path = directory.at("c.sock")
    await using server = await startControlServer({
      endpoint: path,
      routes: {},
      log: silentLog,
    })
    const told: string[] = []
    const hear =
      (who: string) =>
      ({ type }: { readonly type: string }): void =>
        void told.push(`${who} ${type}`)
    using all = await subscribe(path, hear("all"), never)
    using some = await subscribe(path, hear("some"), never, { without: ["storm", "rain & hail"] })
    for (const type of ["storm", "calm", "rain & hail"]) server.publish({ type })
    // What was sent before an answer comes before it.
    await all.ping(never)
    await some.ping(never)
    expect(told.toSorted()).toEqual(["all calm", "all rain & hail", "all storm", "some calm"])
  })

  it("is not adopted when another instance answers than the one that was meant", async () => {
    await using directory = await temporaryDirectory()
    const socket = directory.at("e.sock")
    await using _running = await spawnedEcho().start({ socket }, testContext())
    const found = { control: `${socket}.control`, parseStatus: parseEchoStatus, signal: never }
    const remote = await adopt(found)
    remote.release()
    const again = await adopt({ ...found, identity: remote.identity })
    again.release()
    await expect(adopt({ ...found, identity: ownIdentity() })).rejects.toMatchObject({ code: "not-running" })
  })
})
