import { PoolMemory } from "@skep/link"
import { format } from "@skep/wire/address"
import * as arp from "@skep/wire/arp"
import * as ethernet from "@skep/wire/ethernet"
import * as ip from "@skep/wire/ip"
import { BROADCAST } from "@skep/wire/mac"
import * as ndp from "@skep/wire/ndp"
import fc from "fast-check"
import { beforeEach, describe, expect, it } from "vitest"
import { gatewayOf } from "../../src/ip/gateway.ts"
import { isNdp } from "../../src/ip/ndp-responder.ts"
import { Neighbours, type NeighboursOptions } from "../../src/ip/neighbours.ts"
import { OUT_SIZE } from "../../src/ip/packet-writer.ts"
import {
  addr,
  arpBytes,
  frameOf,
  GATEWAY,
  GATEWAY_MAC,
  GUEST_MAC,
  net,
  OTHER_MAC,
  packetBytes,
  packetOf,
  said,
} from "./guest.ts"

const LINK_LOCAL = "fe80::5894:efff:fee4:cdd"
const options: NeighboursOptions = { mtu: 1500, nameServers: [addr("fd00:64::1")] }

let memory: PoolMemory
let out: Uint8Array
let neighbours: Neighbours
beforeEach(() => {
  memory = new PoolMemory({ heapBytes: 4 * 1024 * 1024 })
  out = new Uint8Array(OUT_SIZE)
  neighbours = new Neighbours(GATEWAY, options)
})

/** What is said to this, taken apart; undefined where nothing is said. */
function hearArp(bytes: Uint8Array, { machine = 1, nowMs = 0 } = {}) {
  return readArp(neighbours.onArp(frameOf(memory, bytes), machine, nowMs, out))
}

function readArp(size: number) {
  if (size === 0) return undefined
  const frame = ethernet.parse(out, 0, size, size, ethernet.view())
  const packet = arp.parse(out, 14, size, size, arp.view())
  if (typeof frame === "string") throw new Error(frame)
  if (typeof packet === "string") throw new Error(packet)
  return { toMac: frame.destination, fromMac: frame.source, text: arp.pretty(out, packet), packet }
}

function hearNdp(bytes: Uint8Array, { machine = 1, nowMs = 0 } = {}) {
  const frame = frameOf(memory, bytes)
  const size = neighbours.onNdp(frame, packetOf(frame), machine, nowMs, out)
  return size === 0 ? undefined : readNdp(size)
}

function readNdp(size: number) {
  const frame = said(out.slice(0, size))
  expect(frame.packet.hopLimit).toBe(255)
  const message = ndp.parse(frame.payload, 0, frame.payload.length, frame.payload.length, ndp.view())
  const router = ndp.parseRouterAdvertisement(frame.payload, 0, frame.payload.length)
  const text = typeof message === "string" ? message : ndp.pretty(frame.payload, message)
  return { ...frame, text, router }
}

interface NdpFields {
  readonly from: string
  readonly to: string
  readonly emit: (bytes: Uint8Array) => number
  readonly hopLimit?: number
  readonly mac?: number
}

function ndpBytes({ from, to, emit, hopLimit = 255, mac = GUEST_MAC }: NdpFields): Uint8Array {
  const payload = new Uint8Array(200)
  const size = emit(payload)
  return packetBytes({
    from,
    to,
    protocol: ip.PROTOCOL_ICMPV6,
    payload: payload.slice(0, size),
    hopLimit,
    mac,
  })
}

const solicit =
  (target: string, linkAddress: number = GUEST_MAC) =>
  (bytes: Uint8Array) =>
    ndp.emitSolicitation(bytes, 0, addr(target), linkAddress)

const advertise =
  (target: string, linkAddress: number = GUEST_MAC) =>
  (bytes: Uint8Array) =>
    ndp.emitAdvertisement(bytes, 0, {
      target: addr(target),
      linkAddress,
      router: false,
      solicited: false,
      override: true,
    })

