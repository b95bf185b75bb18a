import { PoolMemory } from "@skep/link"
import * as icmp from "@skep/wire/icmp"
import * as icmpv6 from "@skep/wire/icmpv6"
import * as ip from "@skep/wire/ip"
import fc from "fast-check"
import { beforeEach, describe, expect, it } from "vitest"
import { EchoReply } from "../../src/ip/echo.ts"
import { Errors, originalOf, type ProblemKind } from "../../src/ip/errors.ts"
import { OUT_SIZE } from "../../src/ip/packet-writer.ts"
import { parseQuoted, quoted } from "../../src/ip/quoted.ts"
import {
  frameOf,
  GATEWAY,
  GATEWAY_MAC,
  GUEST_MAC,
  icmpMessage,
  type PacketFields,
  packetBytes,
  packetOf,
  said,
  wholeOf,
} from "./guest.ts"

let memory: PoolMemory
let errors: Errors
const out = new Uint8Array(OUT_SIZE)
beforeEach(() => {
  memory = new PoolMemory({ heapBytes: 4 * 1024 * 1024 })
  errors = new Errors(GATEWAY)
})

const UDP4 = {
  from: "192.168.64.2",
  to: "8.8.8.8",
  protocol: 17,
  payload: Uint8Array.from([0x9c, 0x40, 0, 53, 0, 12, 0, 0, 1, 2, 3, 4]),
}
const UDP6 = { ...UDP4, from: "fd00:64::2", to: "2001:db8::8" }

interface Case {
  readonly kind: ProblemKind
  readonly value?: number
  readonly machine?: number
  readonly nowMs?: number
}

/** The frame that tells of a problem with this packet, taken apart; undefined where there is none. */
function tell(fields: PacketFields, { machine = 1, nowMs = 0, ...problem }: Case) {
  const bytes = packetBytes(fields)
  const frame = frameOf(memory, bytes)
  const size = errors.write(problem, originalOf(frame, packetOf(frame), GUEST_MAC), machine, nowMs, out)
  if (size === 0) return undefined
  const frameOut = said(out.slice(0, size))
  const message = icmp.parse(
    frameOut.payload,
    0,
    frameOut.payload.length,
    frameOut.payload.length,
    icmp.view(),
  )
  if (typeof message === "string") throw new Error(message)
  return { ...frameOut, message, quote: frameOut.payload.slice(8), sent: bytes.slice(14) }
}

describe("errors of IPv4", () => {
  it.each([
    ["no-route", 3, 0, "192.168.64.1"],
    ["host-unreachable", 3, 1, "192.168.64.1"],
    ["protocol-unreachable", 3, 2, "8.8.8.8"],
    ["port-unreachable", 3, 3, "8.8.8.8"],
    ["prohibited", 3, 13, "192.168.64.1"],
    ["hops-exceeded", 11, 0, "192.168.64.1"],
    ["reassembly-exceeded", 11, 1, "192.168.64.1"],
  ] as const)("%s is type %i, code %i, from %s", (kind, type, code, from) => {
    const told = tell(UDP4, { kind })
    expect(told).toMatchObject({ from, to: "192.168.64.2", toMac: GUEST_MAC, fromMac: GATEWAY_MAC })
    expect(told?.message).toMatchObject({ type, code, rest: 0 })
    expect([...(told?.quote ?? [])]).toEqual([...(told?.sent ?? [0])])
  })

  it("too-big is fragmentation needed, with the MTU (RFC 1191)", () => {
    expect(tell(UDP4, { kind: "too-big", value: 1400 })?.message).toMatchObject({
      type: 3,
      code: 4,
      rest: 1400,
    })
    expect(tell(UDP4, { kind: "too-big", value: 20 })?.message).toMatchObject({ rest: 68 })
  })
})

