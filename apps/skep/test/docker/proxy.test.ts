/**
 * The proxy before an engine of the test's own making: everything that needs no Docker.
 *
 * @module
 */
import { Agent, request } from "node:http"
import { withResolvers } from "@skep/runtime"
import { describe, expect, test } from "vitest"
import type { Engine } from "../../src/docker/engine.ts"
import { ask, eventually, rawClient, rawRig, rig } from "./fixture.ts"
import { socketEngine } from "./socket-engine.ts"

const MEGABYTE = 1 << 20

describe("requests", () => {
  test("pass with their query, status, headers and body", async () => {
    await using under = await rig((incoming, outgoing) => {
      const chunks: Buffer[] = []
      incoming.on("data", (chunk: Buffer) => chunks.push(chunk))
      incoming.on("end", () => {
        outgoing.writeHead(
          201,
          "Made",
          [
            ["X-Two", "a"],
            ["X-Two", "b"],
          ].flat(),
        )
        outgoing.end(`${incoming.method} ${incoming.url} ${Buffer.concat(chunks).toString()}`)
      })
    })
    const answer = await ask(under.socket, "/v1.41/x?a=%20b&c", { method: "POST", body: "hello" })
    expect(answer.status).toBe(201)
    expect(answer.headers["x-two"]).toBe("a, b")
    expect(answer.body).toBe("POST /v1.41/x?a=%20b&c hello")
  })

  test("lose what concerns one connection, and what Connection names", async () => {
    await using under = await rig((incoming, outgoing) => {
      outgoing.setHeader("Keep-Alive", "timeout=5")
      outgoing.setHeader("Connection", "X-Hop, keep-alive")
      outgoing.setHeader("X-Hop", "1")
      outgoing.end(JSON.stringify(incoming.headers))
    })
    const answer = await ask(under.socket, "/", {
      headers: {
        connection: "x-mine, keep-alive",
        "x-mine": "1",
        te: "trailers",
        "x-kept": "2",
        "proxy-connection": "x",
      },
    })
    const seen: Record<string, string> = JSON.parse(answer.body)
    expect(seen).toMatchObject({ "x-kept": "2", via: "1.1 skep", connection: "keep-alive" })
    expect(Object.keys(seen)).not.toEqual(expect.arrayContaining(["x-mine"]))
    expect(seen["te"]).toBeUndefined()
    expect(seen["proxy-connection"]).toBeUndefined()
    expect(answer.headers["x-hop"]).toBeUndefined()
  })

  test("without a body get none: POST says so, GET says nothing", async () => {
    await using under = await rawRig((socket, head) => {
      socket.end(`HTTP/1.1 200 OK\r\nContent-Length: ${head.length}\r\nConnection: close\r\n\r\n${head}`)
    })
    const posted = await ask(under.socket, "/", { method: "POST" })
    expect(posted.body).toContain("Content-Length: 0")
    expect(posted.body).not.toContain("chunked")
    const got = await ask(under.socket, "/")
    expect(got.body).not.toMatch(/content-length|transfer-encoding/i)
  })

  test("HEAD keeps its length and has no body; 204 and 304 have none", async () => {
    await using under = await rig((incoming, outgoing) => {
      if (incoming.method === "HEAD")
        outgoing.writeHead(200, { "content-length": "12345", "x-stat": "s" }).end()
      else outgoing.writeHead(Number(incoming.url?.slice(1))).end()
    })
    const head = await ask(under.socket, "/archive", { method: "HEAD" })
    expect(head.headers).toMatchObject({ "content-length": "12345", "x-stat": "s" })
    expect(head.body).toBe("")
    expect((await ask(under.socket, "/204")).status).toBe(204)
    expect((await ask(under.socket, "/304")).status).toBe(304)
  })

  test("stream both ways at once, chunk by chunk, with trailers", async () => {
    await using under = await rig((incoming, outgoing) => {
      outgoing.writeHead(200, { Trailer: "X-Sum" })
      incoming.on("data", (chunk: Buffer) => outgoing.write(chunk))
      incoming.on("end", () => {
        outgoing.addTrailers({ "X-Sum": `${incoming.trailers["x-in"]}` })
        outgoing.end()
      })
    })
    const client = rawClient(under.socket)
    client.socket.write(
      "POST /echo HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\nTrailer: X-In\r\n\r\n3\r\none\r\n",
    )
    await client.until("one") // before the request has ended
    client.socket.write("3\r\ntwo\r\n")
    await client.until("two")
    client.socket.write("0\r\nX-In: t\r\n\r\n")
    expect(await client.until("X-Sum: t\r\n\r\n")).toContain("Trailer: X-Sum")
    client.socket.destroy()
  })

  test("get the head of an answer before its first byte", async () => {
    const written = withResolvers<void>()
    await using under = await rig((_incoming, outgoing) => {
      outgoing.writeHead(200).flushHeaders()
      void written.promise.then(() => outgoing.end("late"))
    })
    const client = rawClient(under.socket)
    client.socket.write("GET /events HTTP/1.1\r\nHost: d\r\n\r\n")
    await client.until("200 OK")
    expect(client.said()).not.toContain("late")
    written.resolve()
    await client.until("late")
    client.socket.destroy()
  })

  test("with Expect: 100-continue are continued when the engine says so", async () => {
    await using under = await rawRig((socket, head, rest) => {
      expect(head).toMatch(/expect: 100-continue/i)
      expect(rest).toHaveLength(0)
      socket.write("HTTP/1.1 100 Continue\r\n\r\n")
      socket.once("data", (body: Buffer) =>
        socket.end(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body.toString()}`),
      )
    })
    const client = rawClient(under.socket)
    client.socket.write("POST /load HTTP/1.1\r\nHost: d\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
    await client.until("100 Continue")
    client.socket.write("body")
    await client.until("\r\n\r\nbody")
    client.socket.destroy()
  })

  test("with Expect: 100-continue may be refused instead", async () => {
    await using under = await rawRig((socket) => {
      socket.write("HTTP/1.1 409 Conflict\r\nContent-Length: 2\r\n\r\nno")
    })
    const client = rawClient(under.socket)
    client.socket.write("POST /load HTTP/1.1\r\nHost: d\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
    expect(await client.until("no")).not.toContain("100 Continue")
    client.socket.destroy()
  })

  test("200 at a time all get their own answer", async () => {
    await using under = await rig((incoming, outgoing) => {
      setImmediate(() => outgoing.end(incoming.url))
    })
    const paths = Array.from({ length: 200 }, (_, index) => `/${index}`)
    const answers = await Promise.all(paths.map((path) => ask(under.socket, path)))
    expect(answers.map(({ body }) => body)).toEqual(paths)
    await eventually(() => under.engineConnections() <= 16, "streams beyond the pool are closed")
  })

  test("one after another share one connection to the engine", async () => {
    let connections = 0
    await using under = await rawRig((socket) => {
      connections += 1
      const answer = (): void => void socket.write("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx")
      socket.on("data", answer)
      answer()
    })
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    for (let turn = 0; turn < 5; turn += 1) {
      await new Promise<void>((resolve, reject) => {
        request({ socketPath: under.socket, path: "/", agent }, (answer) =>
          answer.resume().on("end", resolve),
        )
          .on("error", reject)
          .end()
      })
    }
    agent.destroy()
    expect(connections).toBe(1)
  })

  test("do not go to a kept connection that the engine has closed", async () => {
    await using under = await rawRig((socket) => {
      socket.write("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx")
      setImmediate(() => socket.end()) // its half only: a pool that keeps the other half would lose the next request
      socket.on("end", () => socket.end())
    })
    for (let turn = 0; turn < 5; turn += 1) {
      expect((await ask(under.socket, "/", { method: "POST" })).body).toBe("x")
      await eventually(() => under.engineConnections() === 0, "the stream is let go")
    }
  })

  test("do not pile up in memory while the reader pauses", async () => {
    let sent = 0
    await using under = await rig((_incoming, outgoing) => {
      const chunk = Buffer.alloc(MEGABYTE)
      const more = (): void => {
        for (let hasRoom = true; hasRoom && sent < 200; sent += 1) hasRoom = outgoing.write(chunk)
        if (sent < 200) outgoing.once("drain", more)
        else outgoing.end()
      }
      more()
    })
    const client = rawClient(under.socket)
    client.socket.pause()
    client.socket.write("GET /save HTTP/1.1\r\nHost: d\r\n\r\n")
    await eventually(() => sent > 0, "the answer begins")
    for (let turn = 0; turn < 2_000; turn += 1) await new Promise((resolve) => setImmediate(resolve))
    expect(sent).toBeLessThan(20)
    client.socket.destroy()
    await eventually(() => under.engineConnections() === 0, "the engine is hung up on")
  })

  test("with a head over the bound are refused by themselves", async () => {
    await using under = await rig((_incoming, outgoing) => outgoing.end("ok"))
    const client = rawClient(under.socket)
    client.socket.write(`GET / HTTP/1.1\r\nHost: d\r\nX-Big: ${"x".repeat(2 * MEGABYTE)}`)
    expect(await client.ended).toContain("431")
    expect((await ask(under.socket, "/", { headers: { "x-auth": "y".repeat(200_000) } })).body).toBe("ok")
  })
})

describe("hanging up", () => {
  test("by the client ends the request at the engine", async () => {
    const begun = withResolvers<void>()
    const gone = withResolvers<void>()
    await using under = await rig((_incoming, outgoing) => {
      outgoing.writeHead(200).flushHeaders()
      outgoing.on("close", () => gone.resolve())
      begun.resolve()
    })
    const client = rawClient(under.socket)
    client.socket.write("GET /logs?follow=1 HTTP/1.1\r\nHost: d\r\n\r\n")
    await begun.promise
    client.socket.destroy()
    await gone.promise
    await eventually(() => under.engineConnections() === 0, "no stream is left")
  })

  test("by the engine before an answer is 502, and says what to see", async () => {
    await using under = await rawRig((socket) => socket.destroy())
    const answer = await ask(under.socket, "/containers/json", { method: "POST", body: "x" })
    expect(answer.status).toBe(502)
    expect(JSON.parse(answer.body).message).toMatch(/^The Docker engine broke off the request: /)
  })

  test("by the engine within an answer cuts it, so that nobody takes it for whole", async () => {
    await using under = await rawRig((socket) => {
      socket.write("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", () => socket.destroy())
    })
    await expect(ask(under.socket, "/save")).rejects.toMatchObject({ code: "ECONNRESET" })
  })

  test("by the engine after an early answer does not take that answer away", async () => {
    await using under = await rawRig((socket) => {
      socket.end("HTTP/1.1 400 Bad Request\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbad")
      socket.resume()
    })
    const client = rawClient(under.socket)
    client.socket.write("POST /build HTTP/1.1\r\nHost: d\r\nContent-Length: 1000000\r\n\r\n")
    client.socket.write(Buffer.alloc(500_000))
    expect(await client.until("bad")).toContain("400 Bad Request")
    client.socket.destroy()
  })

  test("by the proxy leaves no connection at all", async () => {
    const under = await rig((_incoming, outgoing) => outgoing.writeHead(200).flushHeaders())
    const clients = Array.from({ length: 5 }, () => rawClient(under.socket))
    for (const client of clients) client.socket.write("GET /events HTTP/1.1\r\nHost: d\r\n\r\n")
    await Promise.all(clients.map((client) => client.until("200 OK")))
    await under.proxy[Symbol.asyncDispose]()
    await Promise.all(clients.map((client) => client.ended))
    await eventually(() => under.engineConnections() === 0, "no stream is left")
    for (const client of clients) client.socket.destroy()
    await under[Symbol.asyncDispose]()
  })
})

const UPGRADED =
  "HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.raw-stream\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
const RAW = "HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\n"

describe.each([
  {
    name: "101",
    head: UPGRADED,
    ask: "POST /v1.41/containers/c/attach?stream=1 HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n",
  },
  {
    name: "101 elsewhere",
    head: UPGRADED,
    ask: "POST /session HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
  },
  { name: "200 of old", head: RAW, ask: "POST /containers/c/attach?stream=1 HTTP/1.1\r\nHost: d\r\n\r\n" },
])("hijacked, $name", ({ head, ask: asked }) => {
  test("half-close: input ends, output goes on", async () => {
    await using under = await rawRig((socket) => {
      socket.write(head)
      const heard: Buffer[] = []
      socket.on("data", (chunk: Buffer) => heard.push(chunk))
      socket.on("end", () => {
        socket.write(`heard ${Buffer.concat(heard).toString()};`)
        setImmediate(() => socket.end("bye"))
      })
      socket.resume()
    })
    const client = rawClient(under.socket)
    client.socket.write(asked)
    await client.until("\r\n\r\n")
    client.socket.write("one ")
    client.socket.end("two")
    expect(await client.ended).toBe(`${head}heard one two;bye`)
    await eventually(() => under.engineConnections() === 0, "no stream is left")
  })

  test("the other half: output ends, input goes on", async () => {
    const heard = withResolvers<string>()
    await using under = await rawRig((socket) => {
      socket.end(`${head}done`)
      let text = ""
      socket.on("data", (chunk: Buffer) => (text += chunk.toString()))
      socket.on("end", () => heard.resolve(text))
      socket.resume()
    })
    const client = rawClient(under.socket)
    client.socket.write(asked)
    expect(await client.ended).toBe(`${head}done`)
    client.socket.end("still here")
    expect(await heard.promise).toBe("still here")
  })

  test("bytes pass unchanged, and many at once", async () => {
    const sum = 8 * MEGABYTE
    await using under = await rawRig((socket, _head, rest) => {
      socket.write(head)
      socket.write(rest)
      socket.pipe(socket)
    })
    const client = rawClient(under.socket)
    const bytes = Buffer.alloc(sum, "0123456789abcdef\r\n\r\nHTTP/1.1")
    client.socket.write(asked)
    client.socket.end(bytes)
    const said = await client.ended
    expect(said.length).toBe(head.length + sum)
    expect(said.slice(head.length) === bytes.toString("latin1")).toBe(true)
  })

  test("whoever hangs up ends the other side", async () => {
    let engineSide: { destroy(): unknown; destroyed: boolean } | undefined
    await using under = await rawRig((socket) => {
      engineSide = socket
      socket.write(head)
      socket.write("tick")
      socket.resume()
    })
    const first = rawClient(under.socket)
    first.socket.write(asked)
    await first.until("tick")
    engineSide?.destroy()
    await first.ended
    first.socket.destroy()
    await eventually(() => under.engineConnections() === 0, "no stream is left")
  })
})

describe("an attempt to hijack that the engine refuses", () => {
  test("is an ordinary answer, and the connection's last", async () => {
    await using under = await rawRig((socket) => {
      socket.write("HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\nContent-Length: 20\r\n\r\n")
      socket.write('{"message":"no such"}'.slice(0, 20))
      socket.on("end", () => socket.end())
    })
    const client = rawClient(under.socket)
    client.socket.write(
      "POST /containers/nope/attach HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n",
    )
    const said = await client.until('{"message"')
    expect(said).toMatch(/^HTTP\/1.1 404 Not Found\r\n/)
    expect(said).toContain("Connection: close")
    client.socket.destroy()
    await eventually(() => under.engineConnections() === 0, "no stream is left")
  })

  test("is 502 if it hangs up without a word", async () => {
    await using under = await rawRig((socket) => socket.end())
    const client = rawClient(under.socket)
    client.socket.write("POST /exec/e/start HTTP/1.1\r\nHost: d\r\nContent-Length: 2\r\n\r\n{}")
    expect(await client.ended).toMatch(/^HTTP\/1.1 502 Bad Gateway\r\n[^]*"message"/)
  })

  test("a request line in pieces is looked at when it is whole", async () => {
    await using under = await rawRig((socket) => socket.end(`${RAW}ok`))
    const client = rawClient(under.socket)
    for (const piece of ["PO", "ST /containers/", "c/att", "ach HTTP/1.1\r", "\nHost: d\r\n\r\n"]) {
      await new Promise((resolve) => client.socket.write(piece, resolve))
      await new Promise((resolve) => setImmediate(resolve))
    }
    expect(await client.ended).toBe(`${RAW}ok`)
  })
})

describe("the machine's state", () => {
  const attach = "POST /containers/c/attach HTTP/1.1\r\nHost: d\r\n\r\n"

  test("down: 503 at once, in Docker's form, with what to type", async () => {
    await using under = await rig(() => undefined, {
      state: () => () => ({
        state: "down",
        reason: 'The machine "default" is stopped',
        next: "Start it with: skep up",
      }),
    })
    const answer = await ask(under.socket, "/_ping")
    expect(answer.status).toBe(503)
    expect(JSON.parse(answer.body)).toEqual({
      message: 'The machine "default" is stopped. Start it with: skep up',
    })
    const client = rawClient(under.socket)
    client.socket.write(attach)
    expect(await client.ended).toMatch(/^HTTP\/1.1 503 [^]*Start it with: skep up/)
  })

  test("down: a body on its way is read, so that the answer arrives", async () => {
    await using under = await rig(() => undefined, {
      state: () => () => ({ state: "down", reason: "It is off" }),
    })
    const answer = await ask(under.socket, "/images/load", {
      method: "POST",
      body: Buffer.alloc(20 * MEGABYTE),
    })
    expect(answer.status).toBe(503)
    expect(JSON.parse(answer.body)).toEqual({ message: "It is off" })
  })

  test("starting: waits for the engine", async () => {
    const ready = withResolvers<Engine>()
    let path = ""
    await using under = await rig((_incoming, outgoing) => outgoing.end("up"), {
      state: (engineSocket) => {
        path = engineSocket
        return () => ({ state: "starting", ready: () => ready.promise })
      },
    })
    const answer = ask(under.socket, "/_ping")
    const client = rawClient(under.socket)
    client.socket.write(attach)
    await using engine = socketEngine(path)
    ready.resolve(engine)
    expect((await answer).body).toBe("up")
    expect(await client.until("200 OK")).toContain("up")
    client.socket.destroy()
  })

  test("starting: 503 when the deadline has passed, and when the start fails", async () => {
    const never = new Promise<Engine>(() => undefined)
    await using late = await rig(() => undefined, {
      startDeadlineMs: 20,
      state: () => () => ({ state: "starting", ready: () => never }),
    })
    const answer = await ask(late.socket, "/_ping")
    expect(answer.status).toBe(503)
    expect(answer.body).toContain(
      "Cannot reach the Docker engine of the machine, which is starting, within 0.02 s",
    )
    await using failed = await rig(() => undefined, {
      state: () => () => ({
        state: "starting",
        ready: () => Promise.reject(new Error("Cannot start: no disk")),
      }),
    })
    expect(JSON.parse((await ask(failed.socket, "/_ping")).body).message).toBe("Cannot start: no disk")
  })

  test("starting: a client that hangs up waits no longer", async () => {
    const ready = withResolvers<Engine>()
    let waiting = false
    await using under = await rig(() => undefined, {
      state: () => () => ({
        state: "starting",
        ready: () => {
          waiting = true
          return ready.promise
        },
      }),
    })
    const client = rawClient(under.socket)
    client.socket.write("GET /_ping HTTP/1.1\r\nHost: d\r\n\r\n")
    await eventually(() => waiting, "the request came")
    client.socket.destroy()
    await client.ended
    ready.reject(new Error("nobody waits for this any more")) // would be unhandled, or answered, if someone did
  })

  test("up with an engine that is not there: 502", async () => {
    await using under = await rig(() => undefined, {
      state: () => () => ({ state: "up", engine: socketEngine("/nonexistent/docker.sock") }),
    })
    expect((await ask(under.socket, "/_ping")).status).toBe(502)
  })
})

describe("holdStart", () => {
  const started = "/v1.41/containers/abc/start"

  test("holds a successful start or restart until the hook settles", async () => {
    const held = withResolvers<void>()
    const asked: string[] = []
    await using under = await rig((_incoming, outgoing) => outgoing.writeHead(204).end(), {
      holdStart: async (container) => {
        asked.push(container)
        await held.promise
      },
    })
    let answered = false
    const answers = Promise.all([
      ask(under.socket, started, { method: "POST" }).then(() => (answered = true)),
      ask(under.socket, "/containers/my%2Dname/restart?t=1", { method: "POST" }),
    ])
    await eventually(() => asked.length === 2, "both are held")
    expect(asked.toSorted()).toEqual(["abc", "my-name"])
    expect(answered).toBe(false)
    held.resolve()
    await answers
  })

  test("holds nothing else", async () => {
    let held = 0
    await using under = await rig(
      (incoming, outgoing) => outgoing.writeHead(incoming.url === started ? 404 : 200).end(),
      {
        holdStart: async () => {
          held += 1
        },
      },
    )
    await ask(under.socket, started, { method: "POST" })
    await ask(under.socket, "/containers/abc/stop", { method: "POST" })
    await ask(under.socket, "/v1.41/containers/x/start")
    expect(held).toBe(0)
  })

  test("answers after its time, and when the hook fails", async () => {
    await using slow = await rig((_incoming, outgoing) => outgoing.writeHead(204).end(), {
      holdMs: 10,
      holdStart: () => new Promise(() => undefined),
    })
    expect((await ask(slow.socket, started, { method: "POST" })).status).toBe(204)
    await using failing = await rig((_incoming, outgoing) => outgoing.writeHead(204).end(), {
      holdStart: () => Promise.reject(new Error("no")),
    })
    expect((await ask(failing.socket, started, { method: "POST" })).status).toBe(204)
  })
})
