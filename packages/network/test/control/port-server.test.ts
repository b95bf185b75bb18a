// gvproxy's verbs as its callers see them: status, text, JSON.

import { once } from "node:events"
import { statSync } from "node:fs"
import { request } from "node:http"
import { createServer } from "node:net"
import { testContext } from "@skep/contract-tests"
import { temporaryDirectory } from "@skep/testkit"
import { afterAll, describe, expect, it } from "vitest"
import type { RunningNetwork } from "../../src/running.ts"
import { bundleStandIn } from "../bundle.ts"
import { machineOn, standInOf } from "../stand-in.ts"

const bundle = await bundleStandIn()
afterAll(() => bundle[Symbol.dispose]())
const standIn = standInOf(bundle.thread)

interface Answer {
  readonly status: number
  readonly text: string
}

interface Rig extends AsyncDisposable {
  readonly network: RunningNetwork
  readonly socket: string
  readonly machine: string
  get(path: string): Promise<Answer>
  post(path: string, body: unknown): Promise<Answer>
}

async function rig(): Promise<Rig> {
  const directory = await temporaryDirectory()
  const machine = directory.at("web.sock")
  const options = standIn.parseOptions({
    directory: directory.at("net"),
    identity: "test",
    qemu: [`web=${machine}`],
    mac: ["web=02:00:5e:10:00:01"],
  })
  const network = await standIn.start(options, testContext())
  const socket = options.portSocket
  return {
    network,
    socket,
    machine,
    get: (path) => ask(socket, "GET", path),
    post: (path, body) => ask(socket, "POST", path, typeof body === "string" ? body : JSON.stringify(body)),
    [Symbol.asyncDispose]: async () => {
      await network[Symbol.asyncDispose]()
      await directory[Symbol.asyncDispose]()
    },
  }
}

async function ask(socketPath: string, method: string, path: string, body = ""): Promise<Answer> {
  const asking = request({ socketPath, method, path, headers: { connection: "close" } })
  asking.end(body)
  const [response] = await once(asking, "response")
  const chunks: Buffer[] = []
  for await (const chunk of response) chunks.push(Buffer.from(chunk))
  return { status: response.statusCode, text: Buffer.concat(chunks).toString() }
}

const EXPOSE = "/services/forwarder/expose"
const UNEXPOSE = "/services/forwarder/unexpose"
const ALL = "/services/forwarder/all"
const OK = { status: 200, text: "" }

