// Machines of one network among themselves: by address, by name, and not at all while one of them is cut off.

import { afterAll, beforeAll, describe, expect, inject, it } from "vitest"
import { contentOf, digestOf } from "./conversation.ts"
import { missing } from "./requirements.ts"
import { type Kind, type Rig, rig, until } from "./rig.ts"

const MIB = 1 << 20
const reason = missing("machines among themselves", "dig", "ping")
const cable = inject("cable")
if (cable === "") process.stderr.write("skipped: machines over different links (needs gcc)\n")
const kinds: readonly Kind[] = cable === "" ? ["tap"] : ["tap", "qemu"]
const SAID = { bytes: 4 * MIB + 3, seed: 5 }
const ANSWERED = { bytes: MIB + 1, seed: 6 }

describe.skipIf(reason !== undefined).each(kinds)("a machine on tap, another on %s", (kind) => {
  let net: Rig

  beforeAll(async () => {
    net = await rig({ machines: { one: "tap", other: kind } })
  })
  afterAll(() => net[Symbol.asyncDispose]())

  it("reach each other by address, TCP and datagrams, also larger than a frame", async () => {
    const [one, other] = [net.guest("one"), net.guest("other")]
    for (const [from, to] of [
      [one, other],
      [other, one],
    ] as const) {
      for (const [address, any] of [
        [to.address, "0.0.0.0"],
        [to.address6, "::"],
      ] as const) {
        const port = await to.speaker.listen({ address: any, port: 0, first: "client", ...ANSWERED })
        expect(await from.speaker.call({ address, port, first: "client", ...SAID })).toMatchObject({
          bytes: ANSWERED.bytes,
          sha256: digestOf(contentOf(ANSWERED)),
        })
        expect(await to.speaker.heard(port)).toMatchObject({
          bytes: SAID.bytes,
          sha256: digestOf(contentOf(SAID)),
        })
        await to.speaker.close(port)
        const echo = await to.speaker.echo({ address: any, port: 0 })
        for (const bytes of [1, 1473, 20_000])
          expect(await from.speaker.ask({ address, port: echo, bytes, seed: bytes })).toBe("same")
      }
    }
  })

  it("reach each other by name", async () => {
    const [one, other] = [net.guest("one"), net.guest("other")]
    for (const [from, to] of [
      [one, other],
      [other, one],
    ] as const) {
      for (const [type, address] of [
        ["A", to.address],
        ["AAAA", to.address6],
      ] as const) {
        const found = await until(`${to.machine}'s ${type}`, async () => {
          const name = `${to.machine}.skep.internal`
          const said = await from.run("dig", "+short", `@${net.plan.gateway}`, name, type)
          return said.trim() === "" ? undefined : said.trim()
        })
        expect(found).toBe(address)
        expect(await from.run("ping", "-n", "-c", "1", "-W", "5", found)).toContain(" 0% packet loss")
      }
    }
  })

  it("do not while one is cut off, and do again after", async () => {
    const [one, other] = [net.guest("one"), net.guest("other")]
    const ping = async (to: string) => (await one.try("ping", "-n", "-c", "1", "-W", "1", to)).code
    expect([await ping(other.address), await ping(other.address6)]).toEqual([0, 0])
    await net.network().setFaults("other", { partition: true })
    expect([await ping(other.address), await ping(other.address6)]).toEqual([1, 1])
    expect(await ping(net.plan.gateway)).toBe(0)
    expect((await net.network().links()).find(({ name }) => name === "other")?.faults).toEqual({
      partition: true,
    })
    await net.network().setFaults("other", undefined)
    expect([await ping(other.address), await ping(other.address6)]).toEqual([0, 0])
  })
})
