import { writeFile } from "node:fs/promises"
import { hostname } from "node:os"
import { temporaryDirectory } from "@skep/testkit"
import { encode, type Packet } from "dns-packet"
import { describe, expect, it } from "vitest"
import { HostResolver, type HostResolverOptions } from "../../../src/dns/host/host-resolver.ts"
import type { SystemAnswer } from "../../../src/dns/host/system-lookup.ts"
import { parseMessage } from "../../../src/dns/message/message.ts"
import { type Asked, askedBy } from "../../../src/dns/message/query.ts"
import { type Asking, addressesOf, query, type Read, read, upstream } from "../rig.ts"

function asked(name: string, type = "A", asking: Asking = {}): Asked {
  const bytes = query(name, type, asking)
  const message = parseMessage(bytes)
  if (typeof message === "string" || message.question === undefined) throw new Error("no question")
  return askedBy(bytes, message, message.question)
}

function address({ questions }: Read, data: string): Packet {
  return { answers: [{ type: "A", name: questions?.[0]?.name ?? "", ttl: 60, data }] }
}

const TRUNCATED = 0x0200
const CODE = { formerr: 1, servfail: 2, nxdomain: 3, refused: 5 }

/** Never asks the system of this machine. */
function resolver(options: HostResolverOptions): HostResolver {
  return new HostResolver({
    lookup: () => Promise.reject(new Error("the system was asked")),
    deadlineMs: 10_000,
    ...options,
  })
}

