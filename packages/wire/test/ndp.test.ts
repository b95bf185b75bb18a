import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { prefixOf } from "../src/address.ts"
import * as ndp from "../src/ndp.ts"
import { hex, toHex } from "./hex.ts"
import { surviving } from "./hostile.ts"

const GATEWAY = 0x5a94_efe4_0cdd
const GUEST = 0x0200_0000_0001
const FD2 = hex("fd000000000000000000000000000002")

// Made by scapy 2.5, as said beside each; the IPv6 header left out.
/** ICMPv6ND_NS(tgt="fd00::2")/ICMPv6NDOptSrcLLAddr(lladdr="5a:94:ef:e4:0c:dd") */
const ASK = hex("87 00 26c2 00000000 fd000000000000000000000000000002 0101 5a94efe40cdd")
/** ICMPv6ND_NA(tgt="fd00::2", R=0, S=1, O=1)/ICMPv6NDOptDstLLAddr(lladdr="02:00:00:00:00:01") */
const ANSWER = hex("88 00 199b 60000000 fd000000000000000000000000000002 0201 020000000001")
/** ICMPv6ND_RS()/ICMPv6NDOptSrcLLAddr(lladdr="02:00:00:00:00:01") */
const ASK_ROUTERS = hex("85 00 7a2b 00000000 0101 020000000001")
/** ICMPv6ND_RA(prf=0, chlim=64, routerlifetime=1800, M=0, O=1)/SrcLLAddr/MTU(1500)/PrefixInfo("fd00:1::", 64, L=1, A=1, 86400, 14400)/RDNSS(1800, "fd00:1::1") */
const ROUTER = hex(
  `86 00 e9d4 40400708 00000000 00000000 0101 5a94efe40cdd 0501 0000 000005dc
  0304 40 c0 00015180 00003840 00000000 fd000001000000000000000000000000
  1903 0000 00000708 fd000001000000000000000000000001`.replaceAll(/\s/g, ""),
)

const advertised: ndp.RouterAdvertisement = {
  hopLimit: 64,
  managed: false,
  other: true,
  lifetimeSeconds: 1800,
  reachableMs: 0,
  retransmitMs: 0,
  linkAddress: GATEWAY,
  mtu: 1500,
  prefixes: [
    {
      prefix: prefixOf(hex("fd000001000000000000000000000000"), 64),
      onLink: true,
      autonomous: true,
      validSeconds: 86_400,
      preferredSeconds: 14_400,
    },
  ],
  servers: [hex("fd000001000000000000000000000001")],
  serversLifetimeSeconds: 1800,
}

function read(bytes: Uint8Array, head: number = bytes.length) {
  return ndp.parse(bytes, 0, head, bytes.length, ndp.view())
}

function changed(bytes: Uint8Array, at: number, value: number): Uint8Array {
  const copy = Uint8Array.from(bytes)
  copy[at] = value
  return copy
}

/** What `emit` wrote, without the checksum of the golden bytes. */
function written(golden: Uint8Array, emit: (bytes: Uint8Array) => number): [string, string] {
  const bytes = new Uint8Array(300).fill(0xff)
  const size = emit(bytes)
  const expected = Uint8Array.from(golden)
  expected.fill(0, 2, 4)
  return [toHex(bytes.subarray(0, size)), toHex(expected)]
}

describe("parse()", () => {
  it("reads solicitations and an advertisement", () => {
    const none = { router: false, solicited: false, override: false }
    expect(read(ASK)).toEqual({ type: ndp.SOLICITATION, targetAt: 8, linkAddress: GATEWAY, ...none })
    expect(read(ANSWER)).toEqual({
      type: ndp.ADVERTISEMENT,
      targetAt: 8,
      linkAddress: GUEST,
      router: false,
      solicited: true,
      override: true,
    })
    expect(read(ASK_ROUTERS)).toEqual({
      type: ndp.ROUTER_SOLICITATION,
      targetAt: -1,
      linkAddress: GUEST,
      ...none,
    })
    expect(read(ASK.subarray(0, 24))).toMatchObject({ linkAddress: -1 })
  })

  it("says truncated", () => {
    expect(read(ASK, 31)).toBe("truncated")
    expect(read(ASK.subarray(0, 23))).toBe("truncated")
    expect(read(ASK_ROUTERS.subarray(0, 7))).toBe("truncated")
  })

  it("says bad-type", () => {
    expect(read(ROUTER)).toBe("bad-type")
    expect(read(changed(ASK, 0, 137))).toBe("bad-type")
  })

  it("says bad-code", () => {
    expect(read(changed(ASK, 1, 1))).toBe("bad-code")
  })

  it("says bad-target", () => {
    expect(read(changed(ASK, 8, 0xff))).toBe("bad-target")
  })

  it("says bad-option", () => {
    expect(read(changed(ASK, 25, 0))).toBe("bad-option")
    expect(read(changed(ASK, 25, 2))).toBe("bad-option")
    expect(read(ASK.subarray(0, 28))).toBe("bad-option")
  })

  it("takes any bytes, and emit() says the same again", () => {
    surviving(
      [ASK, ANSWER, ASK_ROUTERS],
      (bytes, at, head, end) => ndp.parse(bytes, at, head, end, ndp.view()),
      (message, { bytes }) => {
        expect(ndp.pretty(bytes, message)).toContain("ndp ")
        const again = new Uint8Array(40)
        const target = bytes.slice(message.targetAt, message.targetAt + 16)
        const { linkAddress } = message
        let size: number
        if (message.type === ndp.ROUTER_SOLICITATION) size = ndp.emitRouterSolicitation(again, 0, linkAddress)
        else if (message.type === ndp.SOLICITATION) size = ndp.emitSolicitation(again, 0, target, linkAddress)
        else size = ndp.emitAdvertisement(again, 0, { ...message, target })
        const reread = ndp.parse(again, 0, size, size, ndp.view())
        const targetAt = message.targetAt === -1 ? -1 : 8
        expect(reread).toEqual({ ...message, targetAt })
        if (targetAt === 8) expect(toHex(again.subarray(8, 24))).toBe(toHex(target))
      },
    )
  })
})

