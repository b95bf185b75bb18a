// A machine that lies to its neighbour, whose kernel believes what it hears: it hears none of it.

import * as address from "@skep/wire/address"
import * as arp from "@skep/wire/arp"
import * as ethernet from "@skep/wire/ethernet"
import * as ip from "@skep/wire/ip"
import * as mac from "@skep/wire/mac"
import * as ndp from "@skep/wire/ndp"
import * as transport from "@skep/wire/transport"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { missing } from "./requirements.ts"
import { DEVICE, type Guest, type Rig, rig } from "./rig.ts"

const reason = missing("a machine that lies", "ping", "python3")
/** Sends frames, each in hexadecimal, as they are. */
const SENDER = [
  "import socket, sys",
  "link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)",
  `link.bind((${JSON.stringify(DEVICE)}, 0))`,
  "for frame in sys.argv[1:]: link.send(bytes.fromhex(frame))",
].join("\n")
const ALL_NODES = 0x3333_0000_0001
const FRAME = 160

const addressOf = (text: string): Uint8Array => {
  const bytes = address.parse(text)
  if (typeof bytes === "string") throw new Error(`${bytes}: ${text}`)
  return bytes
}
const macOf = (text: string): number => {
  const number = mac.parse(text)
  if (typeof number === "string") throw new Error(`${number}: ${text}`)
  return number
}

/** Says by ARP that `from` has an address. */
function claim(from: number, to: number, text: string): Uint8Array {
  const bytes = new Uint8Array(ethernet.HEADER + arp.SIZE)
  const own = addressOf(text)
  ethernet.emit(bytes, 0, to, from, ethernet.TYPE_ARP)
  arp.emit(bytes, ethernet.HEADER, {
    operation: arp.REPLY,
    senderMac: from,
    sender: own,
    targetMac: to,
    target: own,
  })
  return bytes
}

/** A message of Neighbor Discovery, to all. `emit` writes it and returns its size. */
function say(from: number, source: Uint8Array, emit: (bytes: Uint8Array, at: number) => number): Uint8Array {
  const bytes = new Uint8Array(FRAME)
  const at = ethernet.HEADER + ip.headerSize(16)
  const payloadLength = emit(bytes, at)
  ethernet.emit(bytes, 0, ALL_NODES, from, ethernet.TYPE_IPV6)
  const destination = addressOf("ff02::1")
  const fields = { source, destination, protocol: ip.PROTOCOL_ICMPV6, payloadLength, hopLimit: ndp.HOP_LIMIT }
  ip.emit(bytes, ethernet.HEADER, fields)
  transport.finish(bytes, ethernet.HEADER, at + payloadLength, 0)
  return bytes.subarray(0, at + payloadLength)
}

describe.skipIf(reason !== undefined)("a machine beside one that lies", () => {
  let net: Rig
  let honest: Guest
  let liar: Guest

  beforeAll(async () => {
    net = await rig({ machines: { honest: "tap", liar: "tap" } })
    honest = net.guest("honest")
    liar = net.guest("liar")
  })
  afterAll(() => net[Symbol.asyncDispose]())

  const stationOf = async (guest: Guest): Promise<number> =>
    macOf(/link\/ether (\S+)/.exec(await guest.run("ip", "link", "show", "dev", DEVICE))?.[1] ?? "")
  const reaches = async (guest: Guest, to: string): Promise<void> =>
    expect(await guest.run("ping", "-n", "-c", "1", "-W", "5", to)).toContain(" 0% packet loss")
  const send = (frames: readonly Uint8Array[]): Promise<string> =>
    liar.run("python3", "-c", SENDER, ...frames.map((frame) => Buffer.from(frame).toString("hex")))
  const counted = async (): Promise<Readonly<Record<string, number>>> =>
    (await net.network().status()).counters

  it("keeps its gateway, and its neighbours are who they are", async () => {
    const { plan } = net
    for (const to of [plan.gateway, plan.gateway6, liar.address, liar.address6]) await reaches(honest, to)
    const [victim, from] = [await stationOf(honest), await stationOf(liar)]
    const before = await honest.run("ip", "-6", "route", "show", "default")
    const advertise = (target: string) =>
      say(from, address.linkLocalOf(from), (bytes, at) =>
        ndp.emitAdvertisement(bytes, at, {
          target: addressOf(target),
          linkAddress: from,
          router: true,
          solicited: false,
          override: true,
        }),
      )
    const route = say(from, address.linkLocalOf(from), (bytes, at) =>
      ndp.emitRouterAdvertisement(bytes, at, {
        hopLimit: 64,
        managed: false,
        other: false,
        lifetimeSeconds: 9000,
        reachableMs: 0,
        retransmitMs: 0,
        linkAddress: from,
        mtu: 1280,
        prefixes: [],
        servers: [],
        serversLifetimeSeconds: 0,
      }),
    )
    const lies = [claim(from, victim, plan.gateway), advertise(plan.gateway6), route]
    await send([...lies, ...lies])
    // Its own neighbours know no better either: what the liar says of the honest one to the gateway.
    await send([claim(from, macOf(plan.gatewayMac), honest.address)])
    for (const to of [plan.gateway, plan.gateway6]) await reaches(honest, to)
    const neighbours = await honest.run("ip", "neigh", "show", "dev", DEVICE)
    for (const own of [plan.gateway, plan.gateway6])
      expect(neighbours).toContain(`${own} lladdr ${plan.gatewayMac}`)
    const hops = (text: string) =>
      text.split("\n").filter((line) => line.includes("via") || line.includes("nexthop"))
    expect(hops(await honest.run("ip", "-6", "route", "show", "default")).length).toBe(hops(before).length)
    const after = await counted()
    expect(after).toMatchObject({ "guard-claims-gateway": 4, "guard-router": 2 })
    expect(after["neighbour-not-theirs"]).toBeGreaterThanOrEqual(1)
    await reaches(liar, honest.address)
  })

  it("is not displaced by one who uses its MAC address", async () => {
    const victim = await stationOf(honest)
    await reaches(honest, net.plan.gateway)
    await send([claim(victim, macOf(net.plan.gatewayMac), liar.address)])
    await reaches(honest, net.plan.gateway)
    await reaches(liar, honest.address)
    const entry = (await net.network().links()).find(({ name }) => name === "liar")
    expect(entry?.counters["taken"]).toBeGreaterThanOrEqual(1)
  })
})
