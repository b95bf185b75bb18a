import { u16 } from "@skep/wire/bytes"
import { encode } from "dns-packet"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { HEADER, lifeOf, type Message, parseMessage, pretty } from "../../../src/dns/message/message.ts"
import { parseName } from "../../../src/dns/message/name.ts"
import { query } from "../rig.ts"

/** From `dig +qr www.Skep.internal AAAA` 9.18 with its cookie taken out, seen by tcpdump. */
const FROM_DIG = hex(`
  1a2b 0120 0001 0000 0000 0001
  03 777777 04 536b6570 08 696e7465726e616c 00 001c 0001
  00 0029 04d0 00 00 0000 0000`)

/** An answer with a pointer to the question, a CNAME between, and a SOA after them. */
const ANSWER = hex(`
  0001 8180 0001 0002 0001 0000
  01 61 01 62 00 0001 0001
  c00c 0005 0001 0000003c 0004 01 63 c00e
  c01f 0001 0001 0000001e 0004 0a000001
  c00e 0006 0001 00000e10 0016 00 00 00000001 00000002 00000003 00000004 00000005`)

function hex(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text.replace(/\s/g, ""), "hex"))
}

function parsed(bytes: Uint8Array): Message {
  const message = parseMessage(bytes)
  if (typeof message === "string") throw new Error(message)
  return message
}

/** A query with something after its question, counted as `additional` records. */
function withRecords(additional: number, rest: string): Uint8Array {
  const bytes = Buffer.concat([query("a.b"), hex(rest)])
  bytes.writeUInt16BE(additional, 10)
  return bytes
}

describe("parseMessage()", () => {
  it("reads what dig asks", () => {
    const message = parsed(FROM_DIG)
    expect(message).toMatchObject({
      id: 0x1a2b,
      flags: 0x0120,
      question: { name: "www.skep.internal", type: 28, class: 1, end: 35 },
      records: [],
      edns: { at: 35, payload: 1232, version: 0, extendedRcode: 0, flags: 0 },
    })
    expect(pretty(message)).toBe("6699 flags 0x120 www.skep.internal type28 records 0 edns 1232")
  })

  it("reads an answer with pointers", () => {
    const { records } = parsed(ANSWER)
    expect(records.map(({ section, type, ttl }) => [section, type, ttl])).toEqual([
      ["answer", 5, 60],
      ["answer", 1, 30],
      ["authority", 6, 3600],
    ])
  })

  it.each([
    ["truncated", "a header cut short", FROM_DIG.slice(0, 11)],
    ["truncated", "a name cut short", FROM_DIG.slice(0, 20)],
    ["truncated", "a label longer than the message", hex("0001 0100 0001 0000 0000 0000 3f 61")],
    ["truncated", "a pointer of one byte", hex("0001 0100 0001 0000 0000 0000 c0")],
    ["truncated", "a question without a class", FROM_DIG.slice(0, 33)],
    ["truncated", "a record that is announced and not there", withRecords(1, "")],
    ["truncated", "a record whose data is not there", withRecords(1, "00 0001 0001 00000000 0004 0a00")],
    [
      "bad-label",
      "a label of a kind that was given up",
      hex("0001 0100 0001 0000 0000 0000 41 61 00 0001 0001"),
    ],
    ["bad-pointer", "a pointer to itself", hex("0001 0100 0001 0000 0000 0000 c00c 0001 0001")],
    ["bad-pointer", "a pointer forward", hex("0001 0100 0001 0000 0000 0000 c012 0001 0001 0000")],
    ["bad-pointer", "a pointer into the header", hex("0001 0100 0001 0000 0000 0000 c004 0001 0001")],
    [
      "bad-pointer",
      "two names that point to each other",
      withRecords(2, "01 61 c021 0001 0001 00000000 0000 c015 0001 0001 00000000 0000"),
    ],
    ["bad-pointer", "a bomb of pointers", pointers(17)],
    ["name-too-long", "a name of 256 octets", longName(256)],
    [
      "bad-count",
      "two questions",
      hex("0001 0100 0002 0000 0000 0000 01 61 00 0001 0001 01 62 00 0001 0001"),
    ],
    [
      "bad-opt",
      "an option that ends behind its record",
      withRecords(1, "00 0029 04d0 00000000 0005 000a 0008 00"),
    ],
    ["bad-opt", "half an option", withRecords(1, "00 0029 04d0 00000000 0002 000a")],
    ["bad-opt", "an OPT with a name", withRecords(1, "01 61 00 0029 04d0 00000000 0000")],
    ["duplicate-opt", "two OPT", withRecords(2, "00 0029 04d0 00000000 0000 00 0029 04d0 00000000 0000")],
    ["trailing", "bytes after the message", hex("0001 0100 0001 0000 0000 0000 01 61 00 0001 0001 00")],
  ])("says %s for %s", (reason, _, bytes) => {
    expect(parseMessage(bytes)).toBe(reason)
  })

  it("takes a name of 255 octets, and sixteen pointers", () => {
    expect(parsed(longName(255)).question?.name).toHaveLength(253)
    expect(parsed(pointers(16)).records).toHaveLength(16)
  })

  it("neither throws nor reads behind the end, whatever the bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 600 }), fc.nat(20), (bytes, room) => {
        const larger = new Uint8Array(bytes.length + room).fill(0xc0)
        larger.set(bytes)
        expect(parseMessage(larger.subarray(0, bytes.length))).toEqual(parseMessage(bytes))
      }),
      { numRuns: 2000 },
    )
  })

  it("sees only offsets inside of messages that were changed in some bytes", () => {
    const change = fc.tuple(fc.nat(ANSWER.length - 1), fc.nat(255))
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 6 }), (changes) => {
        const bytes = ANSWER.slice()
        for (const [at, value] of changes) bytes[at] = value
        const message = parseMessage(bytes)
        if (typeof message === "string") return
        for (const { at, ttlAt, dataAt, end } of message.records) {
          expect(at).toBeGreaterThanOrEqual(HEADER)
          expect(ttlAt + 6).toBe(dataAt)
          expect(end).toBeGreaterThanOrEqual(dataAt)
          expect(end).toBeLessThanOrEqual(bytes.length)
        }
      }),
      { numRuns: 3000 },
    )
  })

  it("reads everything that dns-packet writes", () => {
    const label = fc.stringMatching(/^[a-z0-9_-]{1,20}$/)
    const name = fc.array(label, { minLength: 1, maxLength: 6 }).map((labels) => labels.join("."))
    fc.assert(
      fc.property(name, fc.array(name, { maxLength: 5 }), fc.nat(0x7fffffff), (asked, targets, ttl) => {
        const answers = targets.map((data) => ({ type: "CNAME" as const, name: asked, ttl, data }))
        const message = parsed(
          encode({ type: "response", questions: [{ name: asked, type: "CNAME" }], answers }),
        )
        expect(message.question?.name).toBe(asked)
        expect(message.records.map((record) => record.ttl)).toEqual(targets.map(() => ttl))
      }),
    )
  })
})