const known = (text: string) => neighbours.lookup(addr(text), 0, addr(text).length)

describe("ARP", () => {
  it("is answered for every address of ours, and who asks is learnt", () => {
    const answer = hearArp(arpBytes(arp.REQUEST, "192.168.64.2", "192.168.64.254"))
    expect(answer).toMatchObject({
      toMac: GUEST_MAC,
      fromMac: GATEWAY_MAC,
      text: "arp 192.168.64.254 is-at 5a:94:ef:e4:0c:dd",
    })
    expect(known("192.168.64.2")).toBe(GUEST_MAC)
    expect(known("192.168.64.3")).toBe(-1)
  })

  it("is not answered for others, and replies are not answered", () => {
    expect(hearArp(arpBytes(arp.REQUEST, "192.168.64.2", "192.168.64.3"))).toBeUndefined()
    expect(hearArp(arpBytes(arp.REPLY, "192.168.64.2", "192.168.64.1"))).toBeUndefined()
    expect(known("192.168.64.2")).toBe(GUEST_MAC)
  })

  it("that probes for our address is told that it is taken (RFC 5227, section 2.1.1)", () => {
    expect(hearArp(arpBytes(arp.REQUEST, "0.0.0.0", "192.168.64.1"))?.text).toBe(
      "arp 192.168.64.1 is-at 5a:94:ef:e4:0c:dd",
    )
    expect(hearArp(arpBytes(arp.REQUEST, "0.0.0.0", "192.168.64.7"))).toBeUndefined()
    expect(neighbours.counts.get("learnt")).toBe(0)
  })

  it("that claims our address is not believed, and is contradicted once in ten seconds", () => {
    const claim = arpBytes(arp.REPLY, "192.168.64.1", "192.168.64.1")
    const contradiction = hearArp(claim, { nowMs: 5 })
    expect(contradiction).toMatchObject({
      toMac: BROADCAST,
      text: "arp who-has 192.168.64.1 tell 192.168.64.1",
    })
    expect(contradiction?.packet.senderMac).toBe(GATEWAY_MAC)
    expect(hearArp(claim, { nowMs: 9000 })).toBeUndefined()
    expect(hearArp(claim, { nowMs: 10_005 })).toBeDefined()
    expect(known("192.168.64.1")).toBe(-1)
    expect(neighbours.counts.get("arp-claims-ours")).toBe(3)
  })

  it.each([
    ["10.0.0.1", "arp-bad-sender"],
    ["192.168.64.255", "arp-bad-sender"],
    ["224.0.0.1", "arp-bad-sender"],
  ] as const)("from %s is dropped: %s", (sender, reason) => {
    expect(hearArp(arpBytes(arp.REQUEST, sender, "192.168.64.1"))).toBeUndefined()
    expect(neighbours.counts.get(reason)).toBe(1)
    expect(known(sender)).toBe(-1)
  })

  it("in the name of another station is dropped", () => {
    expect(
      hearArp(arpBytes(arp.REQUEST, "192.168.64.2", "192.168.64.1", OTHER_MAC, GUEST_MAC)),
    ).toBeUndefined()
    expect(hearArp(arpBytes(arp.REQUEST, "192.168.64.2", "192.168.64.1", BROADCAST))).toBeUndefined()
    expect(neighbours.counts.get("arp-other-station")).toBe(2)
    expect(known("192.168.64.2")).toBe(-1)
  })

  it("that is malformed is dropped and counted", () => {
    expect(hearArp(arpBytes(arp.REQUEST, "192.168.64.2", "192.168.64.1").subarray(0, 30))).toBeUndefined()
    const wrong = arpBytes(9, "192.168.64.2", "192.168.64.1")
    expect(hearArp(wrong)).toBeUndefined()
    expect(neighbours.counts.snapshot()).toMatchObject({ "arp-truncated": 1, "arp-bad-operation": 1 })
  })
})