describe("the host's name servers", () => {
  it("get the question as it is, and their answer comes back as it is", async () => {
    const txt: Packet = { answers: [{ type: "TXT", name: "a.b", ttl: 7, data: ["one", "two"] }] }
    await using up = await upstream(() => txt)
    await using host = resolver({ servers: [up.server] })
    const answer = read(await host.resolve(asked("a.b", "TXT")))
    expect(answer.answers).toMatchObject([
      { type: "TXT", ttl: 7, data: [Buffer.from("one"), Buffer.from("two")] },
    ])
    expect(up.asked).toEqual(["udp a.b TXT"])
  })

  it("hear of RD, CD and DO as the machine has them, with EDNS of ours", async () => {
    const heard: Read[] = []
    await using up = await upstream((packet) => {
      heard.push(packet)
      return {}
    })
    await using host = resolver({ servers: [up.server] })
    await host.resolve(asked("a.b", "A", { flags: 0x0010, edns: 4096, dnssec: true }))
    expect(heard).toMatchObject([
      { flag_rd: false, flag_cd: true, additionals: [{ type: "OPT", udpPayloadSize: 1232, flag_do: true }] },
    ])
  })

  it("are asked over TCP for what they cut", async () => {
    await using up = await upstream((packet, transport) =>
      transport === "udp" ? { flags: TRUNCATED } : address(packet, "10.0.0.2"),
    )
    await using host = resolver({ servers: [up.server] })
    expect(addressesOf(await host.resolve(asked("a.b")))).toEqual(["10.0.0.2"])
    expect(up.asked).toEqual(["udp a.b A", "tcp a.b A"])
  })

  it("are asked without EDNS where they do not understand it", async () => {
    await using up = await upstream((packet) =>
      packet.additionals?.length === 0 ? address(packet, "10.0.0.2") : headerOnly(packet, CODE.formerr),
    )
    await using host = resolver({ servers: [up.server] })
    expect(addressesOf(await host.resolve(asked("a.b")))).toEqual(["10.0.0.2"])
    expect(up.asked).toHaveLength(2)
  })

  it.each([
    ["fails", (packet: Read) => ({ flags: CODE.servfail, id: packet.id ?? 0 })],
    ["refuses", () => ({ flags: CODE.refused })],
    ["answers with something that is no message", () => Uint8Array.of(1, 2, 3)],
  ])("are asked one after the other: the second answers where the first %s", async (what, handler) => {
    await using first = await upstream((packet) =>
      what.includes("no message") ? undefined : (handler as (packet: Read) => Packet)(packet),
    )
    await using second = await upstream((packet) => address(packet, "10.0.0.3"))
    await using directory = await temporaryDirectory()
    await writeFile(directory.at("resolv.conf"), "options timeout:1")
    await using host = resolver({
      servers: [first.server, second.server],
      resolvConf: directory.at("resolv.conf"),
    })
    expect(addressesOf(await host.resolve(asked("a.b")))).toEqual(["10.0.0.3"])
    expect([first.asked.length, second.asked.length]).toEqual([1, 1])
  })

  it("are believed at the first NXDOMAIN", async () => {
    await using first = await upstream(() => ({ flags: CODE.nxdomain }))
    await using second = await upstream((packet) => address(packet, "10.0.0.3"))
    await using host = resolver({ servers: [first.server, second.server] })
    expect(read(await host.resolve(asked("a.b"))).rcode).toBe("NXDOMAIN")
    expect(second.asked).toEqual([])
  })

  it("that nobody listens at are passed over", async () => {
    const gone = await upstream(() => ({}))
    await gone[Symbol.asyncDispose]()
    await using second = await upstream((packet) => address(packet, "10.0.0.3"))
    await using host = resolver({ servers: [gone.server, second.server] })
    expect(addressesOf(await host.resolve(asked("a.b")))).toEqual(["10.0.0.3"])
  })

  it("that did not answer are asked last the next time", async () => {
    await using silent = await upstream(() => undefined)
    await using second = await upstream((packet) => address(packet, "10.0.0.3"))
    await using directory = await temporaryDirectory()
    await writeFile(directory.at("resolv.conf"), "options timeout:1")
    await using host = resolver({
      servers: [silent.server, second.server],
      resolvConf: directory.at("resolv.conf"),
    })
    for (const name of ["a.b", "c.b"])
      expect(addressesOf(await host.resolve(asked(name)))).toEqual(["10.0.0.3"])
    expect([silent.asked, second.asked]).toEqual([["udp a.b A"], ["udp a.b A", "udp c.b A"]])
  })

  it.each([
    ["with another id", ({ id }: Read) => ({ id: ((id ?? 0) + 1) & 0xffff })],
    ["another name", () => ({ questions: [{ name: "x.b", type: "A" as const }] })],
    ["another type", () => ({ questions: [{ name: "a.b", type: "AAAA" as const }] })],
    ["with a query", () => ({ type: "query" as const })],
  ])("that answer %s are not heard", async (_, wrong) => {
    await using up = await upstream((packet) => ({ ...address(packet, "10.6.6.6"), ...wrong(packet) }))
    await using host = resolver({ servers: [up.server], deadlineMs: 200 })
    expect(await host.resolve(asked("a.b"))).toBeUndefined()
    expect(up.asked).toEqual(["udp a.b A"])
  })

  it("that say nothing are waited for until the deadline", async () => {
    await using up = await upstream(() => undefined)
    await using host = resolver({ servers: [up.server], deadlineMs: 50 })
    expect(await host.resolve(asked("a.b"))).toBeUndefined()
  })

  it("are let go when the policy closes", async () => {
    await using up = await upstream(() => undefined)
    const host = resolver({ servers: [up.server] })
    const answer = host.resolve(asked("a.b"))
    await host[Symbol.asyncDispose]()
    expect(await answer).toBeUndefined()
    expect(await host.resolve(asked("a.b"))).toBeUndefined()
  })

  it("at an address of our own are left out: they would ask us what we ask them", async () => {
    await using up = await upstream((packet) => address(packet, "10.0.0.2"))
    const own = up.server.address
    await using host = resolver({ servers: [up.server], isOwn: (address) => address === own })
    expect(host.servers).toEqual([])
    expect(await host.resolve(asked("a.b"))).toBeUndefined()
    expect(up.asked).toEqual([])
  })

  it("are those of resolv.conf as it is now", async () => {
    await using directory = await temporaryDirectory()
    const resolvConf = directory.at("resolv.conf")
    await writeFile(resolvConf, "nameserver 10.0.0.53\n")
    await using host = resolver({ resolvConf, nsswitch: directory.at("none") })
    expect(host.servers).toEqual([{ address: "10.0.0.53", port: 53 }])
    const before = host.epoch()
    expect(host.epoch()).toBe(before)
    await writeFile(resolvConf, "nameserver fd00::53\nnameserver 10.0.0.54\n")
    expect(host.servers).toEqual([
      { address: "fd00::53", port: 53 },
      { address: "10.0.0.54", port: 53 },
    ])
    expect(host.epoch()).not.toBe(before)
  })
})

