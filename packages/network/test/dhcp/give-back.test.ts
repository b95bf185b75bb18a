import { writeFile } from "node:fs/promises"
import { silentLog } from "@skep/runtime"
import { temporaryDirectory } from "@skep/testkit"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { DhcpServer, type Identity, LeaseFile, memoryStore } from "../../src/dhcp/index.ts"
import { giveBackInFile, reserveInFile } from "../../src/dhcp/lease-edit.ts"
import { parseLeases } from "../../src/dhcp/lease-text.ts"
import { bind, NETWORK, NOW, SERVER, say, server } from "./client.ts"

const NEVER = new AbortController().signal
const HOUR = 3_600_000

/** A machine comes, as one of Skep does: its link, then DISCOVER and REQUEST by a card that nobody has seen before. */
function arrive(dhcp: DhcpServer, machine: string, mac: number, now = NOW): string | undefined {
  dhcp.attach(machine)
  return bind(dhcp, { mac }, { machine, now })
}

/** Its link goes, and then the machine itself. */
function remove(dhcp: DhcpServer, machine: string, now = NOW): readonly string[] {
  dhcp.detach(machine)
  return dhcp.giveBack(machine, now).map(({ address }) => address)
}

describe("a machine that is removed", () => {
  it("leaves its address to the next one at once", () => {
    const dhcp = server({ identity: "machine" })
    const first = arrive(dhcp, "a", 1)
    expect(first).toBe("192.168.64.2")
    expect(remove(dhcp, "a")).toEqual([first])
    expect(dhcp.leases()).toEqual([])
    expect(arrive(dhcp, "b", 2)).toBe(first)
  })

  it("has its own address again when it comes back with another card, while that is free", () => {
    const dhcp = server({ identity: "machine" })
    for (const [index, name] of ["a", "b", "c"].entries()) arrive(dhcp, name, index + 1)
    remove(dhcp, "a")
    remove(dhcp, "c")
    expect(arrive(dhcp, "c", 9)).toBe("192.168.64.4")
    expect(arrive(dhcp, "d", 10)).toBe("192.168.64.2")
    expect(arrive(dhcp, "a", 11)).toBe("192.168.64.5")
  })

  it("is known by its name to a server that starts later", () => {
    const store = memoryStore()
    const dhcp = new DhcpServer({ network: { ...NETWORK, identity: "machine" }, store })
    arrive(dhcp, "a", 1)
    arrive(dhcp, "b", 2)
    remove(dhcp, "b")
    remove(dhcp, "a")
    dhcp.flush()
    const after = new DhcpServer({ network: { ...NETWORK, identity: "machine" }, store })
    expect(arrive(after, "b", 3)).toBe("192.168.64.3")
  })

  it("cannot be one whose link is there", () => {
    const dhcp = server({ identity: "machine" })
    arrive(dhcp, "a", 1)
    expect(() => dhcp.giveBack("a", NOW)).toThrow(expect.objectContaining({ code: "busy" }))
    expect(dhcp.leases()).toHaveLength(1)
  })

  it("takes what its clients had with it: its own card's and those behind it", () => {
    const dhcp = server()
    arrive(dhcp, "a", 1)
    bind(dhcp, { mac: 2, hostName: "nested" }, { machine: "a" })
    arrive(dhcp, "b", 3)
    expect(remove(dhcp, "a").toSorted()).toEqual(["192.168.64.2", "192.168.64.3"])
    expect(dhcp.leases()).toMatchObject([{ machine: "b" }])
  })

  it.each<Identity>(["machine", "client"])(
    "three hundred times on 253 addresses leaves no trace: by %s",
    (identity) => {
      const dhcp = server({ identity })
      // Three that stay, so that what is reused is not always the first.
      const staying = ["x", "y", "z"].map((name, index) => arrive(dhcp, name, 0x1000 + index))
      expect(staying).toEqual(["192.168.64.2", "192.168.64.3", "192.168.64.4"])
      expect(dhcp.counts.unused).toBe(250)
      for (let round = 0; round < 300; round++) {
        const now = NOW + round
        expect(arrive(dhcp, `m${round}`, 0x2000 + round, now)).toBe("192.168.64.5")
        expect(remove(dhcp, `m${round}`, now)).toEqual(["192.168.64.5"])
      }
      expect(dhcp.counters["pool-exhausted"]).toBeUndefined()
      expect(dhcp.counts).toMatchObject({ leases: 3, offers: 0, declined: 0, unused: 250 })
    },
  )

  it("three hundred times without being given back is why: the addresses of expired leases are all that is left", () => {
    const dhcp = server({ identity: "machine" })
    for (let index = 0; index < 253; index++) expect(arrive(dhcp, `m${index}`, index + 1)).toBeDefined()
    expect(arrive(dhcp, "late", 999)).toBeUndefined()
    expect(dhcp.counters["pool-exhausted"]).toBe(1)
  })

  it("gives the lowest free address to whoever comes, and no address to two, in any order of coming and going", () => {
    const step = fc.record({ come: fc.boolean(), who: fc.nat(39), again: fc.boolean() })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 150 }), (steps) => {
        const dhcp = server({ identity: "machine", range: { first: "192.168.64.10", last: "192.168.64.49" } })
        const here = new Map<string, string>()
        const former = new Map<string, string>()
        let card = 0
        for (const { come, who, again } of steps) {
          const name = again ? `old${who}` : `new${card}`
          if (come && !here.has(name)) {
            const taken = new Set(here.values())
            const free = Array.from({ length: 40 }, (_, index) => `192.168.64.${10 + index}`).filter(
              (address) => !taken.has(address),
            )
            const own = former.get(name)
            const wanted = own !== undefined && free.includes(own) ? own : free[0]
            expect(arrive(dhcp, name, ++card)).toBe(wanted)
            if (wanted !== undefined) here.set(name, wanted)
          } else if (!come && here.has(name)) {
            expect(remove(dhcp, name)).toEqual([here.get(name)])
            former.set(name, here.get(name) ?? "")
            here.delete(name)
          }
        }
        expect(new Set(dhcp.leases().map(({ address }) => address))).toEqual(new Set(here.values()))
      }),
    )
  })
})