describe("Neighbor Discovery", () => {
  it("answers for every address of ours, and learns who asks", () => {
    for (const target of ["fd00:64::1", LINK_LOCAL]) {
      const answer = hearNdp(ndpBytes({ from: "fd00:64::2", to: "ff02::1:ff00:1", emit: solicit(target) }))
      expect(answer).toMatchObject({ from: target, to: "fd00:64::2", toMac: GUEST_MAC, fromMac: GATEWAY_MAC })
      expect(answer?.text).toBe(`ndp advertise ${target}, 5a:94:ef:e4:0c:dd, router solicited override`)
    }
    expect(known("fd00:64::2")).toBe(GUEST_MAC)
    expect(
      hearNdp(ndpBytes({ from: "fe80::2", to: "ff02::1:ff00:3", emit: solicit("fd00:64::3") })),
    ).toBeUndefined()
    expect(known("fe80::2")).toBe(GUEST_MAC)
  })

  it("tells who looks for duplicates that ours are taken (RFC 4862, section 5.4), and learns nothing of it", () => {
    const answer = hearNdp(ndpBytes({ from: "::", to: "ff02::1:ff00:1", emit: solicit("fd00:64::1", -1) }))
    expect(answer).toMatchObject({ to: "ff02::1", toMac: GUEST_MAC })
    expect(answer?.text).toBe("ndp advertise fd00:64::1, 5a:94:ef:e4:0c:dd, router override")
    expect(
      hearNdp(ndpBytes({ from: "::", to: "ff02::1:ff00:7", emit: solicit("fd00:64::7", -1) })),
    ).toBeUndefined()
    expect(neighbours.counts.get("learnt")).toBe(0)
  })

  it("learns from advertisements", () => {
    expect(
      hearNdp(ndpBytes({ from: "fd00:64::2", to: "ff02::1", emit: advertise("fd00:64::2") })),
    ).toBeUndefined()
    expect(known("fd00:64::2")).toBe(GUEST_MAC)
  })

  it("does not believe who claims our address, and contradicts once in ten seconds", () => {
    const claims = [
      ndpBytes({ from: "fe80::2", to: "ff02::1", emit: advertise("fd00:64::1") }),
      ndpBytes({ from: "fd00:64::1", to: "ff02::1:ff00:9", emit: solicit("fd00:64::9") }),
    ]
    expect(claims.map((claim) => hearNdp(claim, { nowMs: 1 }))).toMatchObject([
      { to: "ff02::1", from: "fd00:64::1", fromMac: GATEWAY_MAC },
      undefined,
    ])
    expect(neighbours.counts.get("ndp-claims-ours")).toBe(2)
    expect(known("fd00:64::1")).toBe(-1)
  })

  it.each([
    ["ndp-hop-limit", { hopLimit: 254 }],
    ["ndp-bad-sender", { from: "fd00:65::2" }],
    ["ndp-bad-sender", { from: "::" }],
    ["ndp-bad-sender", { from: "::", to: "fd00:64::1", emit: solicit("fd00:64::1", -1) }],
    ["ndp-bad-sender", { emit: advertise("fd00:65::2") }],
    ["ndp-other-station", { emit: solicit("fd00:64::1", OTHER_MAC) }],
    ["ndp-other-station", { mac: BROADCAST, emit: solicit("fd00:64::1", -1) }],
    ["ndp-bad-target", { emit: solicit("ff02::1") }],
    ["ndp-rogue-router", { emit: () => 134 }],
  ] as const)("drops what is wrong: %s %o", (reason, change) => {
    const routerEmit = (bytes: Uint8Array) => {
      bytes[0] = 134
      return 16
    }
    const fields = { from: "fd00:64::2", to: "ff02::1:ff00:1", emit: solicit("fd00:64::1"), ...change }
    const emit = reason === "ndp-rogue-router" ? routerEmit : fields.emit
    expect(hearNdp(ndpBytes({ ...fields, emit }))).toBeUndefined()
    expect(neighbours.counts.get(reason)).toBe(1)
    expect(neighbours.counts.get("learnt")).toBe(0)
  })

  it("drops what was damaged, and what ends before it is over", () => {
    const damaged = ndpBytes({ from: "fd00:64::2", to: "ff02::1:ff00:1", emit: solicit("fd00:64::1") })
    damaged[70] = 0x77
    expect(hearNdp(damaged)).toBeUndefined()
    expect(neighbours.counts.get("ndp-checksum")).toBe(1)
    const long = ndpBytes({ from: "fd00:64::2", to: "ff02::1", emit: () => 200 })
    const longer = packetBytes({
      from: "fd00:64::2",
      to: "ff02::1",
      protocol: 58,
      hopLimit: 255,
      payload: new Uint8Array(400),
    })
    for (const bytes of [long, longer]) expect(hearNdp(bytes)).toBeUndefined()
    expect(neighbours.counts.get("ndp-truncated")).toBe(1)
  })

  it("is for five types", () => {
    expect([132, 133, 134, 135, 136, 137, 138].map(isNdp)).toEqual([
      false,
      true,
      true,
      true,
      true,
      true,
      false,
    ])
  })
})

