/**
 * The proxy where a request wants directories mounted.
 *
 * @module
 */
import { connect } from "node:net"
import { text } from "node:stream/consumers"
import { SidecarError } from "@skep/contract"
import { expect, test } from "vitest"
import { ask, rig } from "../fixture.ts"

const CREATE = "/v1.41/containers/create?name=x"

async function under() {
  return await rig(
    (incoming, outgoing) => {
      void text(incoming).then((body) => outgoing.end(JSON.stringify({ headers: incoming.headers, body })))
    },
    {
      findMount: async (path) => {
        if (path.startsWith("/no")) {
          throw new SidecarError("bad-options", `Cannot mount "${path}": it is not shared`, {
            next: "Share it: …",
          })
        }
        return path.replace("/host", "/guest")
      },
    },
  )
}

function seen(answer: { readonly body: string }): { headers: Record<string, string>; body: string } {
  return JSON.parse(answer.body)
}

test("a path that the machine does not have is refused with a sentence, and the connection stays", async () => {
  await using proxied = await under()
  const body = JSON.stringify({ HostConfig: { Binds: ["/no:/x"] } })
  const answer = await ask(proxied.socket, CREATE, { method: "POST", body })
  expect(answer.status).toBe(400)
  expect(JSON.parse(answer.body)).toEqual({ message: 'Cannot mount "/no": it is not shared. Share it: …' })
  expect(proxied.engineConnections()).toBe(0)
})

test("what is in the machine under another name is mounted by that, with the length of the new body", async () => {
  await using proxied = await under()
  const body = JSON.stringify({ HostConfig: { Binds: ["/host/a:/x"] } })
  const { headers, body: sent } = seen(await ask(proxied.socket, CREATE, { method: "POST", body }))
  expect(JSON.parse(sent)).toEqual({ HostConfig: { Binds: ["/guest/a:/x"] } })
  expect(headers["content-length"]).toBe(String(Buffer.byteLength(sent)))
})

test("a body in chunks, and one that waits for a leave, arrive whole", async () => {
  await using proxied = await under()
  const body = JSON.stringify({ HostConfig: { Binds: ["/host/a:/x"] }, Env: ["x".repeat(200_000)] })
  const chunked = await ask(proxied.socket, CREATE, {
    method: "POST",
    body,
    headers: { "transfer-encoding": "chunked" },
  })
  expect(seen(chunked).body).toContain("/guest/a:/x")

  const socket = connect(proxied.socket)
  socket.write(
    `POST ${CREATE} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nConnection: close\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n`,
  )
  await new Promise<void>((resolve) => {
    socket.once("data", (head: Buffer) => {
      expect(head.toString()).toMatch(/^HTTP\/1.1 100 /)
      resolve()
    })
  })
  socket.write(body)
  expect(await text(socket)).toContain("/guest/a:/x")
})

test("other requests stream as they did, whatever they hold", async () => {
  await using proxied = await under()
  const body = JSON.stringify({ HostConfig: { Binds: ["/no:/x"] } })
  expect(seen(await ask(proxied.socket, "/v1.41/containers/x/start", { method: "POST", body })).body).toBe(
    body,
  )
  expect(seen(await ask(proxied.socket, CREATE, { method: "PUT", body })).body).toBe(body)
})

test("a body without end is refused, and one that is no JSON is the engine's to refuse", async () => {
  await using proxied = await under()
  const long = await ask(proxied.socket, CREATE, { method: "POST", body: Buffer.alloc(9 << 20, 0x20) })
  expect(long.status).toBe(400)
  expect(long.body).toContain("longer than 8 MiB")
  expect(seen(await ask(proxied.socket, CREATE, { method: "POST", body: '{"HostConfig"' })).body).toBe(
    '{"HostConfig"',
  )
})
