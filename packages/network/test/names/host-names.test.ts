// The name service as the sidecar has it: own names, zones, and who may have names from outside.
import { createSocket, type RemoteInfo } from "node:dgram"
import { once } from "node:events"
import { existsSync } from "node:fs"
import { connect } from "node:net"
import { silentLog } from "@skep/runtime"
import { temporaryDirectory } from "@skep/testkit"
import { decode, encode, type Packet, streamDecode, streamEncode } from "dns-packet"
import { describe, expect, it } from "vitest"
import { makePlan } from "../../src/addressing/plan.ts"
import { parseSubnet } from "../../src/addressing/subnet.ts"
import type { Zone } from "../../src/dns/names/zone.ts"
import { framed } from "../../src/dns/stream.ts"
import { serveNames } from "../../src/names/host-names.ts"
import type { NameService } from "../../src/names/name-service.ts"
import type { PolicyMode } from "../../src/policy/policy-spec.ts"
import type { NamedAddresses } from "../../src/thread/calls.ts"

const PLAN = makePlan({
  subnet: parseSubnet("192.168.64.0/24") ?? { address: new Uint8Array(4), length: 0 },
  identity: "test",
  mtu: 1500,
  domain: "skep.internal",
})

interface Rig extends AsyncDisposable {
  readonly service: NameService
  readonly socket: string
  readonly named: NamedAddresses[]
  /** Questions that reached the name server outside. */
  readonly outside: string[]
}

async function rig(policy: PolicyMode, zones: readonly Zone[] = []): Promise<Rig> {
  const directory = await temporaryDirectory()
  const outside: string[] = []
  const server = createSocket("udp4").bind(0, "127.0.0.1")
  await once(server, "listening")
  server.on("message", (query: Buffer, from: RemoteInfo) => {
    const { id, questions } = decode(query)
    const name = questions?.[0]?.name ?? ""
    outside.push(name)
    const answers = [{ type: "A", name, ttl: 0, data: "192.0.2.7" }] as const
    server.send(
      encode({ type: "response", id: id ?? 0, questions: questions ?? [], answers: [...answers] }),
      from.port,
      from.address,
    )
  })
  const named: NamedAddresses[] = []
  const socket = directory.at("dns.sock")
  const service = await serveNames({
    plan: PLAN,
    dns: { servers: [`127.0.0.1:${server.address().port}`], zones, search: [] },
    socket,
    names: () => named,
    policy,
    log: silentLog,
    signal: new AbortController().signal,
  })
  return {
    service,
    socket,
    named,
    outside,
    [Symbol.asyncDispose]: async () => {
      await service[Symbol.asyncDispose]()
      server.close()
      await once(server, "close")
      await directory[Symbol.asyncDispose]()
    },
  }
}

/** The address, or the word for why there is none. */
async function ask({ service }: Rig, name: string, machine = "web"): Promise<string> {
  const query = encode({ type: "query", id: 1, flags: 0x100, questions: [{ type: "A", name }] })
  const answer = await service.answer(query, { transport: "udp", machine })
  return outcome(answer === undefined ? undefined : decode(Buffer.from(answer)))
}

async function askOverTcp({ socket }: Rig, name: string, machine = "web"): Promise<string> {
  const client = connect(socket)
  client.write(framed(Buffer.from(machine)))
  client.end(streamEncode({ type: "query", id: 1, flags: 0x100, questions: [{ type: "A", name }] }))
  const chunks: Buffer[] = []
  for await (const chunk of client) chunks.push(Buffer.from(chunk))
  return outcome(streamDecode(Buffer.concat(chunks)))
}

function outcome(packet: Packet | undefined): string {
  const record = packet?.answers?.[0]
  if (record?.type === "A") return record.data
  return packet !== undefined && "rcode" in packet ? String(packet.rcode) : "nothing"
}

describe("serveNames()", () => {
  it("knows the network's own names, as they are at the moment, over UDP and TCP", async () => {
    await using it = await rig("loopback")
    expect(await ask(it, "host.docker.internal")).toBe("192.168.64.254")
    expect(await ask(it, "gateway.skep.internal")).toBe("192.168.64.1")
    expect(await ask(it, "web.skep.internal")).toBe("NXDOMAIN")
    it.named.push({ name: "web", addresses: ["192.168.64.7"] })
    expect(await ask(it, "web.skep.internal")).toBe("192.168.64.7")
    expect(await askOverTcp(it, "web.skep.internal")).toBe("192.168.64.7")
    expect(it.service.counters()).toMatchObject({ own: 5, udp: 4, tcp: 1 })
  })

  it("has zones from the options and later ones", async () => {
    const zone = (ip: string): Zone => ({
      Name: "x.internal.",
      Records: [{ Name: "a", IP: ip, Regexp: null }],
      DefaultIP: "",
    })
    await using it = await rig("nothing", [zone("192.168.64.9")])
    expect(await ask(it, "a.x.internal")).toBe("192.168.64.9")
    it.service.addZone(zone("192.168.64.8"))
    expect(await ask(it, "a.x.internal")).toBe("192.168.64.8")
    expect(it.service.zones().map(({ Name }) => Name)).toEqual(["x.internal."])
    expect(it.service.removeZone("x.internal")).toBe(true)
    expect(await ask(it, "a.x.internal")).toBe("REFUSED")
  })

  it.each(["nothing", "loopback"] as const)("asks nobody outside under %s", async (policy) => {
    await using it = await rig(policy)
    expect(await ask(it, "example.test.skep.example")).toBe("REFUSED")
    expect(await askOverTcp(it, "example.test.skep.example")).toBe("REFUSED")
    expect(it.outside).toEqual([])
  })

  it("asks outside for those machines that are open, over UDP and TCP", async () => {
    await using it = await rig("loopback")
    for (const each of [ask, askOverTcp]) {
      it.service.setPolicy("open", "web")
      expect(await each(it, "one.skep.example", "web")).toBe("192.0.2.7")
      expect(await each(it, "one.skep.example", "db")).toBe("REFUSED")
      expect(await each(it, "one.skep.example", "")).toBe("REFUSED")
      it.service.setPolicy("open")
      expect(await each(it, "two.skep.example", "db")).toBe("192.0.2.7")
      it.service.setPolicy("nothing", "web")
      expect(await each(it, "two.skep.example", "web")).toBe("REFUSED")
      expect(await each(it, "two.skep.example", "db")).toBe("192.0.2.7")
      it.service.setPolicy(undefined, "web")
      it.service.setPolicy("loopback")
      expect(await each(it, "two.skep.example", "web")).toBe("REFUSED")
    }
    expect([...new Set(it.outside)].toSorted()).toEqual(["one.skep.example", "two.skep.example"])
  })

  it("leaves no socket", async () => {
    const it = await rig("loopback")
    expect(existsSync(it.socket)).toBe(true)
    await it[Symbol.asyncDispose]()
    expect(existsSync(it.socket)).toBe(false)
  })

  it.each(["192.0.2.53:0", "example.test", "1.2.3.4:99999", "[::1]"])(
    "refuses the server %s",
    async (server) => {
      const starting = serveNames({
        plan: PLAN,
        dns: { servers: [server], zones: [], search: [] },
        socket: "/never/dns.sock",
        names: () => [],
        policy: "open",
        log: silentLog,
        signal: new AbortController().signal,
      })
      await expect(starting).rejects.toMatchObject({ code: "bad-options" })
    },
  )
})
