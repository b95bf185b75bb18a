import fc from "fast-check"
import { describe, expect, it } from "vitest"
import {
  code,
  type DhcpMessage,
  decode,
  decodeNames,
  decodeRoutes,
  emit,
  encode,
  encodeNames,
  encodeRoutes,
  nameOf,
  parse,
  pretty,
} from "../../src/dhcp/index.ts"

const ZEROS = "0".repeat(20)
function hex(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text.replaceAll(/\s/g, ""), "hex"))
}

/** scapy 2.5: BOOTP(op=1, xid=0x12345678, secs=3, flags=0x8000, chaddr=52:54:00:0a:0b:0c)/DHCP(options=[…]) */
const discover = hex(
  `01010600 12345678 00038000 00000000 00000000 00000000 00000000 5254000a0b0c ${ZEROS} ${"00".repeat(192)}
   63825363 350101 3d07015254000a0b0c 3204c0a84012 0c03766d31 390205c0 37090103060c0f1a2a7779 ff`,
)

const EMPTY: DhcpMessage = {
  op: "request",
  type: "discover",
  hops: 0,
  transactionId: 0,
  seconds: 0,
  broadcast: false,
  clientAddress: "0.0.0.0",
  yourAddress: "0.0.0.0",
  nextServer: "0.0.0.0",
  relayAddress: "0.0.0.0",
  mac: 0x5254000a0b0c,
  serverName: "",
  bootFile: "",
  options: new Map(),
}

/** A request whose options field is these bytes, which need not have an end. */
function withOptions(options: string, change: (bytes: Uint8Array) => void = () => undefined): Uint8Array {
  const bytes = new Uint8Array([...discover.subarray(0, 240), ...hex(options)])
  change(bytes)
  return bytes
}

function read(bytes: Uint8Array): DhcpMessage {
  const message = parse(bytes, 0, bytes.length)
  if (typeof message === "string") throw new Error(message)
  return message
}

describe("parse()", () => {
  it("reads scapy's DISCOVER", () => {
    const message = read(discover)
    expect(message).toMatchObject({
      ...EMPTY,
      transactionId: 0x12345678,
      seconds: 3,
      broadcast: true,
      options: expect.any(Map),
    })
    expect([...message.options.keys()]).toEqual([61, 50, 12, 57, 55])
    const values = Object.fromEntries([...message.options].map(([key, value]) => [key, decode(key, value)]))
    expect(values).toEqual({
      12: "vm1",
      50: "192.168.64.18",
      55: [1, 3, 6, 12, 15, 26, 42, 119, 121],
      57: 1472,
      61: hex("015254000a0b0c"),
    })
  })

  it("reads it in the middle of other bytes", () => {
    const around = new Uint8Array(discover.length + 20).fill(0xee)
    around.set(discover, 7)
    expect(parse(around, 7, 7 + discover.length)).toEqual(read(discover))
  })

  const malformed: readonly [string, Uint8Array, string][] = [
    ["nothing", new Uint8Array(0), "truncated"],
    ["one byte less than the fixed part", discover.subarray(0, 239), "truncated"],
    ["an op of its own", withOptions("ff", (bytes) => bytes.set([3], 0)), "bad-op"],
    ["token ring", withOptions("ff", (bytes) => bytes.set([6], 1)), "bad-hardware"],
    ["an address of 16 bytes", withOptions("ff", (bytes) => bytes.set([16], 2)), "bad-hardware"],
    ["another cookie", withOptions("ff", (bytes) => bytes.set([0], 239)), "bad-cookie"],
    ["an option without length", withOptions("35"), "truncated-option"],
    ["an option that goes on beyond the end", withOptions("350101 3204c0a840"), "truncated-option"],
    ["a length of 255 at the end", withOptions("35ff01"), "truncated-option"],
    ["a message type of two bytes", withOptions("35020101ff"), "bad-option"],
    ["a message type of none", withOptions("3500ff"), "bad-option"],
    ["a message type that is not one", withOptions("350109ff"), "bad-option"],
    ["message type 0", withOptions("350100ff"), "bad-option"],
    ["a requested address of three bytes", withOptions("3203c0a840ff"), "bad-option"],
    ["a server identifier of five", withOptions("3605c0a8400101ff"), "bad-option"],
    ["a lease time of two", withOptions("33020e10ff"), "bad-option"],
    ["a maximum size of one", withOptions("390105ff"), "bad-option"],
    ["overload of nothing", withOptions("340100ff"), "bad-option"],
    ["overload of what there is not", withOptions("340104ff"), "bad-option"],
    ["overload of two bytes", withOptions("34020101ff"), "bad-option"],
    [
      "a truncated option in an overloaded field",
      withOptions("340101ff", (bytes) => bytes.set([12, 200], 108)),
      "truncated-option",
    ],
    [
      "a truncated option in the other one",
      withOptions("340102ff", (bytes) => bytes.set([12, 63], 44)),
      "truncated-option",
    ],
  ]
  it.each(malformed)("says of %s: %#", (_what, bytes, expected) => {
    expect(parse(bytes, 0, bytes.length)).toBe(expected)
  })

  it("never reads past its end, though there are bytes", () => {
    const longer = withOptions("350101 0c05766d31")
    const bytes = new Uint8Array([...longer, ...hex("3132ff")])
    expect(parse(bytes, 0, longer.length)).toBe("truncated-option")
    expect(parse(bytes, 0, bytes.length)).toMatchObject({ type: "discover" })
    expect(parse(bytes, 0, bytes.length + 1)).toBe("truncated")
  })

  it("takes a message whose end is missing, as some clients send", () => {
    expect(read(withOptions("350103"))).toMatchObject({ type: "request" })
  })

  it("calls a message without a type BOOTP's", () => {
    expect(read(withOptions("ff")).type).toBeUndefined()
  })

  it("joins an option that came in pieces (RFC 3396)", () => {
    const { options } = read(withOptions("350101 7703036162 0c0178 770463036566 770100 ff"))
    expect(Buffer.from(options.get(119) ?? []).toString("hex")).toBe("0361626303656600")
    expect([...options.keys()]).toEqual([119, 12])
  })

  it("joins as many pieces as 64 KiB hold", () => {
    const { options } = read(withOptions(`350101${"770161".repeat(20_000)}ff`))
    expect(options.get(119)?.length).toBe(20_000)
  })
})