describe("as router", () => {
  const ask = (from: string, linkAddress: number = GUEST_MAC) =>
    ndpBytes({ from, to: "ff02::2", emit: (bytes) => ndp.emitRouterSolicitation(bytes, 0, linkAddress) })

  it("tells who asks of the network: prefix, MTU, name servers", () => {
    const answer = hearNdp(ask("fe80::2"))
    expect(answer).toMatchObject({ from: LINK_LOCAL, to: "fe80::2", toMac: GUEST_MAC, fromMac: GATEWAY_MAC })
    expect(answer?.router).toEqual({
      hopLimit: 64,
      managed: false,
      other: false,
      lifetimeSeconds: 1800,
      reachableMs: 0,
      retransmitMs: 0,
      linkAddress: GATEWAY_MAC,
      mtu: 1500,
      prefixes: [
        {
          prefix: net("fd00:64::/64"),
          onLink: true,
          autonomous: true,
          validSeconds: 86_400,
          preferredSeconds: 14_400,
        },
      ],
      servers: [addr("fd00:64::1")],
      serversLifetimeSeconds: 1800,
    })
  })

  it("tells who has no address by the group, and only it has to hear that (RFC 6085)", () => {
    expect(hearNdp(ask("::", -1))).toMatchObject({ to: "ff02::1", toMac: GUEST_MAC })
  })

  it("tells all: three times at first, then every five minutes", () => {
    const times: number[] = []
    for (let step = 0; step < 6; step++) {
      const nowMs = neighbours.pollAt()
      times.push(nowMs)
      expect(neighbours.dispatch(nowMs - 1, out)).toBe(0)
      const heard = readNdp(neighbours.dispatch(nowMs, out))
      expect(heard).toMatchObject({ to: "ff02::1", toMac: 0x3333_0000_0001, from: LINK_LOCAL })
    }
    expect(times).toEqual([0, 16_000, 32_000, 332_000, 632_000, 932_000])
  })

  it("says nothing without IPv6", () => {
    const only4 = gatewayOf({ mac: 1, ipv4: { prefix: net("10.0.0.0/8"), addresses: [addr("10.0.0.1")] } })
    neighbours = new Neighbours(only4, options)
    expect(neighbours.pollAt()).toBe(Number.POSITIVE_INFINITY)
    expect(neighbours.dispatch(1e9, out)).toBe(0)
    expect(hearNdp(ask("fe80::2"))).toBeUndefined()
  })

  it("tells of no more name servers than fit", () => {
    const nameServers = Array.from({ length: 300 }, () => addr("fd00:64::1"))
    neighbours = new Neighbours(GATEWAY, { mtu: 1500, nameServers })
    const { router } = readNdp(neighbours.dispatch(0, out))
    expect(typeof router === "string" ? router : router.servers).toHaveLength(8)
  })
})