describe("errors of IPv6", () => {
  it.each([
    ["no-route", 1, 0, 0, "fd00:64::1"],
    ["host-unreachable", 1, 3, 0, "fd00:64::1"],
    ["protocol-unreachable", 4, 1, 6, "2001:db8::8"],
    ["port-unreachable", 1, 4, 0, "2001:db8::8"],
    ["prohibited", 1, 1, 0, "fd00:64::1"],
    ["hops-exceeded", 3, 0, 0, "fd00:64::1"],
    ["reassembly-exceeded", 3, 1, 0, "fd00:64::1"],
  ] as const)("%s is type %i, code %i, %i, from %s", (kind, type, code, rest, from) => {
    const told = tell(UDP6, { kind })
    expect(told).toMatchObject({ from, to: "fd00:64::2", toMac: GUEST_MAC, fromMac: GATEWAY_MAC })
    expect(told?.message).toMatchObject({ type, code, rest })
    expect([...(told?.quote ?? [])]).toEqual([...(told?.sent ?? [0])])
  })

  it("too-big is packet too big, with an MTU that every link has", () => {
    expect(tell(UDP6, { kind: "too-big", value: 1400 })?.message).toMatchObject({
      type: 2,
      code: 0,
      rest: 1400,
    })
    expect(tell(UDP6, { kind: "too-big", value: 500 })?.message).toMatchObject({ rest: 1280 })
  })

  it("point at what is not known", () => {
    const write = (options: number[], kind: ProblemKind) => {
      const payload = Uint8Array.from([...options, ...UDP6.payload])
      const frame = frameOf(
        memory,
        packetBytes({ ...UDP6, protocol: kind === "unknown-option" ? 60 : 43, payload }),
      )
      const at = frame.at + 14
      const packet = ip.ipView()
      expect(ip.parse(frame.bytes, at, frame.at + frame.head, frame.at + frame.length, packet)).toBe(kind)
      const original = { bytes: frame.bytes, at, head: frame.at + frame.head, mac: GUEST_MAC }
      const size = errors.write({ kind }, original, 1, 0, out)
      return size === 0 ? undefined : said(out.slice(0, size)).payload
    }
    const option = write([17, 0, 0, 0x9e, 2, 0, 0, 0], "unknown-option")
    expect([...(option?.subarray(0, 2) ?? []), ...(option?.subarray(4, 8) ?? [])]).toEqual([
      4, 2, 0, 0, 0, 43,
    ])
    expect(write([17, 0, 0, 0x5e, 2, 0, 0, 0], "unknown-option")).toBeUndefined()
    const routing = write([17, 0, 77, 1, 0, 0, 0, 0], "unknown-routing")
    expect([...(routing?.subarray(0, 2) ?? []), ...(routing?.subarray(4, 8) ?? [])]).toEqual([
      4, 0, 0, 0, 0, 42,
    ])
  })
})

describe("errors are never", () => {
  const error4 = icmpMessage(3, 1, 0, UDP4.payload)
  const error6 = icmpMessage(1, 0, 0, UDP4.payload)

  it.each<[string, PacketFields]>([
    ["about errors", { ...UDP4, protocol: 1, payload: error4 }],
    ["about errors of IPv6", { ...UDP6, protocol: 58, payload: error6 }],
    ["about ICMP of which the type is not there", { ...UDP4, protocol: 1, payload: new Uint8Array(0) }],
    ["about later fragments", { ...UDP4, fragmentOffset: 8 }],
    ["about multicast", { ...UDP4, to: "224.0.0.251" }],
    ["about multicast of IPv6", { ...UDP6, to: "ff02::fb" }],
    ["about broadcasts", { ...UDP4, to: "255.255.255.255" }],
    ["about broadcasts of the network", { ...UDP4, to: "192.168.64.255" }],
    ["to many", { ...UDP4, from: "224.0.0.1" }],
    ["to the network", { ...UDP4, from: "192.168.64.255" }],
    ["to nobody", { ...UDP4, from: "0.0.0.0" }],
    ["to nobody of IPv6", { ...UDP6, from: "::" }],
    ["to loopback", { ...UDP4, from: "127.0.0.1" }],
  ])("%s", (_, fields) => {
    expect(tell(fields, { kind: "host-unreachable" })).toBeUndefined()
    expect(errors.counts.snapshot()).toEqual({ sent: 0, limited: 0, unfit: 1 })
  })

  it("but about echo requests and first fragments they are", () => {
    const echo = icmpMessage(8, 0, 1, new Uint8Array(8))
    expect(tell({ ...UDP4, protocol: 1, payload: echo }, { kind: "host-unreachable" })).toBeDefined()
    const first = { ...UDP4, payload: new Uint8Array(16), moreFragments: true }
    expect(tell(first, { kind: "reassembly-exceeded" })).toBeDefined()
  })
})