describe("the defects of dhcp 0.2.20 that are the codec's", () => {
  it("7: one pad is one byte", () => {
    const { options, type } = read(withOptions("00 350103 00 00 3204c0a84012 000000 0c0161 ff"))
    expect(type).toBe("request")
    expect([...options.keys()]).toEqual([50, 12])
  })

  it("8: a client identifier is bytes, whatever they are", () => {
    const id = "ff000a0b0c0001000129d1c3805254000a0b0c"
    const { options } = read(withOptions(`350101 3d13${id} ff`))
    expect(decode(61, options.get(61) ?? new Uint8Array(0))).toEqual(hex(id))
  })

  it("9: 119 is labels, 121 and 249 are routes without what their width does not need", () => {
    expect(encodeNames(["skep.internal", "a."])).toEqual(hex("04736b657008696e7465726e616c00 016100"))
    const routes = [
      { destination: "0.0.0.0/0", router: "192.168.65.1" },
      { destination: "10.17.3.4/12", router: "192.168.65.9" },
      { destination: "10.1.2.3/32", router: "0.0.0.0" },
    ]
    expect(encodeRoutes(routes)).toEqual(hex("00c0a84101 0c0a10c0a84109 200a01020300000000"))
    for (const option of [121, 249]) {
      expect(decode(option, encodeRoutes(routes))).toEqual([
        routes[0],
        { destination: "10.16.0.0/12", router: "192.168.65.9" },
        routes[2],
      ])
    }
  })

  it("11: at least 300 bytes, cookie checked, options overloaded, long and truncated ones, option 82 kept", () => {
    expect(emit(EMPTY).length).toBe(300)
    expect(
      parse(
        withOptions("350101ff", (bytes) => bytes.fill(0, 236, 240)),
        0,
        244,
      ),
    ).toBe("bad-cookie")
    const relay = hex("0104deadbeef0206aabbccddeeff")
    const echoed = read(emit({ ...EMPTY, options: new Map([[82, relay]]) }))
    expect(echoed.options.get(82)).toEqual(relay)

    const overloaded = withOptions("350101 340103 0c0178 ff", (bytes) => {
      bytes.set(hex("3204c0a84012 0c0179 ff"), 108)
      bytes.set(hex("0c017a 390205c0 00 ff"), 44)
    })
    const message = read(overloaded)
    expect(message.serverName).toBe("")
    expect(message.bootFile).toBe("")
    expect(Buffer.from(message.options.get(12) ?? []).toString()).toBe("xyz")
    expect([...message.options.keys()]).toEqual([12, 50, 57])
  })
})

