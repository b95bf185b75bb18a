/**
 * The compliance suite of the leases role (contract/src/leases.ts): what was given away is seen, and what is taken back is gone for the server too, and nothing else.
 *
 * @module
 */
import type { LeaseEntry, LeasesRunning } from "@skep/contract"
import { describe, expect, it } from "vitest"

/** A client of the server, as a machine is one. */
export interface LeaseClient {
  readonly name: string
  readonly mac: string
}

export interface LeasesFixture extends AsyncDisposable {
  readonly running: LeasesRunning
  /** Gets an address from the server, as a machine does that boots. Resolves to the address. */
  readonly lease: (client: LeaseClient) => Promise<string>
  /** A machine of that client exists from now on, and some tool of this host says so; or no more. */
  readonly machine: (client: LeaseClient, state: "running" | "stopped" | "gone") => Promise<void>
  /** Somebody writes into the lease file what nobody understands. Undefined where that cannot be. */
  readonly damage?: () => Promise<void>
  /** Whether the server, asked in its own way, has a lease of that address. */
  readonly has: (address: string) => Promise<boolean>
}

export interface LeasesSuite {
  readonly name: string
  readonly open: () => Promise<LeasesFixture>
  /** Cases that the server cannot pass, by name, and why. */
  readonly gaps?: Readonly<Record<string, string>>
  /** Why nothing of it can be run here. */
  readonly unavailable?: string | undefined
}

const CASE_MS = 60_000
const ONE: LeaseClient = { name: "one", mac: "52:54:00:0a:0b:01" }
const TWO: LeaseClient = { name: "two", mac: "52:54:00:0a:0b:02" }
const THREE: LeaseClient = { name: "three", mac: "52:54:00:0a:00:03" }

type Check = (name: string, run: (fixture: LeasesFixture) => Promise<void>) => void

/** Declares the suite with vitest. */
export function leasesContract(suite: LeasesSuite): void {
  describe(`leases contract: ${suite.name}`, () => {
    const names = new Set<string>()
    const check: Check = (name, run) => {
      names.add(name)
      const gap = suite.gaps?.[name]
      const reason = suite.unavailable ?? (gap === undefined ? undefined : `gap: ${gap}`)
      if (reason !== undefined) {
        it.skip(`${name} (${reason})`, () => undefined)
        return
      }
      it(name, { timeout: CASE_MS }, async () => {
        await using fixture = await suite.open()
        await run(fixture)
      })
    }
    lookCases(check)
    giveBackCases(check)
    sweepCases(check)
    const unknown = Object.keys(suite.gaps ?? {}).filter((name) => !names.has(name))
    if (unknown.length > 0) throw new Error(`no case has the name of the gap "${unknown.join('", "')}"`)
  })
}

function lookCases(check: Check): void {
  check("shows what the server gave away, and to whom", async ({ running, lease }) => {
    const addresses = [await lease(ONE), await lease(TWO), await lease(THREE)]
    expect(new Set(addresses).size).toBe(3)
    const found = await running.leases()
    for (const [index, client] of [ONE, TWO, THREE].entries()) {
      const entry = entryOf(found, addresses[index])
      expect(entry).toMatchObject({ mac: client.mac, line: expect.any(Number) })
      expect(entry?.expires).toBeGreaterThan(Date.now())
    }
    const status = await running.status()
    expect(status.leases).toBe(3)
    const pool = status.pools.find(({ used }) => used >= 3)
    expect(pool).toMatchObject({ free: (pool?.size ?? 0) - (pool?.used ?? 0) })
  })
  check("tells whose they are, by the files of the tools", async ({ running, lease, machine }) => {
    const addresses = [await lease(ONE), await lease(TWO)]
    await machine(ONE, "running")
    await machine(TWO, "stopped")
    const found = await running.leases()
    expect(entryOf(found, addresses[0])).toMatchObject({
      kind: "live",
      owner: { machine: "one", running: true },
    })
    expect(entryOf(found, addresses[1])).toMatchObject({
      kind: "live",
      owner: { machine: "two", running: false },
    })
  })
}