describe("errors", () => {
  it("quote what is at hand, and not padding", () => {
    const told = tell({ ...UDP4, payload: new Uint8Array(1400).fill(7) }, { kind: "no-route" })
    expect(told?.quote).toHaveLength(256 - 14)
    const long = {
      bytes: packetBytes({ ...UDP4, payload: new Uint8Array(1400) }),
      at: 14,
      head: 1434,
      mac: GUEST_MAC,
    }
    const size = errors.write({ kind: "no-route" }, long, 1, 0, out)
    expect(size).toBe(14 + 20 + 8 + 512)
    const padded = packetBytes(UDP4)
    const original = {
      bytes: Uint8Array.from([...padded, ...new Uint8Array(99)]),
      at: 14,
      head: 120,
      mac: GUEST_MAC,
    }
    expect(errors.write({ kind: "no-route" }, original, 1, 0, out)).toBe(14 + 20 + 8 + padded.length - 14)
  })

  it("are few for each machine", () => {
    const tries = (count: number, machine: number, nowMs: number) =>
      Array.from({ length: count }, () => tell(UDP4, { kind: "no-route", machine, nowMs })).filter(
        (each) => each !== undefined,
      ).length
    expect(tries(150, 1, 0)).toBe(100)
    expect(tries(5, 2, 0)).toBe(5)
    expect(tries(5, 1, 20)).toBe(2)
    expect(tries(300, 1, 100_000)).toBe(100)
    errors.forget(1)
    expect(tries(150, 1, 100_000)).toBe(100)
    expect(errors.counts.get("limited")).toBe(50 + 3 + 200 + 50)
  })

  it("survive anything, and write only what is sound", () => {
    const kinds = fc.constantFrom<ProblemKind>(
      "no-route",
      "port-unreachable",
      "protocol-unreachable",
      "too-big",
      "unknown-option",
      "unknown-routing",
    )
    const change = fc.tuple(fc.nat(70), fc.nat(255))
    const sound = fc.constantFrom(UDP4, UDP6, {
      ...UDP6,
      protocol: 60,
      payload: Uint8Array.from([17, 0, 0, 0x9e, 2, 0, 0, 0, 1, 2]),
    })
    fc.assert(
      fc.property(
        sound,
        fc.array(change, { maxLength: 5 }),
        kinds,
        fc.nat(90),
        (fields, changes, kind, head) => {
          const bytes = packetBytes(fields)
          for (const [at, value] of changes) if (at < bytes.length) bytes[at] = value
          errors = new Errors(GATEWAY)
          const original = { bytes, at: 14, head: Math.min(bytes.length, head), mac: GUEST_MAC }
          const size = errors.write({ kind, value: 1400 }, original, 1, 0, out)
          if (size > 0) expect(said(out.slice(0, size)).payload.length).toBeLessThanOrEqual(8 + 512)
        },
      ),
      { numRuns: 2000 },
    )
  })
})