describe("emit()", () => {
  const many = new Map<number, Uint8Array>([
    [54, new Uint8Array(4).fill(1)],
    [82, new Uint8Array(30).fill(2)],
    [119, new Uint8Array(300).fill(3)],
    [121, new Uint8Array(100).fill(4)],
    [43, new Uint8Array(80).fill(5)],
    [15, new Uint8Array(40).fill(6)],
    [17, new Uint8Array(10).fill(7)],
  ])
  const full = { ...EMPTY, options: many }

  it("writes the type first, the relay's option last, and long ones in pieces", () => {
    const bytes = emit(full, 1400)
    expect([...bytes.subarray(240, 243)]).toEqual([53, 1, 1])
    expect([...bytes.subarray(-33)]).toEqual([82, 30, ...new Uint8Array(30).fill(2), 255])
    expect(new Set(read(bytes).options.keys())).toEqual(new Set(many.keys()))
    expect(read(bytes).options.get(119)).toEqual(many.get(119))
  })

  it("keeps to the limit: what does not fit goes to file and sname, and what does not fit there is left out", () => {
    const bytes = emit(full, 548)
    expect(bytes.length).toBeLessThanOrEqual(548)
    const { options } = read(bytes)
    // 548 − 240 − end − type − relay − overload hold 54; 119 fits nowhere with the rest.
    expect([...options.keys()].toSorted((a, b) => a - b)).toEqual([15, 17, 43, 54, 82, 121])
    for (const [key, value] of options) expect(value).toEqual(many.get(key))
    expect(read(emit(full, 300)).options.get(82)).toEqual(many.get(82))
  })

  it("does not put options where a name is", () => {
    const named = { ...full, serverName: "server", bootFile: "file" }
    const message = read(emit(named, 300))
    expect(message).toMatchObject({ serverName: "server", bootFile: "file" })
    expect(message.options.has(121)).toBe(false)
  })

  const u32 = fc.integer({ min: 0, max: 0xffff_ffff })
  const address = fc.ipV4()
  const name = (max: number): fc.Arbitrary<string> =>
    fc.string({ unit: fc.constantFrom("a", "Z", "-", ".", "0"), maxLength: max })
  const messages: fc.Arbitrary<DhcpMessage> = fc.record({
    op: fc.constantFrom("request" as const, "reply" as const),
    type: fc.constantFrom(
      "discover",
      "offer",
      "request",
      "decline",
      "ack",
      "nak",
      "release",
      "inform",
      undefined,
    ),
    hops: fc.integer({ min: 0, max: 255 }),
    transactionId: u32,
    seconds: fc.integer({ min: 0, max: 0xffff }),
    broadcast: fc.boolean(),
    clientAddress: address,
    yourAddress: address,
    nextServer: address,
    relayAddress: address,
    mac: fc.integer({ min: 0, max: 2 ** 48 - 1 }),
    serverName: name(64),
    bootFile: name(128),
    options: fc
      .array(fc.tuple(fc.integer({ min: 1, max: 254 }), fc.uint8Array({ maxLength: 600 })), { maxLength: 8 })
      .map((pairs) => new Map(pairs.filter(([key]) => ![50, 51, 52, 53, 54, 57, 82].includes(key)))),
  })

  it("is undone by parse()", () => {
    fc.assert(
      fc.property(messages, (message) => {
        expect(read(emit(message, 9000))).toEqual(message)
      }),
    )
  })

  it("keeps to any limit and never garbles what it keeps", () => {
    fc.assert(
      fc.property(messages, fc.integer({ min: 0, max: 1500 }), (message, limit) => {
        const bytes = emit(message, limit)
        expect(bytes.length).toBeLessThanOrEqual(Math.max(limit, 300))
        expect(bytes.length).toBeGreaterThanOrEqual(300)
        const again = read(bytes)
        expect({ ...again, options: message.options }).toEqual(message)
        for (const [key, value] of again.options) expect(value).toEqual(message.options.get(key))
      }),
    )
  })
})

