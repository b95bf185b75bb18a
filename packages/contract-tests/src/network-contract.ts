/**
 * The compliance suite of the network role (contract/src/network.ts): forwards come, carry nothing they should not, and go.
 *
 * It proves listeners, not traffic; traffic needs a guest and is proved end to end.
 *
 * @module
 */
import { createSocket } from "node:dgram"
import { once } from "node:events"
import { createServer } from "node:net"
import type { ForwardRule, NetworkRunning, Transport } from "@skep/contract"
import { describe, expect, it } from "vitest"

export interface NetworkFixture extends AsyncDisposable {
  readonly network: NetworkRunning
}

export interface NetworkSuite {
  readonly name: string
  open(): Promise<NetworkFixture>
  /** Cases that this network cannot pass, by name, with the reason; they are printed as skips. */
  readonly gaps?: Readonly<Record<string, string>>
}

const LOOPBACK = "127.0.0.1"

/** Declares the suite with vitest. */
export function networkContract(suite: NetworkSuite): void {
  describe(`network contract: ${suite.name}`, () => {
    const check = (name: string, run: (network: NetworkRunning) => Promise<void>): void => {
      const gap = suite.gaps?.[name]
      if (gap !== undefined) {
        it.skip(`${name} (gap: ${gap})`, () => undefined)
        return
      }
      it(name, async () => {
        await using fixture = await suite.open()
        await run(fixture.network)
      })
    }
    forwardCases(check)
    refusalCases(check)
  })
}

type Check = (name: string, run: (network: NetworkRunning) => Promise<void>) => void

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

/** A forward whose host port the kernel has just said is free. */
export async function freeRule(transport: Transport): Promise<ForwardRule> {
  return { transport, hostAddress: LOOPBACK, hostPort: await freePort(transport), guestPort: 80 }
}

async function freePort(transport: Transport): Promise<number> {
  const socket =
    transport === "tcp" ? createServer().listen(0, LOOPBACK) : createSocket("udp4").bind(0, LOOPBACK)
  await once(socket, "listening")
  const address = socket.address()
  socket.close()
  await once(socket, "close")
  if (typeof address !== "object" || address === null) throw new Error("an IP socket has a port")
  return address.port
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