describe("parseQuoted()", () => {
  /** What we read of an error that a machine sends about a packet of ours. */
  function read(version: 4 | 6, type: number, code: number, rest: number, quote: Uint8Array) {
    const bytes = icmpMessage(type, code, rest, quote)
    const message = icmp.parse(bytes, 0, bytes.length, bytes.length, icmp.view())
    if (typeof message === "string") throw new Error(message)
    return parseQuoted(bytes, message, version, bytes.length, quoted())
  }
  const quote4 = packetBytes({ ...UDP4, payload: new Uint8Array(1000).fill(3) }).slice(14, 14 + 28)
  const quote6 = packetBytes({ ...UDP6, payload: new Uint8Array(1000).fill(3) }).slice(14, 14 + 48)

  it.each([
    [4, [3, 3, 0], "port-unreachable", 0],
    [4, [3, 1, 0], "unreachable", 0],
    [4, [3, 13, 0], "unreachable", 0],
    [4, [3, 4, 1400], "too-big", 1400],
    [4, [3, 4, 0xffff_0000], "too-big", 0],
    [4, [11, 0, 0], "other", 0],
    [4, [5, 1, 0], "other", 0],
    [6, [1, 4, 0], "port-unreachable", 0],
    [6, [1, 3, 0], "unreachable", 0],
    [6, [2, 0, 1300], "too-big", 1300],
    [6, [3, 0, 0], "other", 0],
    [6, [4, 1, 6], "other", 0],
  ] as const)("of version %i, type, code, rest %j: %s", (version, [type, code, rest], told, mtu) => {
    const quote = version === 4 ? quote4 : quote6
    const found = read(version, type, code, rest, quote)
    expect(found).toMatchObject({
      told,
      mtu,
      sourcePort: 0x0303,
      destinationPort: 0x0303,
      sequence: 0x0303_0303,
    })
    expect(typeof found === "string" ? found : found.packet).toMatchObject({ version, protocol: 17 })
  })

  it("says why not", () => {
    expect(read(4, 8, 0, 0, quote4)).toBe("not-an-error")
    expect(read(6, 129, 0, 0, quote6)).toBe("not-an-error")
    expect(read(4, 3, 1, 0, quote4.subarray(0, 27))).toBe("quote-truncated")
    expect(read(4, 3, 1, 0, quote6)).toBe("quote-truncated")
    expect(read(4, 3, 1, 0, Uint8Array.from([0x44, ...quote4.subarray(1)]))).toBe("quote-bad-header-length")
  })

  it("survives anything", () => {
    fc.assert(
      fc.property(
        fc.nat(255),
        fc.nat(255),
        fc.array(fc.tuple(fc.nat(27), fc.nat(255))),
        fc.nat(28),
        (type, code, changes, length) => {
          const quote = Uint8Array.from(quote4)
          for (const [at, value] of changes) quote[at] = value
          for (const version of [4, 6] as const) {
            const found = read(version, type, code, 7, quote.subarray(0, length))
            if (typeof found !== "string") expect(found.packet.version).toBe(version)
          }
        },
      ),
    )
  })

  it("reads what we say ourselves", () => {
    for (const [version, fields] of [
      [4, UDP4],
      [6, UDP6],
    ] as const) {
      const told = tell(fields, { kind: "too-big", value: 1400 })
      if (told === undefined) throw new Error("nothing")
      const found = parseQuoted(told.payload, told.message, version, told.payload.length, quoted())
      expect(found).toMatchObject({ told: "too-big", mtu: 1400, sourcePort: 40_000, destinationPort: 53 })
    }
  })
})