describe("a reserved address", () => {
  const code = (expected: string): unknown => expect.objectContaining({ code: expected })
  const kept = { machine: "a", address: "192.168.64.2" }

  it("is for that machine, whatever its card, and for nobody else", () => {
    const dhcp = server({ identity: "machine" })
    dhcp.reserve(kept, NOW)
    expect(arrive(dhcp, "b", 1)).toBe("192.168.64.3")
    expect(arrive(dhcp, "a", 2)).toBe("192.168.64.2")
    remove(dhcp, "a")
    expect(arrive(dhcp, "c", 3)).toBe("192.168.64.4")
    expect(arrive(dhcp, "a", 4)).toBe("192.168.64.2")
  })

  it("may lie outside of the range, and is free for all when it is given up", () => {
    const dhcp = server({ range: { first: "192.168.64.10", last: "192.168.64.12" } })
    dhcp.reserve({ machine: "a", address: "192.168.64.99" }, NOW)
    dhcp.reserve({ machine: "b", address: "192.168.64.10" }, NOW)
    expect(arrive(dhcp, "a", 1)).toBe("192.168.64.99")
    expect(arrive(dhcp, "c", 2)).toBe("192.168.64.11")
    expect(dhcp.unreserve("b", NOW)).toBe("192.168.64.10")
    expect(dhcp.unreserve("b", NOW)).toBeUndefined()
    expect(arrive(dhcp, "d", 3)).toBe("192.168.64.10")
  })

  it("makes room for another one of the same machine", () => {
    const dhcp = server()
    dhcp.reserve(kept, NOW)
    dhcp.reserve({ machine: "a", address: "192.168.64.3" }, NOW)
    expect(dhcp.remembered().reservations).toEqual([{ machine: "a", address: "192.168.64.3" }])
    expect(arrive(dhcp, "b", 1)).toBe("192.168.64.2")
  })

  it("is given to a machine that has another one when it asks the next time", () => {
    const dhcp = server({ identity: "machine" })
    expect(arrive(dhcp, "a", 1)).toBe("192.168.64.2")
    dhcp.reserve({ machine: "a", address: "192.168.64.77" }, NOW)
    expect(say(dhcp, { type: "request", mac: 1, own: "192.168.64.2" }, { machine: "a" })?.message.type).toBe(
      "nak",
    )
    expect(bind(dhcp, { mac: 1 }, { machine: "a" })).toBe("192.168.64.77")
  })

  it("is refused where it is not to be had, and where another machine has it", () => {
    const configured = [{ address: "192.168.64.50", machine: "w" }]
    const dhcp = server({ identity: "machine", reservations: configured })
    for (const address of [SERVER, "192.168.64.0", "192.168.64.255", "10.0.0.1", "x"]) {
      expect(() => dhcp.reserve({ machine: "a", address }, NOW)).toThrow(code("bad-options"))
    }
    arrive(dhcp, "b", 1)
    expect(() => dhcp.reserve(kept, NOW)).toThrow(code("address-in-use"))
    dhcp.reserve({ machine: "c", address: "192.168.64.60" }, NOW)
    expect(() => dhcp.reserve({ machine: "a", address: "192.168.64.60" }, NOW)).toThrow(code("exists"))
    expect(() => dhcp.reserve({ machine: "a", address: "192.168.64.50" }, NOW)).toThrow(code("exists"))
    expect(() => dhcp.reserve({ machine: "w", address: "192.168.64.61" }, NOW)).toThrow(code("exists"))
    // What b has is over: it was not heard of for longer than its lease.
    dhcp.detach("b")
    dhcp.reserve(kept, NOW + 2 * HOUR)
    expect(arrive(dhcp, "b", 1, NOW + 2 * HOUR)).toBe("192.168.64.3")
  })

  it("that another machine uses without a lease is refused", () => {
    const dhcp = new DhcpServer({ network: NETWORK, store: memoryStore(), usedBy: () => "b" })
    expect(() => dhcp.reserve(kept, NOW)).toThrow(code("address-in-use"))
  })

  it("of another network is kept until the network is that one again", () => {
    const store = memoryStore()
    const dhcp = new DhcpServer({ network: NETWORK, store })
    dhcp.reserve(kept, NOW)
    dhcp.flush()
    const other = new DhcpServer({
      network: { ...NETWORK, subnet: "10.9.0.0/24", gateway: "10.9.0.1", routes: [] },
      store,
    })
    expect(other.counters["not-reserved"]).toBe(1)
    expect(other.remembered().reservations).toEqual([kept])
    arrive(other, "a", 1)
    other.flush()
    const again = new DhcpServer({ network: NETWORK, store })
    expect(arrive(again, "b", 2)).toBe("192.168.64.3")
    expect(again.unreserve("a", NOW)).toBe("192.168.64.2")
  })

  it("that others write into the file is taken over", () => {
    const dhcp = server({ identity: "machine" })
    dhcp.reserve(kept, NOW)
    dhcp.remember({ reservations: [{ machine: "b", address: "192.168.64.2" }], former: [] }, NOW)
    expect(arrive(dhcp, "a", 1)).toBe("192.168.64.3")
    expect(arrive(dhcp, "b", 2)).toBe("192.168.64.2")
  })
})

