/**
 * The compliance suite of the network role (contract/src/network.ts): forwards come, carry nothing they should not, and go.
 *
 * Where a fixture has a guest, it proves traffic too (network-traffic.ts).
 *
 * @module
 */
import { createServer } from "node:net"
import type { ForwardRule, NetworkRunning } from "@skep/contract"
import { describe, expect, it } from "vitest"
import { freeRule } from "./free-port.ts"
import { guested, type TrafficFixture, trafficCases } from "./network-traffic.ts"

export interface NetworkFixture extends AsyncDisposable {
  readonly network: NetworkRunning
}

export interface NetworkSuite {
  readonly name: string
  open(): Promise<NetworkFixture>
  /** Cases that this network cannot pass, by name, with the reason; they are printed as skips. */
  readonly gaps?: Readonly<Record<string, string>>
  /** Why none of it can be run on this machine; then every case is printed as a skip. */
  readonly unavailable?: string | undefined
  /** The same network with a guest behind it. */
  readonly traffic?: {
    open(): Promise<TrafficFixture>
    /** Why there can be no guest on this machine. */
    readonly unavailable?: string | undefined
  }
}

const LOOPBACK = "127.0.0.1"

/** Declares the suite with vitest. */
export function networkContract(suite: NetworkSuite): void {
  describe(`network contract: ${suite.name}`, () => {
    forwardCases(checkOf(suite, (run) => withNetwork(suite, run)))
    refusalCases(checkOf(suite, (run) => withNetwork(suite, run)))
    const { traffic } = suite
    if (traffic === undefined) return
    const unavailable = suite.unavailable ?? traffic.unavailable
    trafficCases(
      checkOf({ ...suite, unavailable }, async (run) => {
        await using fixture = await traffic.open()
        await run(await guested(fixture))
      }),
    )
  })
}

type Check = (name: string, run: (network: NetworkRunning) => Promise<void>) => void

async function withNetwork(
  suite: NetworkSuite,
  run: (network: NetworkRunning) => Promise<void>,
): Promise<void> {
  await using fixture = await suite.open()
  await run(fixture.network)
}

function checkOf<T>(
  { gaps, unavailable }: Pick<NetworkSuite, "gaps" | "unavailable">,
  withFixture: (run: (fixture: T) => Promise<void>) => Promise<void>,
): (name: string, run: (fixture: T) => Promise<void>) => void {
  return (name, run) => {
    const gap = gaps?.[name]
    const reason = unavailable ?? (gap === undefined ? undefined : `gap: ${gap}`)
    if (reason === undefined) it(name, () => withFixture(run))
    else it.skip(`${name} (${reason})`, () => undefined)
  }
}

function forwardCases(check: Check): void {
  check("listens on the host when forward resolves, and no more once it is disposed", async (network) => {
    const rule = await freeRule("tcp")
    const forward = await network.forward(rule)
    expect(await canListen(rule.hostPort)).toBe(false)
    await forward[Symbol.asyncDispose]()
    expect(await canListen(rule.hostPort)).toBe(true)
  })
  check("lists its forwards in status", async (network) => {
    const rule = await freeRule("tcp")
    await using forward = await network.forward(rule)
    expect(forward.rule).toMatchObject(rule)
    expect((await network.status()).forwards).toContainEqual(expect.objectContaining(rule))
  })
  check("can be disposed twice", async (network) => {
    const forward = await network.forward(await freeRule("tcp"))
    await Promise.all([forward[Symbol.asyncDispose](), forward[Symbol.asyncDispose]()])
    await forward[Symbol.asyncDispose]()
    expect((await network.status()).forwards).toEqual([])
  })
  check("adopts a rule that is in place already", async (network) => {
    const rule = await freeRule("tcp")
    await network.forward(rule)
    await using again = await network.forward(rule)
    expect(again.rule).toMatchObject(rule)
    expect((await network.status()).forwards).toHaveLength(1)
  })
  check("forwards udp", async (network) => {
    const rule = await freeRule("udp")
    await using _forward = await network.forward(rule)
    expect((await network.status()).forwards).toContainEqual(expect.objectContaining(rule))
  })
  check("forwards to another address of the guest", async (network) => {
    const rule = { ...(await freeRule("tcp")), guestAddress: LOOPBACK }
    await using _forward = await network.forward(rule)
    expect((await network.status()).forwards).toContainEqual(expect.objectContaining(rule))
  })
  check("forwards from an IPv6 address of the host", async (network) => {
    const rule = { ...(await freeRule("tcp")), hostAddress: "::1" }
    await using forward = await network.forward(rule)
    expect(forward.rule.hostAddress).toBe("::1")
  })
}

function refusalCases(check: Check): void {
  check("refuses a taken port with address-in-use", async (network) => {
    const server = createServer()
    await new Promise<void>((resolve) => {
      server.listen(0, LOOPBACK, resolve)
    })
    const address = server.address()
    const hostPort = typeof address === "object" && address !== null ? address.port : 0
    const rule: ForwardRule = { transport: "tcp", hostAddress: LOOPBACK, hostPort, guestPort: 80 }
    await expect(network.forward(rule)).rejects.toMatchObject({ code: "address-in-use" })
    expect((await network.status()).forwards).toEqual([])
    await new Promise((resolve) => {
      server.close(resolve)
    })
  })
  check("refuses an address that is not the host's with permission-denied", async (network) => {
    const rule = { ...(await freeRule("tcp")), hostAddress: "192.0.2.1" }
    await expect(network.forward(rule)).rejects.toMatchObject({ code: "permission-denied" })
  })
  check("refuses a rule that is no rule with bad-options", async (network) => {
    const rule = { ...(await freeRule("tcp")), hostPort: 70_000 }
    await expect(network.forward(rule)).rejects.toMatchObject({ code: "bad-options" })
  })
}

function canListen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once("error", () => resolve(false))
    server.listen(port, LOOPBACK, () => {
      server.close(() => resolve(true))
    })
  })
}