describe("parseRouterAdvertisement()", () => {
  const parse = (bytes: Uint8Array) => ndp.parseRouterAdvertisement(bytes, 0, bytes.length)

  it("reads an advertisement of a router", () => {
    expect(parse(ROUTER)).toEqual(advertised)
  })

  it("says truncated, bad-type, bad-code, bad-option", () => {
    expect(parse(ROUTER.subarray(0, 15))).toBe("truncated")
    expect(ndp.parseRouterAdvertisement(ROUTER, 0, ROUTER.length + 8)).toBe("truncated")
    expect(parse(ASK)).toBe("bad-type")
    expect(parse(changed(ROUTER, 1, 1))).toBe("bad-code")
    expect(parse(changed(ROUTER, 17, 0))).toBe("bad-option")
    expect(parse(ROUTER.subarray(0, ROUTER.length - 8))).toBe("bad-option")
  })

  it("takes any bytes", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(ROUTER.length - 1), fc.nat(255)), { maxLength: 6 }), (changes) => {
        const bytes = Uint8Array.from(ROUTER)
        for (const [at, value] of changes) bytes[at] = value
        const read = parse(bytes)
        if (typeof read === "string") return
        expect(
          [...read.servers, ...read.prefixes.map(({ prefix }) => prefix.address)].every(
            ({ length }) => length === 16,
          ),
        ).toBe(true)
      }),
    )
  })

  it("gives back what emitRouterAdvertisement() wrote", () => {
    const u32 = fc.nat(0xffff_ffff)
    const sixteen = fc.uint8Array({ minLength: 16, maxLength: 16 })
    const prefixes = fc.record({
      prefix: fc.tuple(sixteen, fc.nat(128)).map(([address, length]) => prefixOf(address, length)),
      onLink: fc.boolean(),
      autonomous: fc.boolean(),
      validSeconds: u32,
      preferredSeconds: u32,
    })
    const advertisements: fc.Arbitrary<ndp.RouterAdvertisement> = fc.record({
      hopLimit: fc.nat(255),
      managed: fc.boolean(),
      other: fc.boolean(),
      lifetimeSeconds: fc.nat(0xffff),
      reachableMs: u32,
      retransmitMs: u32,
      linkAddress: fc.integer({ min: -1, max: 0xffff_ffff_ffff }),
      mtu: u32,
      prefixes: fc.array(prefixes, { maxLength: 3 }),
      servers: fc.array(sixteen, { maxLength: 4 }),
      serversLifetimeSeconds: u32,
    })
    fc.assert(
      fc.property(advertisements, (fields) => {
        const bytes = new Uint8Array(500)
        const size = ndp.emitRouterAdvertisement(bytes, 0, fields)
        const serversLifetimeSeconds = fields.servers.length === 0 ? 0 : fields.serversLifetimeSeconds
        expect(ndp.parseRouterAdvertisement(bytes, 0, size)).toEqual({ ...fields, serversLifetimeSeconds })
      }),
    )
  })
})

describe("emit…()", () => {
  it("writes the bytes that others write", () => {
    const answer = { target: FD2, linkAddress: GUEST, router: false, solicited: true, override: true }
    const pairs = [
      written(ASK, (bytes) => ndp.emitSolicitation(bytes, 0, FD2, GATEWAY)),
      written(ANSWER, (bytes) => ndp.emitAdvertisement(bytes, 0, answer)),
      written(ASK_ROUTERS, (bytes) => ndp.emitRouterSolicitation(bytes, 0, GUEST)),
      written(ROUTER, (bytes) => ndp.emitRouterAdvertisement(bytes, 0, advertised)),
    ]
    for (const [found, expected] of pairs) expect(found).toBe(expected)
  })
})

describe("pretty()", () => {
  it("is one line", () => {
    const lines = [ASK, ANSWER, ASK_ROUTERS].map((bytes) => {
      const message = read(bytes)
      return typeof message === "string" ? message : ndp.pretty(bytes, message)
    })
    expect(lines).toEqual([
      "ndp solicit fd00::2, 5a:94:ef:e4:0c:dd",
      "ndp advertise fd00::2, 02:00:00:00:00:01, solicited override",
      "ndp solicit routers, 02:00:00:00:00:01",
    ])
  })
})