describe("parseName()", () => {
  it("writes what is not printable, and dots within labels, as numbers: two names are never taken for one", () => {
    const bytes = hex("03 612e62 02 5c00 01 41 00")
    expect(parseName(bytes, 0, bytes.length)).toEqual({ text: "a\\046b.\\092\\000.a", next: bytes.length })
  })
})

describe("lifeOf()", () => {
  it("is the least time to live", () => {
    expect(lifeOf(ANSWER, parsed(ANSWER))).toBe(30)
  })

  it("is what the SOA says where there is nothing", () => {
    const bytes = ANSWER.slice()
    bytes[3] = 0x83
    expect(lifeOf(bytes, parsed(bytes))).toBe(5)
    const other = ANSWER.slice()
    other[HEADER + 6] = 28 // an alias, and none of the type that was asked for
    expect(u16(other, HEADER + 5)).toBe(28)
    expect(lifeOf(other, parsed(other))).toBe(5)
  })

  it("is 0 where nothing says how long there is nothing, and for failures", () => {
    const none = encode({ type: "response", questions: [{ name: "a", type: "A" }], flags: 3 })
    expect(lifeOf(none, parsed(none))).toBe(0)
    const failed = ANSWER.slice()
    failed[3] = 0x82
    expect(lifeOf(failed, parsed(failed))).toBe(0)
  })

  it("takes a time to live with the highest bit for 0", () => {
    const bytes = ANSWER.slice()
    const first = parsed(bytes).records[0]
    bytes[first?.ttlAt ?? 0] = 0x80
    expect(lifeOf(bytes, parsed(bytes))).toBe(0)
  })
})

/** A query whose name has so many octets with its lengths and the root. */
function longName(octets: number): Uint8Array {
  const labels = [63, 63, 63, octets - 1 - 3 * 64 - 1]
  const name = labels.map((length) => `${hexOf(length, 2)}${"61".repeat(length)}`).join("")
  return hex(`0001 0100 0001 0000 0000 0000 ${name} 00 0001 0001`)
}

/** A message with so many records: the name of the first is a pointer to the question, that of each other one a pointer to the name before it. */
function pointers(count: number): Uint8Array {
  const first = HEADER + 7
  const size = 12
  const all = Array.from({ length: count }, (_, index) => {
    const target = index === 0 ? HEADER : first + size * (index - 1)
    return `${hexOf(0xc000 | target, 4)} 0001 0001 00000000 0000`
  })
  return hex(`0001 0100 0001 0000 0000 ${hexOf(count, 4)} 01 61 00 0001 0001 ${all.join("")}`)
}

function hexOf(number: number, digits: number): string {
  return number.toString(16).padStart(digits, "0")
}