describe("the lease file of a network that does not run", () => {
  const network = "192.168.64.0/24"

  async function filled(path: string): Promise<void> {
    const dhcp = server({ identity: "machine" })
    for (const [index, name] of ["a", "b", "c"].entries()) arrive(dhcp, name, index + 1)
    await new LeaseFile({ path, network, log: silentLog }).save(dhcp.leases())
  }

  async function started(path: string): Promise<DhcpServer> {
    const file = new LeaseFile({ path, network, log: silentLog })
    const store = { ...memoryStore(await file.open(), file.remembered) }
    return new DhcpServer({ network: { ...NETWORK, identity: "machine" }, store })
  }

  it("gives back what machines had that are gone", async () => {
    await using directory = await temporaryDirectory()
    const path = directory.at("leases.json")
    await filled(path)
    const back = await giveBackInFile(path, (machine) => machine !== "b", NEVER)
    expect(back.map(({ address }) => address)).toEqual(["192.168.64.2", "192.168.64.4"])
    expect(await giveBackInFile(path, (machine) => machine !== "b", NEVER)).toEqual([])
    const dhcp = await started(path)
    expect(dhcp.leases()).toMatchObject([{ machine: "b" }])
    expect(arrive(dhcp, "c", 8)).toBe("192.168.64.4")
    expect(arrive(dhcp, "d", 9)).toBe("192.168.64.2")
  })

  it("reserves what a machine has, or had", async () => {
    await using directory = await temporaryDirectory()
    const path = directory.at("leases.json")
    await filled(path)
    expect(await reserveInFile(path, "b", NEVER)).toBe("192.168.64.3")
    await giveBackInFile(path, () => true, NEVER)
    expect(await reserveInFile(path, "b", NEVER)).toBe("192.168.64.3")
    expect(await reserveInFile(path, "a", NEVER)).toBe("192.168.64.2")
    expect(await reserveInFile(path, "nobody", NEVER)).toBeUndefined()
    const dhcp = await started(path)
    expect(arrive(dhcp, "x", 7)).toBe("192.168.64.4")
    expect(arrive(dhcp, "b", 8)).toBe("192.168.64.3")
  })

  it("is left alone where there is none, or where it is something else", async () => {
    await using directory = await temporaryDirectory()
    const path = directory.at("leases.json")
    expect(await giveBackInFile(path, () => true, NEVER)).toEqual([])
    await writeFile(path, "{ not ours")
    expect(await giveBackInFile(path, () => true, NEVER)).toEqual([])
    expect(await reserveInFile(path, "a", NEVER)).toBeUndefined()
  })

  it("keeps what it remembers, to the field, and lists of others that are no lists of ours", () => {
    const kept = [{ machine: "a", address: "192.168.64.2" }]
    const text = parseLeases(
      JSON.stringify({
        format: "skep-leases",
        version: 1,
        network,
        reservations: kept,
        former: 7,
        leases: [],
      }),
    )
    expect(text).toMatchObject({ remembered: { reservations: kept, former: [] }, more: { former: 7 } })
  })
})
