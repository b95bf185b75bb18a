// What machines say to the host and the host to machines, judged by two kernels: every byte, both ways, over each kind of link.

import { type ForwardRule, SidecarError } from "@skep/contract"
import { afterAll, beforeAll, describe, expect, inject, it } from "vitest"
import { contentOf, digestOf, type Talk } from "./conversation.ts"
import { missing } from "./requirements.ts"
import { type Guest, type Kind, type Rig, rig } from "./rig.ts"

const MIB = 1 << 20
const reason = missing("traffic", "tcpdump", "tshark")
const cable = inject("cable")
if (cable === "") process.stderr.write("skipped: traffic over QEMU's stream (needs gcc)\n")
const kinds: readonly Kind[] = cable === "" ? ["tap"] : ["tap", "qemu"]

const CLIENT = { bytes: 3 * MIB + 17, seed: 1 }
const SERVER = { bytes: 2 * MIB + 5, seed: 2 }
const heardFrom = (talk: Pick<Talk, "bytes" | "seed">) => ({
  bytes: talk.bytes,
  sha256: digestOf(contentOf(talk)),
})
const WAYS = ["client", "server", "both"] as const
const FAMILIES = ["IPv4", "IPv6"] as const

describe.skipIf(reason !== undefined).each(kinds)("over %s", (kind) => {
  let net: Rig
  let guest: Guest

  beforeAll(async () => {
    net = await rig({ machines: { box: kind }, captured: true })
    guest = net.guest("box")
  })
  afterAll(() => net[Symbol.asyncDispose]())

  const pick = <Value>(family: (typeof FAMILIES)[number], four: Value, six: Value): Value =>
    family === "IPv4" ? four : six

  describe.each(FAMILIES)("%s", (family) => {
    const loopback = pick(family, "127.0.0.1", "::1")
    const hostOf = (): string => pick(family, net.plan.host, net.plan.host6)
    const guestOf = (): string => pick(family, guest.address, guest.address6)

    it.each(WAYS)("a machine's TCP reaches the host, ended first by %s", async (first) => {
      const port = await net.host.speaker.listen({ address: loopback, port: 0, first, ...SERVER })
      const called = await guest.speaker.call({ address: hostOf(), port, first, ...CLIENT })
      expect(called).toMatchObject(heardFrom(SERVER))
      expect(await net.host.speaker.heard(port)).toEqual({ ...heardFrom(CLIENT), from: loopback })
      await net.host.speaker.close(port)
    })

    it("forty at once, each with its own bytes", async () => {
      const port = await net.host.speaker.listen({ address: loopback, port: 0, first: "client", ...SERVER })
      const talks = Array.from({ length: 40 }, (_, seed) => ({ bytes: 50_000 + seed, seed: 100 + seed }))
      const called = await Promise.all(
        talks.map((talk) => guest.speaker.call({ address: hostOf(), port, first: "client", ...talk })),
      )
      for (const one of called) expect(one).toMatchObject(heardFrom(SERVER))
      const heard = await Promise.all(talks.map(() => net.host.speaker.heard(port)))
      expect(heard.map(({ sha256 }) => sha256).toSorted()).toEqual(
        talks.map((talk) => heardFrom(talk).sha256).toSorted(),
      )
      await net.host.speaker.close(port)
    })

    it("a port that nobody listens on is refused, TCP and UDP", async () => {
      const port = await net.host.speaker.listen({ address: loopback, port: 0, first: "client", ...SERVER })
      await net.host.speaker.close(port)
      const nobody = { address: hostOf(), port, bytes: 1, seed: 1 }
      expect(await guest.speaker.call({ ...nobody, first: "client" })).toBe("ECONNREFUSED")
      expect(await guest.speaker.ask(nobody)).toBe("ECONNREFUSED")
    })

    it("a machine's datagrams come back, whatever their size", async () => {
      const port = await net.host.speaker.echo({ address: loopback, port: 0 })
      for (const bytes of [0, 1, 512, 1472, 1473, 9000, 20_000, 60_000])
        expect([bytes, await guest.speaker.ask({ address: hostOf(), port, bytes, seed: bytes })]).toEqual([
          bytes,
          "same",
        ])
    })

    it.each(WAYS)("the host's TCP reaches a machine by a forward, ended first by %s", async (first) => {
      const guestPort = await guest.speaker.listen({
        address: pick(family, "0.0.0.0", "::"),
        port: 0,
        first,
        ...SERVER,
      })
      const rule = ruleTo("tcp", guestPort)
      await using _forward = await net.network().forward(rule)
      const called = await net.host.speaker.call({ address: loopback, port: rule.hostPort, first, ...CLIENT })
      expect(called).toMatchObject(heardFrom(SERVER))
      const gateway = pick(family, net.plan.gateway, net.plan.gateway6)
      expect(await guest.speaker.heard(guestPort)).toEqual({ ...heardFrom(CLIENT), from: gateway })
      await guest.speaker.close(guestPort)
    })

    it("the host's datagrams reach a machine by a forward, and come back", async () => {
      const guestPort = await guest.speaker.echo({ address: pick(family, "0.0.0.0", "::"), port: 0 })
      const rule = ruleTo("udp", guestPort)
      await using _forward = await net.network().forward(rule)
      for (const bytes of [0, 1, 1473, 20_000])
        expect([
          bytes,
          await net.host.speaker.ask({ address: loopback, port: rule.hostPort, bytes, seed: bytes }),
        ]).toEqual([bytes, "same"])
    })

    it("a forward to a port that nobody listens on ends the host's connection", async () => {
      const guestPort = await guest.speaker.listen({ address: "::", port: 0, first: "client", ...SERVER })
      await guest.speaker.close(guestPort)
      const rule = ruleTo("tcp", guestPort)
      await using _forward = await net.network().forward(rule)
      const called = await net.host.speaker.call({
        address: loopback,
        port: rule.hostPort,
        first: "server",
        ...CLIENT,
      })
      expect(called).toBe("ECONNRESET")
    })

    it("a forward that was removed listens no more; a taken port is an error", async () => {
      const taken = await net.host.speaker.listen({ address: loopback, port: 0, first: "client", ...SERVER })
      const refused = net.network().forward({ ...ruleTo("tcp", 9), hostPort: taken })
      await expect(refused).rejects.toBeInstanceOf(SidecarError)
      await expect(refused).rejects.toMatchObject({ code: "address-in-use" })
      await net.host.speaker.close(taken)
      const forward = await net.network().forward({ ...ruleTo("tcp", 9), hostPort: taken })
      await forward[Symbol.asyncDispose]()
      const nobody = { address: loopback, port: taken, first: "client", ...CLIENT } as const
      expect(await net.host.speaker.call(nobody)).toBe("ECONNREFUSED")
      expect(await net.network().forwards()).toEqual([])
    })

    it("what the policy refuses is told at once, and counted", async () => {
      const before = (await net.network().status()).refusals["policy"] ?? 0
      // Addresses of documentation, RFC 5737 and RFC 3849.
      const away = { address: pick(family, "192.0.2.1", "2001:db8::1"), port: 80, bytes: 1, seed: 1 }
      const told = pick(family, "EHOSTUNREACH", "EACCES")
      expect(await guest.speaker.call({ ...away, first: "client" })).toBe(told)
      expect(await guest.speaker.ask(away)).toBe(told)
      const { refusals } = await net.network().status()
      expect((refusals["policy"] ?? 0) - before).toBe(2)
      expect(await net.network().refusals()).toContainEqual(
        expect.objectContaining({
          machine: "box",
          protocol: "tcp",
          destination: away.address,
          reason: "policy",
        }),
      )
    })

    it("under the policy of nothing not even the host is reached", async () => {
      const port = await net.host.speaker.listen({ address: loopback, port: 0, first: "client", ...SERVER })
      await net.network().setPolicy({ mode: "nothing", closedPorts: [] }, "box")
      const call = () => guest.speaker.call({ address: hostOf(), port, first: "client", ...CLIENT })
      expect(await call()).toBe(pick(family, "EHOSTUNREACH", "EACCES"))
      await net.network().setPolicy({ mode: "loopback", closedPorts: [[port, port]] }, "box")
      expect(await call()).toBe(pick(family, "EHOSTUNREACH", "EACCES"))
      await net.network().setPolicy(undefined, "box")
      expect(await call()).toMatchObject(heardFrom(SERVER))
      await net.host.speaker.close(port)
    })

    function ruleTo(transport: "tcp" | "udp", guestPort: number): ForwardRule {
      // Below the ports that the kernel gives out, and never the same one twice.
      return {
        transport,
        hostAddress: loopback,
        hostPort: nextPort++,
        guestAddress: guestOf(),
        guestPort,
        machine: "box",
      }
    }
  })

  it("leaves no flow behind, and nothing that tshark finds wrong", { timeout: 180_000 }, async () => {
    await expect.poll(async () => (await net.network().status()).flows.tcp, { timeout: 20_000 }).toBe(0)
    const { frames, complaints } = await net.judged()
    expect(complaints).toEqual([])
    expect(frames).toBeGreaterThan(500)
  })
})

let nextPort = 20_000