describe("/services/forwarder", () => {
  it("exposes, lists in the caller's words, and takes away", async () => {
    await using it = await rig()
    const port = await freePort()
    const web = { local: `:${port}`, remote: "192.168.64.2:80", protocol: "tcp" }
    const dns = { local: `127.0.0.1:${port}`, remote: "192.168.64.2:53", protocol: "udp" }
    expect(await it.get(ALL)).toEqual({ status: 200, text: "[]\n" })
    expect(await it.post(EXPOSE, web)).toEqual(OK)
    expect(await it.post(EXPOSE, dns)).toEqual(OK)
    expect(JSON.parse((await it.get(ALL)).text)).toEqual([dns, web])
    expect((await it.network.forwards()).map(({ rule }) => rule)).toEqual([
      {
        transport: "tcp",
        hostAddress: "0.0.0.0",
        hostPort: port,
        guestAddress: "192.168.64.2",
        guestPort: 80,
        owner: "gvproxy",
      },
      {
        transport: "udp",
        hostAddress: "127.0.0.1",
        hostPort: port,
        guestAddress: "192.168.64.2",
        guestPort: 53,
        owner: "gvproxy",
      },
    ])
    expect(await it.post(UNEXPOSE, { local: web.local, protocol: "tcp" })).toEqual(OK)
    expect(await it.post(UNEXPOSE, { local: dns.local, protocol: "udp" })).toEqual(OK)
    expect(await it.get(ALL)).toEqual({ status: 200, text: "[]\n" })
    expect(await it.network.forwards()).toEqual([])
  })

  it("means tcp where no protocol is said, and takes names of fields in any case", async () => {
    await using it = await rig()
    const local = `127.0.0.1:${await freePort()}`
    expect(await it.post(EXPOSE, { Local: local, Remote: "192.168.64.2:80" })).toEqual(OK)
    expect(await it.post(UNEXPOSE, { Local: local })).toEqual(OK)
  })

  it("leads to the first machine where the remote has no address", async () => {
    await using it = await rig()
    expect(await it.post(EXPOSE, { local: `127.0.0.1:${await freePort()}`, remote: ":80" })).toEqual(OK)
    expect((await it.network.forwards())[0]?.rule.guestAddress).toBeUndefined()
  })

  it("shows forwards of others, too", async () => {
    await using it = await rig()
    const hostPort = await freePort()
    await it.network.forward({
      transport: "tcp",
      hostAddress: "::1",
      hostPort,
      guestPort: 22,
      machine: "web",
    })
    expect(JSON.parse((await it.get(ALL)).text)).toEqual([
      { local: `[::1]:${hostPort}`, remote: "web:22", protocol: "tcp" },
    ])
  })

  it("says what gvproxy says of a proxy that runs, and of one that does not", async () => {
    await using it = await rig()
    const local = `127.0.0.1:${await freePort()}`
    const wanted = { local, remote: "192.168.64.2:80", protocol: "tcp" }
    await it.post(EXPOSE, wanted)
    expect(await it.post(EXPOSE, wanted)).toEqual({
      status: 500,
      text: `proxy already running for tcp on ${local}\n`,
    })
    expect(await it.post(UNEXPOSE, { local, protocol: "udp" })).toEqual({
      status: 500,
      text: "proxy not found\n",
    })
  })

  it("says what the kernel says of an address that cannot be had", async () => {
    await using it = await rig()
    await using taken = await listening()
    expect(await it.post(EXPOSE, { local: `127.0.0.1:${taken.port}`, remote: "192.168.64.2:80" })).toEqual({
      status: 500,
      text: `listen tcp 127.0.0.1:${taken.port}: bind: address already in use\n`,
    })
    const foreign = await it.post(EXPOSE, { local: "192.0.2.1:8080", remote: "192.168.64.2:80" })
    expect(foreign.status).toBe(500)
    expect(foreign.text).toMatch(/^listen tcp 192\.0\.2\.1:8080: bind: /)
  })

  it.each([
    ["", 400, "EOF"],
    ["{", 400, "JSON"],
    ["[]", 400, "no object"],
    [{ local: 8080 }, 400, "local is no string"],
    [{ local: ":8080", remote: "80" }, 400, "address 80: missing port in address"],
    [{ local: "8080", remote: ":80" }, 400, "address 8080: missing port in address"],
    [{ local: ":0", remote: ":80" }, 400, "invalid port"],
    [{ local: ":8080", remote: "guest:80" }, 500, "invalid remote addr"],
    [{ local: "nowhere:8080", remote: ":80" }, 500, "no such host"],
    [{ local: ":8080", remote: ":80", protocol: "sctp" }, 500, "unknown protocol sctp"],
    [{ local: "/tmp/x.sock", remote: "tcp://192.168.64.2:80", protocol: "unix" }, 500, "not implemented"],
  ])("refuses to expose %o", async (body, status, text) => {
    await using it = await rig()
    const answer = await it.post(EXPOSE, body)
    expect(answer.status).toBe(status)
    expect(answer.text).toContain(text)
    expect(await it.network.forwards()).toEqual([])
  })

  it("wants a POST, of bounded length", async () => {
    await using it = await rig()
    expect(await it.get(EXPOSE)).toEqual({ status: 400, text: "post only\n" })
    const long = await it.post(EXPOSE, { local: "x".repeat(100_000) })
    expect(long).toEqual({ status: 400, text: "http: request body too large\n" })
  })
})

