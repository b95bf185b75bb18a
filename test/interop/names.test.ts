// Names, asked with dig from a machine: the network's own, the host's file, what is added, over UDP and TCP; and what may not be asked.

import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { missing } from "./requirements.ts"
import { type Guest, type Rig, rig, until } from "./rig.ts"

const reason = missing("names", "dig")

describe.skipIf(reason !== undefined)("a machine asks for", () => {
  let net: Rig
  let guest: Guest

  beforeAll(async () => {
    net = await rig({
      machines: { box: "tap", den: "tap" },
      hosts: "10.1.2.3 db.corp.test db\nfd01::3 db.corp.test\n",
      more: { dnsRecord: ["api.example.test=192.0.2.7"] },
    })
    guest = net.guest("box")
  })
  afterAll(() => net[Symbol.asyncDispose]())

  /** The status, then the data of the answers. */
  async function dig(
    from: Guest,
    server: string,
    ...question: readonly string[]
  ): Promise<readonly string[]> {
    const said = await from.run(
      "dig",
      "+tries=1",
      "+timeout=5",
      "+nocookie",
      "+noauthority",
      `@${server}`,
      ...question,
    )
    const status = /status: ([A-Z]+)/.exec(said)?.[1] ?? "none"
    const answers = said.split("\n").filter((line) => line !== "" && !line.startsWith(";"))
    return [status, ...answers.map((line) => line.split(/\s+/).slice(4).join(" "))]
  }

  describe.each(["+notcp", "+tcp"])("with %s", (transport) => {
    it.each(["gateway", "gateway6"] as const)("its own names, of the %s", async (which) => {
      const { plan } = net
      const server = plan[which]
      const den = net.guest("den")
      const answers = new Map([
        ["host.skep.internal", plan.host],
        ["host.docker.internal", plan.host],
        ["host.containers.internal", plan.host],
        ["gateway.docker.internal", plan.gateway],
        ["gateway.skep.internal", plan.gateway],
        ["box.skep.internal", guest.address],
        ["den.skep.internal", den.address],
        ["api.example.test", "192.0.2.7"],
        ["db.corp.test", "10.1.2.3"],
        ["localhost", "127.0.0.1"],
      ])
      for (const [name, address] of answers)
        expect([name, ...(await dig(guest, server, transport, name, "A"))]).toEqual([
          name,
          "NOERROR",
          address,
        ])
      // Asked for by the gateway, once the kernel has found it to be free.
      await until("the name's address over IPv6", async () => {
        const [, address] = await dig(guest, server, transport, "den.skep.internal", "AAAA")
        return address
      })
      for (const { machine, address6 } of net.guests)
        expect(await dig(guest, server, transport, `${machine}.skep.internal`, "AAAA")).toEqual([
          "NOERROR",
          address6,
        ])
      expect(await dig(guest, server, transport, "-x", den.address6)).toEqual([
        "NOERROR",
        "den.skep.internal.",
      ])
      expect(await dig(guest, server, transport, "host.skep.internal", "AAAA")).toEqual([
        "NOERROR",
        plan.host6,
      ])
      expect(await dig(guest, server, transport, "db.corp.test", "AAAA")).toEqual(["NOERROR", "fd01::3"])
      expect(await dig(guest, server, transport, "-x", den.address)).toEqual([
        "NOERROR",
        "den.skep.internal.",
      ])
      expect(await dig(guest, server, transport, "nobody.skep.internal", "A")).toEqual(["NXDOMAIN"])
    })

    it("names that may not leave: refused, and nobody is asked", async () => {
      expect(await dig(guest, net.plan.gateway, transport, "www.example.org", "A")).toEqual(["REFUSED"])
    })

    it("what was added meanwhile", async () => {
      const name = transport === "+tcp" ? "late.test." : "later.test."
      expect(await dig(guest, net.plan.gateway, transport, `x.${name}`, "A")).toEqual(["REFUSED"])
      await net.network().addZone({
        Name: name,
        Records: [{ Name: "x", IP: "192.0.2.9", Regexp: null }],
        DefaultIP: "",
      })
      expect(await dig(guest, net.plan.gateway, transport, `x.${name}`, "A")).toEqual([
        "NOERROR",
        "192.0.2.9",
      ])
      expect(await dig(guest, net.plan.gateway, transport, `y.${name}`, "A")).toEqual(["NXDOMAIN"])
    })
  })
})