describe("the source of an address", () => {
  const SYSTEM = "system"
  const SERVERS = "servers"

  /** Where a question goes on a host with this `hosts` line and name server. */
  async function sourceOf(name: string, hosts: string, options: HostResolverOptions = {}): Promise<string> {
    await using directory = await temporaryDirectory()
    // Port 53 of an address of loopback's where nobody listens.
    await writeFile(directory.at("resolv.conf"), "nameserver 127.255.255.53\noptions attempts:1")
    await writeFile(directory.at("nsswitch.conf"), `hosts: ${hosts}`)
    let asked53 = SERVERS
    await using host = new HostResolver({
      resolvConf: directory.at("resolv.conf"),
      nsswitch: directory.at("nsswitch.conf"),
      platform: "linux",
      lookup: () => {
        asked53 = SYSTEM
        return Promise.resolve("no-name")
      },
      ...options,
    })
    await host.resolve(asked(name))
    return asked53
  }

  it.each([
    ["a.b", "files dns", SERVERS],
    ["single", "files dns", SYSTEM],
    ["printer.local", "files dns", SERVERS],
    ["printer.local", "files mdns4_minimal [NOTFOUND=return] dns", SYSTEM],
    ["a.b", "files mdns4_minimal [NOTFOUND=return] dns myhostname mymachines", SERVERS],
    ["a.b", "files resolve [!UNAVAIL=return] dns", SERVERS], // the stub of systemd-resolved is on loopback
    ["a.b", "files sss dns", SYSTEM],
    ["a.b", "files wins dns", SYSTEM],
    ["we_ird\u0001.b", "files wins dns", SERVERS],
  ])("%s with hosts: %s is %s", async (name, hosts, source) => {
    expect(await sourceOf(name, hosts)).toBe(source)
  })

  it("is the system for the host's own name, and everywhere but on Linux", async () => {
    if (hostname().includes(".")) expect(await sourceOf(hostname(), "files myhostname dns")).toBe(SYSTEM)
    expect(await sourceOf("a.b", "files dns", { platform: "darwin" })).toBe(SYSTEM)
  })

  it("is the system where systemd-resolved is asked by programs and not by name", async () => {
    await using directory = await temporaryDirectory()
    const resolvConf = directory.at("other")
    await writeFile(resolvConf, "nameserver 192.0.2.53")
    expect(await sourceOf("a.b", "files resolve dns", { resolvConf })).toBe(SYSTEM)
  })
})

describe("the host's system", () => {
  async function system(answer: SystemAnswer, type = "A", name = "single"): Promise<Read | undefined> {
    await using host = resolver({ lookup: () => Promise.resolve(answer) })
    const bytes = await host.resolve(asked(name, type))
    return bytes && read(bytes)
  }

  it("gives addresses, and tells names that are not from names that have none", async () => {
    expect(await system(["10.0.0.1", "10.0.0.2"])).toMatchObject({
      rcode: "NOERROR",
      answers: [
        { name: "single", data: "10.0.0.1" },
        { name: "single", data: "10.0.0.2" },
      ],
    })
    expect(await system(["fd00::1"], "AAAA")).toMatchObject({
      rcode: "NOERROR",
      answers: [{ data: "fd00::1" }],
    })
    expect(await system("no-address")).toMatchObject({ rcode: "NOERROR", answers: [] })
    expect(await system("no-name")).toMatchObject({ rcode: "NXDOMAIN", answers: [] })
    expect(await system("failed")).toBeUndefined()
  })

  it("is asked for a whole name with a dot at its end: its search list would find others", async () => {
    const names: string[] = []
    const lookup = (name: string, family: number): Promise<SystemAnswer> => {
      names.push(`${name} ${family}`)
      return Promise.resolve("no-name")
    }
    await using host = resolver({ lookup, platform: "darwin" })
    await host.resolve(asked("a.b"))
    await host.resolve(asked("single", "AAAA"))
    expect(names).toEqual(["a.b. 4", "single 6"])
  })

  it("that never answers costs one question its deadline, and many no more than there may be", async () => {
    let running = 0
    const lookup = (): Promise<SystemAnswer> => {
      running++
      return new Promise(() => undefined)
    }
    await using host = resolver({ lookup, deadlineMs: 50 })
    const answers = await Promise.all(
      Array.from({ length: 100 }, (_, index) => host.resolve(asked(`n${index}`))),
    )
    expect(answers.every((answer) => answer === undefined)).toBe(true)
    expect(running).toBe(64)
  })
})

function headerOnly({ id }: Read, code: number): Uint8Array {
  return encode({ type: "response", id: id ?? 0, flags: code })
}