function giveBackCases(check: Check): void {
  check(
    "takes one back, and the server has it no more, but has the others",
    async ({ running, lease, has }) => {
      const addresses = [await lease(ONE), await lease(TWO), await lease(THREE)]
      const [, second = ""] = addresses
      const removed = await running.giveBack({ address: second })
      expect(removed.map(({ address }) => address)).toEqual([second])
      expect(await Promise.all(addresses.map(has))).toEqual([true, false, true])
      expect((await running.leases()).map(({ address }) => address).toSorted()).toEqual(
        addresses.filter((address) => address !== second).toSorted(),
      )
    },
  )
  check("takes back by MAC address, in whatever spelling", async ({ running, lease, has }) => {
    const [one, three] = [await lease(ONE), await lease(THREE)]
    await running.giveBack({ mac: "52:54:0:A:0:3" })
    expect([await has(one), await has(three)]).toEqual([true, false])
  })
  check(
    "gives an address that came back to somebody else when no other is left, or gives it to whom it was",
    async (fixture) => {
      const { running, lease, has } = fixture
      const address = await lease(ONE)
      await running.giveBack({ address })
      expect(await has(address)).toBe(false)
      const again = await lease(ONE)
      expect(await has(again)).toBe(true)
      expect(entryOf(await running.leases(), again)?.mac).toBe(ONE.mac)
    },
  )
  check("says not-found, bad-options and busy where it is so, and changes nothing", async (fixture) => {
    const { running, lease, machine, has } = fixture
    const address = await lease(ONE)
    await expect(running.giveBack({})).rejects.toMatchObject({ code: "bad-options" })
    await expect(running.giveBack({ mac: "nobody" })).rejects.toMatchObject({ code: "bad-options" })
    await expect(running.giveBack({ mac: TWO.mac })).rejects.toMatchObject({ code: "not-found" })
    await expect(running.giveBack({ address, mac: TWO.mac })).rejects.toMatchObject({ code: "not-found" })
    await machine(ONE, "running")
    await expect(running.giveBack({ address })).rejects.toMatchObject({ code: "busy" })
    expect(await has(address)).toBe(true)
  })
  check("leaves a lease alone that was renewed since it was looked at", async ({ running, lease }) => {
    const address = await lease(ONE)
    const key = entryOf(await running.leases(), address)?.key ?? ""
    await running.giveBack({ key })
    await expect(running.giveBack({ key })).rejects.toMatchObject({ code: "not-found" })
  })
}

function sweepCases(check: Check): void {
  check("sweeps what no machine has, and never what one has", async ({ running, lease, machine, has }) => {
    const addresses = [await lease(ONE), await lease(TWO), await lease(THREE)]
    await machine(ONE, "running")
    await machine(TWO, "stopped")
    expect(await running.sweep()).toMatchObject({ removed: [], kept: 3 })
    const { removed } = await running.sweep({ stale: true })
    expect(removed.map(({ address }) => address)).toEqual([addresses[2]])
    expect(await Promise.all(addresses.map(has))).toEqual([true, true, false])
    await machine(TWO, "gone")
    await running.sweep({ stale: true })
    expect(await Promise.all(addresses.map(has))).toEqual([true, false, false])
    expect((await running.status()).counters).toMatchObject({ sweeps: 3, released: 2 })
  })
  check("changes nothing where it does not understand everything", async ({ running, lease, damage }) => {
    const address = await lease(ONE)
    await damage?.()
    await expect(running.giveBack({ address })).rejects.toMatchObject({ code: "corrupt-file" })
  })
  check("is not-running after it was stopped", async ({ running }) => {
    await running[Symbol.asyncDispose]()
    await expect(running.leases()).rejects.toMatchObject({ code: "not-running" })
    await expect(running.sweep()).rejects.toMatchObject({ code: "not-running" })
    await running.closed
  })
}

function entryOf(entries: readonly LeaseEntry[], address: string | undefined): LeaseEntry | undefined {
  return entries.find((entry) => entry.address === address)
}
