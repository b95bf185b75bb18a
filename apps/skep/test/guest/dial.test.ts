import { once } from "node:events"
import { createServer, type Server, type Socket } from "node:net"
import { temporaryDirectory } from "@skep/testkit"
import { describe, expect, it } from "vitest"
import { dialGuest } from "../../src/guest/dial.ts"

const never = new AbortController().signal

/** A bridge for tests, which does with each client what it is told. */
async function bridge(path: string, serve: (client: Socket, greeting: string) => unknown): Promise<Server> {
  const server = createServer({ allowHalfOpen: true }, (client) => {
    client.on("error", () => client.destroy())
    client.once("data", (chunk: Buffer) => serve(client, chunk.toString()))
  })
  server.listen(path)
  await once(server, "listening")
  return server
}

describe("dialGuest()", () => {
  it("asks for the port, and leaves what the guest says first to the caller", async () => {
    await using directory = await temporaryDirectory()
    const path = directory.at("connect")
    const greetings: string[] = []
    const server = await bridge(path, (client, greeting) => {
      greetings.push(greeting)
      client.write("OK 1073741824\nSSH-2.0-hello\r\n")
      client.on("data", (chunk) => client.write(chunk))
      client.on("end", () => client.end())
    })
    const stream = await dialGuest({ connect: path, port: 22 }, never)
    stream.end("and you?")
    let said = ""
    for await (const chunk of stream) said += String(chunk)
    expect(said).toBe("SSH-2.0-hello\r\nand you?")
    expect(greetings).toEqual(["CONNECT 22\n"])
    server.close()
  })

  it("takes an answer that comes a byte at a time", async () => {
    await using directory = await temporaryDirectory()
    const path = directory.at("connect")
    const server = await bridge(path, async (client) => {
      for (const byte of "OK 7\nx") {
        client.write(byte)
        await new Promise(setImmediate)
      }
      client.end()
    })
    const stream = await dialGuest({ connect: path, port: 1 }, never)
    let said = ""
    for await (const chunk of stream) said += String(chunk)
    expect(said).toBe("x")
    stream.destroy()
    server.close()
  })

  it("rejects with unreachable where there is no bridge, nobody in the guest, or somebody else", async () => {
    await using directory = await temporaryDirectory()
    const path = directory.at("connect")
    const unreachable = expect.objectContaining({ code: "unreachable" })
    await expect(dialGuest({ connect: path, port: 5 }, never)).rejects.toEqual(unreachable)
    for (const answer of ["", "HTTP/1.1 400 Bad Request\r\n\r\n", "x".repeat(4096)]) {
      const server = await bridge(path, (client) => client.end(answer))
      await expect(dialGuest({ connect: path, port: 5 }, never)).rejects.toEqual(unreachable)
      server.close()
      await once(server, "close")
    }
  })

  it("rejects with the signal's reason, and hangs up", async () => {
    await using directory = await temporaryDirectory()
    const path = directory.at("connect")
    const controller = new AbortController()
    const reason = new Error("enough")
    let hungUp: Promise<unknown> = Promise.resolve()
    const server = await bridge(path, (client) => {
      hungUp = once(client.resume(), "end")
      client.once("end", () => client.end())
      controller.abort(reason)
    })
    await expect(dialGuest({ connect: path, port: 5 }, controller.signal)).rejects.toBe(reason)
    await hungUp
    server.close()
  })
})