describe("EchoReply", () => {
  const reply = new EchoReply()
  const payload = Uint8Array.from({ length: 1000 }, (_, index) => index)

  function ask(fields: Partial<PacketFields>, message: Uint8Array, cuts: readonly number[] = []) {
    const isIpv4 = (fields.to ?? ".").includes(".")
    const ends = isIpv4
      ? { from: "192.168.64.2", to: "192.168.64.1" }
      : { from: "fd00:64::2", to: "fd00:64::1" }
    const bytes = packetBytes({ ...ends, protocol: isIpv4 ? 1 : 58, payload: message, ...fields })
    const frame = frameOf(memory, bytes, cuts)
    const refusal = reply.answer(GATEWAY, frame, packetOf(frame))
    if (refusal !== undefined) return refusal
    return said(wholeOf(memory, reply.headers, 0, reply.length, reply.payload))
  }

  it.each([
    ["192.168.64.1", "192.168.64.2", icmp.ECHO, icmp.ECHO_REPLY],
    ["192.168.64.254", "192.168.64.2", icmp.ECHO, icmp.ECHO_REPLY],
    ["fd00:64::1", "fd00:64::2", icmpv6.ECHO, icmpv6.ECHO_REPLY],
    ["fe80::5894:efff:fee4:cdd", "fe80::2", icmpv6.ECHO, icmpv6.ECHO_REPLY],
  ])("answers for %s to %s with all of the payload", (to, from, type, expected) => {
    for (const length of [0, 1, 8, 300, 1000]) {
      const answer = ask({ to, from }, icmpMessage(type, 0, 0x77_0003, payload.slice(0, length)), [60, 401])
      if (typeof answer === "string") throw new Error(answer)
      expect(answer).toMatchObject({ from: to, to: from, toMac: GUEST_MAC, fromMac: GATEWAY_MAC })
      expect(answer.packet.hopLimit).toBe(64)
      expect([answer.payload[0], answer.payload[1], ...answer.payload.subarray(4, 8)]).toEqual([
        expected,
        0,
        0,
        0x77,
        0,
        3,
      ])
      expect([...answer.payload.subarray(8)]).toEqual([...payload.subarray(0, length)])
    }
  })

  it("counts its packets", () => {
    const ids = [1, 2].map(() => {
      const answer = ask({}, icmpMessage(8, 0, 1, payload))
      return typeof answer === "string" ? answer : answer.packet.identification
    })
    expect(ids[1]).toBe(Number(ids[0]) + 1)
  })

  it("answers for nobody else, and nothing else", () => {
    const echo = icmpMessage(icmp.ECHO, 0, 1, payload)
    expect(ask({ to: "8.8.8.8" }, echo)).toBe("not-for-us")
    expect(ask({ to: "192.168.64.255" }, echo)).toBe("not-for-us")
    expect(ask({ to: "192.168.64.3" }, echo)).toBe("not-for-us")
    expect(ask({ to: "ff02::1" }, icmpMessage(128, 0, 1, payload))).toBe("not-for-us")
    expect(ask({ protocol: 17 }, echo)).toBe("not-for-us")
    expect(ask({}, icmpMessage(icmp.ECHO_REPLY, 0, 1, payload))).toBe("not-for-us")
    expect(ask({}, icmpMessage(icmp.ECHO, 1, 1, payload))).toBe("not-for-us")
    expect(ask({}, icmpMessage(128, 0, 1, payload))).toBe("not-for-us")
  })

  it("says truncated, and unfinished", () => {
    expect(ask({}, new Uint8Array(7))).toBe("truncated")
    const frame = frameOf(
      memory,
      packetBytes({
        from: "192.168.64.2",
        to: "192.168.64.1",
        protocol: 1,
        payload: icmpMessage(8, 0, 1, payload),
      }),
    )
    const packet = packetOf(frame)
    frame.offload.checksumStart = 34
    expect(reply.answer(GATEWAY, frame, packet)).toBe("unfinished")
    frame.offload.checksumStart = 0
    frame.parts.clear()
    expect(reply.answer(GATEWAY, frame, packet)).toBe("truncated")
  })

  it("does not repair what was damaged on the way", () => {
    const damaged = icmpMessage(icmp.ECHO, 0, 1, payload)
    damaged[500] = (damaged[500] ?? 0) ^ 4
    expect(() => ask({}, damaged)).toThrow("the ICMP checksum is wrong")
  })
})