describe("values", () => {
  it("are undone by decode()", () => {
    const cases: readonly [number, number | string | readonly string[] | readonly number[], string][] = [
      [code.SUBNET_MASK, "255.255.255.0", "ffffff00"],
      [code.ROUTER, ["192.168.64.1", "10.0.0.1"], "c0a840010a000001"],
      [code.INTERFACE_MTU, 65520, "fff0"],
      [code.LEASE_TIME, 4_000_000_000, "ee6b2800"],
      [code.DOMAIN_NAME, "skep.internal", "736b65702e696e7465726e616c"],
      [code.PARAMETER_REQUEST_LIST, [1, 3, 121], "010379"],
    ]
    for (const [option, value, expected] of cases) {
      expect(encode(option, value)).toEqual(hex(expected))
      expect(decode(option, hex(expected))).toEqual(value)
    }
  })

  it("encode() bounds text and writes no byte for nothing", () => {
    expect(encode(code.MESSAGE, "x".repeat(400)).length).toBe(255)
    expect(encode(code.MESSAGE, "").length).toBe(0)
    expect(() => encode(code.DOMAIN_SEARCH, "a")).toThrow(RangeError)
    expect(() => encode(250, "a")).toThrow(RangeError)
  })

  it("decode() says undefined where the length is not of the kind", () => {
    expect(decode(code.ROUTER, hex("c0a84001ff"))).toBeUndefined()
    expect(decode(code.ROUTER, hex(""))).toBeUndefined()
    expect(decode(code.INTERFACE_MTU, hex("05"))).toBeUndefined()
    expect(decode(code.CLASSLESS_ROUTES, hex("21c0a84001c0a84001"))).toBeUndefined()
    expect(decode(code.CLASSLESS_ROUTES, hex("18c0a84001"))).toBeUndefined()
  })

  it("encodeRoutes() and encodeNames() refuse what is none", () => {
    for (const destination of ["10.0.0.0", "10.0.0.0/33", "10.0.0/8", "10.0.0.256/8", "x/8", "10.0.0.0/"]) {
      expect(() => encodeRoutes([{ destination, router: "1.2.3.4" }])).toThrow(RangeError)
    }
    for (const name of ["", ".", "a..b", `${"a".repeat(64)}.b`, "ä.b", "a b", "abc.".repeat(80)]) {
      expect(() => encodeNames([name])).toThrow(RangeError)
    }
  })

  it("decodeNames() follows pointers backwards and no others", () => {
    // RFC 3397's own example, section 2: eng.apple.com., marketing.apple.com. with a pointer to apple.
    const example = hex("03656e67056170706c6503636f6d00 096d61726b6574696e67c004")
    expect(decodeNames(example)).toEqual(["eng.apple.com", "marketing.apple.com"])
    expect(decodeNames(hex("c000"))).toBeUndefined()
    expect(decodeNames(hex("0161c000"))).toBeUndefined()
    expect(decodeNames(hex("0161c003 00"))).toBeUndefined()
    expect(decodeNames(hex("00"))).toBeUndefined()
    expect(decodeNames(hex("c0"))).toBeUndefined()
    expect(decodeNames(hex("0561"))).toBeUndefined()
  })

  it("has names for people", () => {
    expect(nameOf(51)).toBe("IP Address Lease Time")
    expect(nameOf(200)).toBe("option 200")
  })
})

describe("pretty()", () => {
  it("is one line", () => {
    expect(pretty(read(discover))).toBe(
      'dhcp discover 52:54:00:0a:0b:0c xid 0x12345678, Requested IP Address "192.168.64.18", Host Name "vm1", Client-Identifier 015254000a0b0c',
    )
  })
})

describe("any bytes", () => {
  const after = discover.subarray(240)

  /** Whatever they say, it is a message or a reason, and all that can be asked of a message is answered. */
  function survive(bytes: Uint8Array, at: number, end: number): void {
    const message = parse(bytes, at, end)
    if (typeof message === "string") return
    expect(pretty(message)).not.toMatch(/[^\x20-\x7e]/)
    for (const [key, value] of message.options) decode(key, value)
    read(emit(message, 9000))
  }

  it("are survived", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 700 }), fc.nat(40), (bytes, at) => {
        survive(bytes, at, bytes.length)
      }),
    )
  })

  it("are survived after a fixed part that is right", () => {
    // Now and then the length is a lie.
    const option = fc
      .tuple(fc.nat(255), fc.uint8Array({ maxLength: 40 }), fc.constantFrom(0, 0, 0, 0, 2, 200))
      .map(([key, value, lie]) => [key, value.length + lie, ...value])
    fc.assert(
      fc.property(
        fc.array(option, { maxLength: 20 }),
        fc.uint8Array({ minLength: 192, maxLength: 192 }),
        (list, names) => {
          const bytes = new Uint8Array([...discover.subarray(0, 240), ...list.flat()])
          bytes.set(names, 44)
          survive(bytes, 0, bytes.length)
        },
      ),
      { numRuns: 500 },
    )
  })

  it("are survived, forty thousand times from one seed", () => {
    let seed = 0x5eed
    const random = (below: number): number => {
      seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0
      return Math.floor((seed / 2 ** 32) * below)
    }
    let messages = 0
    for (let round = 0; round < 40_000; round++) {
      const bytes = Uint8Array.from([...discover.subarray(0, 240), ...after, ...after])
      for (let change = random(6); change >= 0; change--) bytes[random(bytes.length)] = random(256)
      const end = random(4) === 0 ? random(bytes.length) : bytes.length
      if (typeof parse(bytes, 0, end) !== "string") messages++
    }
    expect(messages).toBeGreaterThan(4000)
  })

  it("names that are none are survived", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        decodeNames(bytes)
        decodeRoutes(bytes)
      }),
    )
  })
})