describe("the rest", () => {
  it("adds zones, and lists them", async () => {
    await using it = await rig()
    const record = { Name: "a", IP: "192.168.64.9" }
    const asGo = { Name: "x.internal.", Records: [{ ...record, Regexp: null }], DefaultIP: null }
    const zone = { ...asGo, DefaultIP: "" }
    expect(await it.post("/services/dns/add", asGo)).toEqual(OK)
    expect(JSON.parse((await it.get("/services/dns/all")).text)).toEqual([zone])
    expect(
      await it.post("/services/dns/add", { Name: "y.", Records: [record], DefaultIP: "10.0.0.1" }),
    ).toEqual(OK)
    expect((await it.post("/services/dns/add", { Name: "x.", Records: [{ IP: "nowhere" }] })).status).toBe(
      400,
    )
    expect((await it.post("/services/dns/remove", { Name: "x.internal." })).status).toBe(404)
  })

  it("adds records to a zone that is there, and takes the last default, which may be none", async () => {
    await using it = await rig()
    const add = (name: string, last: number, more: object = {}) =>
      it.post("/services/dns/add", { Name: "x.", Records: [{ Name: name, IP: `10.0.0.${last}` }], ...more })
    const zone = async () => {
      const zones: { DefaultIP: string; Records: { Name: string; IP: string }[] }[] = JSON.parse(
        (await it.get("/services/dns/all")).text,
      )
      return zones.map(({ DefaultIP, Records }) => [DefaultIP, ...Records.map(({ IP }) => IP)])
    }
    expect(await add("a", 1, { DefaultIP: "10.0.0.9" })).toEqual(OK)
    expect(await add("b", 2, { DefaultIP: "10.0.0.8" })).toEqual(OK)
    expect(await zone()).toEqual([["10.0.0.8", "10.0.0.2", "10.0.0.1"]])
    expect(await add("a", 3)).toEqual(OK)
    expect(await zone()).toEqual([["", "10.0.0.3", "10.0.0.2", "10.0.0.1"]])
  })

  it("tells leases, the places of MAC addresses, and sums", async () => {
    await using it = await rig()
    await using machine = await machineOn(it.machine)
    machine.write("@192.168.64.2")
    await expect.poll(() => it.network.leases()).toHaveLength(1)
    const { plan } = await it.network.status()
    const leases = { [plan.gateway]: plan.gatewayMac, "192.168.64.2": "02:00:5e:10:00:01" }
    for (const path of ["/leases", "/services/dhcp/leases"])
      expect(JSON.parse((await it.get(path)).text)).toEqual(leases)
    expect(JSON.parse((await it.get("/cam")).text)).toEqual({ "02:00:5e:10:00:01": 1 })
    expect(JSON.parse((await it.get("/stats")).text)).toMatchObject({ BytesSent: 7, BytesReceived: 13 })
  })

  it("knows no other path", async () => {
    await using it = await rig()
    for (const path of [
      "/",
      "/tunnel?ip=1.2.3.4&port=5",
      "/services",
      "/constructor",
      "/services/forwarder/__proto__",
    ])
      expect(await it.get(path)).toEqual({ status: 404, text: "404 page not found\n" })
  })

  it("is for this user alone, and gone at the end", async () => {
    const it = await rig()
    expect(statSync(it.socket).mode & 0o777).toBe(0o600)
    await it[Symbol.asyncDispose]()
    await expect(it.get(ALL)).rejects.toMatchObject({ code: "ENOENT" })
  })
})

async function listening(): Promise<AsyncDisposable & { readonly port: number }> {
  const server = createServer().listen(0, "127.0.0.1")
  await once(server, "listening")
  const address = server.address()
  return {
    port: typeof address === "object" && address !== null ? address.port : 0,
    [Symbol.asyncDispose]: async () => {
      server.close()
      await once(server, "close")
    },
  }
}

async function freePort(): Promise<number> {
  await using server = await listening()
  return server.port
}