describe("ask()", () => {
  it("asks for IPv4 by broadcast, once a second, three times, and again after a while", () => {
    const target = addr("192.168.64.9")
    const asked = [0, 500, 1000, 2000, 3000, 9000, 12_000, 13_000].map(
      (nowMs) => readArp(neighbours.ask(target, nowMs, out))?.text,
    )
    const question = "arp who-has 192.168.64.9 tell 192.168.64.1"
    expect(asked).toEqual([question, undefined, question, question, undefined, undefined, question, question])
  })

  it("asks for IPv6 by the group of whom it asks for", () => {
    const question = readNdp(neighbours.ask(addr("fd00:64::abcd:9"), 0, out))
    expect(question).toMatchObject({ from: "fd00:64::1", to: "ff02::1:ffcd:9", toMac: 0x3333_ffcd_0009 })
    expect(question.text).toBe("ndp solicit fd00:64::abcd:9, 5a:94:ef:e4:0c:dd")
  })

  it("does not ask for what no machine can have", () => {
    for (const text of ["8.8.8.8", "192.168.64.1", "192.168.64.255", "224.0.0.1", "2001:db8::1", "ff02::1"]) {
      expect(neighbours.ask(addr(text), 0, out)).toBe(0)
    }
  })

  it("tells when the answer is there, and only then", () => {
    const answers: string[] = []
    const onAnswer = (bytes: Uint8Array, at: number, length: number) => {
      answers.push(format(bytes.slice(at, at + length)))
    }
    neighbours = new Neighbours(GATEWAY, { ...options, onAnswer })
    neighbours.ask(addr("192.168.64.9"), 0, out)
    neighbours.ask(addr("fd00:64::9"), 0, out)
    hearArp(arpBytes(arp.REQUEST, "192.168.64.8", "192.168.64.1"))
    expect(answers).toEqual([])
    hearArp(arpBytes(arp.REPLY, "192.168.64.9", "192.168.64.1"))
    hearNdp(ndpBytes({ from: "fd00:64::9", to: "fd00:64::1", emit: advertise("fd00:64::9") }))
    hearArp(arpBytes(arp.REPLY, "192.168.64.9", "192.168.64.1"))
    expect(answers).toEqual(["192.168.64.9", "fd00:64::9"])
  })

  it("knows when nobody answered", () => {
    const target = addr("192.168.64.9")
    for (const nowMs of [0, 1000]) neighbours.ask(target, nowMs, out)
    expect(neighbours.isUnanswered(target, 5000)).toBe(false)
    neighbours.ask(target, 2000, out)
    expect([2999, 3000].map((nowMs) => neighbours.isUnanswered(target, nowMs))).toEqual([false, true])
    hearArp(arpBytes(arp.REPLY, "192.168.64.9", "192.168.64.1"))
    expect(neighbours.isUnanswered(target, 3000)).toBe(false)
  })

  it("remembers no more questions than a bound", () => {
    const target = (index: number) =>
      Uint8Array.from([...net("fd00:64::/64").address.subarray(0, 12), 1, 0, index >> 8, index])
    for (let index = 0; index < 3000; index++) neighbours.ask(target(index), 0, out)
    // The first was forgotten, so it is asked for again.
    expect(neighbours.ask(target(0), 1, out)).toBeGreaterThan(0)
    expect(neighbours.ask(target(2999), 1, out)).toBe(0)
  })
})

describe("the table", () => {
  const tell = (text: string, mac: number, machine: number) =>
    hearArp(arpBytes(arp.REPLY, text, "192.168.64.1", mac), { machine })

  it("follows an address to another machine", () => {
    tell("192.168.64.2", GUEST_MAC, 1)
    tell("192.168.64.2", OTHER_MAC, 2)
    expect(known("192.168.64.2")).toBe(OTHER_MAC)
    neighbours.forget(1)
    expect(known("192.168.64.2")).toBe(OTHER_MAC)
    neighbours.forget(2)
    expect(known("192.168.64.2")).toBe(-1)
    expect(neighbours.counts.snapshot()).toMatchObject({ learnt: 1, moved: 1 })
  })

  it("gives no machine what it may not have", () => {
    neighbours = new Neighbours(GATEWAY, {
      ...options,
      mayHave: (machine, bytes, at) => bytes[at + 3] === machine,
    })
    tell("192.168.64.2", GUEST_MAC, 2)
    tell("192.168.64.2", OTHER_MAC, 3)
    // The same station behind another link is another one.
    tell("192.168.64.2", GUEST_MAC, 3)
    expect(known("192.168.64.2")).toBe(GUEST_MAC)
    expect(neighbours.counts.get("not-theirs")).toBe(2)
  })

  it("is bounded for each machine, which crowds out only itself", () => {
    tell("192.168.64.2", OTHER_MAC, 2)
    for (let host = 10; host < 10 + 100; host++) tell(`192.168.64.${host}`, GUEST_MAC, 1)
    const left = Array.from({ length: 100 }, (_, index) => known(`192.168.64.${10 + index}`)).filter(
      (mac) => mac !== -1,
    )
    expect(left).toHaveLength(64)
    expect(known("192.168.64.109")).toBe(GUEST_MAC)
    expect(known("192.168.64.2")).toBe(OTHER_MAC)
  })
})

describe("announce()", () => {
  it("says to all that ours are ours", () => {
    expect(readArp(neighbours.announce(addr("192.168.64.1"), out))).toMatchObject({
      toMac: BROADCAST,
      text: "arp who-has 192.168.64.1 tell 192.168.64.1",
    })
    expect(readNdp(neighbours.announce(addr("fd00:64::1"), out))).toMatchObject({
      to: "ff02::1",
      toMac: 0x3333_0000_0001,
      text: "ndp advertise fd00:64::1, 5a:94:ef:e4:0c:dd, router override",
    })
  })
})

describe("anything", () => {
  it("is survived, answered soundly or not at all, and never takes our addresses away", () => {
    const change = fc.tuple(fc.nat(90), fc.nat(255))
    const sound = fc.constantFrom(
      arpBytes(arp.REQUEST, "192.168.64.2", "192.168.64.1"),
      arpBytes(arp.REPLY, "192.168.64.1", "192.168.64.1"),
      ndpBytes({ from: "fd00:64::2", to: "ff02::1:ff00:1", emit: solicit("fd00:64::1") }),
      ndpBytes({ from: "fd00:64::2", to: "ff02::1", emit: advertise("fd00:64::2") }),
      ndpBytes({ from: "fe80::2", to: "ff02::2", emit: (b) => ndp.emitRouterSolicitation(b, 0, GUEST_MAC) }),
    )
    const packets = fc.array(fc.tuple(sound, fc.array(change, { maxLength: 3 }), fc.nat(99), fc.nat(3)), {
      maxLength: 30,
    })
    fc.assert(
      fc.property(packets, (list) => {
        memory = new PoolMemory({ heapBytes: 4 * 1024 * 1024 })
        neighbours = new Neighbours(GATEWAY, options)
        let nowMs = 0
        for (const [golden, changes, cut, machine] of list) {
          const bytes = golden.slice(0, cut > 80 ? cut : golden.length)
          for (const [at, value] of changes) if (at < bytes.length) bytes[at] = value
          nowMs += 3000
          const frame = frameOf(memory, bytes)
          const read = ip.parse(
            frame.bytes,
            frame.at + 14,
            frame.at + frame.head,
            frame.at + frame.length,
            ip.ipView(),
          )
          const isArp = bytes[12] === 8 && bytes[13] === 6
          if (isArp) neighbours.onArp(frame, machine, nowMs, out)
          else if (typeof read !== "string" && read.version === 6) {
            const size = neighbours.onNdp(frame, read, machine, nowMs, out)
            if (size > 0) said(out.slice(0, size))
          }
          for (const own of GATEWAY.own) expect(neighbours.lookup(own, 0, own.length)).toBe(-1)
        }
      }),
    )
  })
})
