import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { acknowledgement, GREETING_MAX, hyperkitGreeting, parse } from "../../src/dialect/greeting.ts"
import { GreetingReader } from "../../src/dialect/greeting-reader.ts"

const CID = 3

function bytesOf(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text, "latin1"))
}

/** What comes out of the greeting in one piece: `hyperkit 2376, rest "…"`, or the reason. */
function read(text: string, cid = CID): string {
  return readIn([text], cid)
}

function readIn(pieces: readonly string[], cid = CID): string {
  const reader = new GreetingReader(cid)
  let after = ""
  let result: string | undefined
  for (const piece of pieces) {
    if (result !== undefined) {
      after += piece
      continue
    }
    const answer = reader.push(bytesOf(piece))
    if (answer === "more") continue
    if (typeof answer === "string") return answer
    result = `${answer.dialect} ${answer.port}`
    after = Buffer.from(answer.rest).toString("latin1")
  }
  return result === undefined ? "more" : `${result}, rest ${JSON.stringify(after)}`
}

describe("a HyperKit greeting", () => {
  it("is 18 bytes; what follows is the stream's", () => {
    expect(read("00000003.00000948\n")).toBe('hyperkit 2376, rest ""')
    expect(read("00000003.00000948\nGET / HTTP/1.1\n")).toBe('hyperkit 2376, rest "GET / HTTP/1.1\\n"')
    expect(read("00000003.0000f3a5\n")).toBe('hyperkit 62373, rest ""')
  })

  it("must have the guest's own address, also where it begins like connect", () => {
    expect(read("00000004.00000948\n")).toBe("wrong-cid")
    expect(read("c0000003.00000948\n", 0xc000_0003)).toBe('hyperkit 2376, rest ""')
    expect(read("ffffffff.00000948\n", 0xffff_ffff)).toBe("wrong-cid")
    expect(read("00000003.ffffffff\n")).toBe("bad-port")
  })

  it("is refused as soon as it is none", () => {
    expect(read("0000000")).toBe("more")
    expect(read("00000003.0000094")).toBe("more")
    expect(read("00000003:")).toBe("bad-greeting")
    expect(read("000000003")).toBe("bad-greeting")
    expect(read("00000003.000009488")).toBe("bad-greeting")
    expect(read("00000003.0000094\n")).toBe("bad-greeting")
    expect(read("00000003.00000948\r\n")).toBe("bad-greeting")
    expect(read("0000000C.00000948\n")).toBe("bad-greeting")
  })

  it("is what hyperkitGreeting() writes", () => {
    expect(hyperkitGreeting(3, 2376)).toBe("00000003.00000948\n")
    fc.assert(
      fc.property(fc.integer({ min: 3, max: 2 ** 32 - 2 }), fc.nat(2 ** 32 - 2), (cid, port) => {
        expect(read(hyperkitGreeting(cid, port), cid)).toBe(`hyperkit ${port}, rest ""`)
      }),
    )
  })
})

describe("a Firecracker greeting", () => {
  it("is CONNECT and a decimal port, in any case", () => {
    expect(read("CONNECT 2376\n")).toBe('firecracker 2376, rest ""')
    expect(read("connect 0\nhello")).toBe('firecracker 0, rest "hello"')
    expect(read("Connect  52 \r\n")).toBe('firecracker 52, rest ""')
    expect(read("CONNECT 4294967294\n")).toBe('firecracker 4294967294, rest ""')
  })

  it("is refused as soon as it is none", () => {
    expect(read("CONN")).toBe("more")
    expect(read("CONNECT 23")).toBe("more")
    expect(read("CONNEKT 23\n")).toBe("bad-greeting")
    expect(read("CONNECT\n")).toBe("bad-greeting")
    expect(read("CONNECT x")).toBe("bad-greeting")
    expect(read("CONNECT -1\n")).toBe("bad-greeting")
    expect(read("CONNECT 1 2")).toBe("bad-greeting")
    expect(read("CONNECT 4294967295\n")).toBe("bad-port")
    expect(read("CONNECT 9999999999\n")).toBe("bad-port")
  })

  it("has at most 32 bytes with its line feed", () => {
    expect(read(`CONNECT ${" ".repeat(GREETING_MAX - 10)}7\n`)).toBe('firecracker 7, rest ""')
    expect(read(`CONNECT ${" ".repeat(GREETING_MAX - 9)}7\n`)).toBe("too-long")
    expect(read(`CONNECT ${" ".repeat(GREETING_MAX - 9)}`)).toBe("more")
  })

  it("is answered with the host's port", () => {
    expect(acknowledgement(2 ** 30)).toBe("OK 1073741824\n")
  })
})

describe("GreetingReader", () => {
  it("refuses what is neither", () => {
    expect(read("GET / HTTP/1.1\n")).toBe("unknown-dialect")
    expect(read("\n")).toBe("unknown-dialect")
    expect(read("cx")).toBe("unknown-dialect")
    expect(read("\u00ff")).toBe("unknown-dialect")
    expect(read("")).toBe("more")
  })

  it("finds the same however the bytes are split, and hands on every byte after the greeting", () => {
    const token = fc.constantFrom(
      "CONNECT",
      "connect",
      "co",
      "c",
      " ",
      "5",
      "2376",
      "\n",
      "\r",
      "0",
      "00000003",
      ".",
      "00000948",
      "4294967295",
      "x",
      "\0",
      "\u00ff",
      "00000003.00000948\n",
      "CONNECT 2376\n",
    )
    const text = fc.array(token, { maxLength: 8 }).map((tokens) => tokens.join(""))
    fc.assert(
      fc.property(text, fc.array(fc.nat(40), { maxLength: 8 }), (whole, cuts) => {
        const at = [...new Set(cuts)].filter((cut) => cut <= whole.length).sort((a, b) => a - b)
        const pieces = [0, ...at].map((from, index) => whole.slice(from, at[index] ?? whole.length))
        expect(readIn(pieces)).toBe(read(whole))
        expect(readIn(whole.split(""))).toBe(read(whole))
      }),
      { numRuns: 1000 },
    )
  })
})

describe("parse()", () => {
  it("takes any bytes and reads none past the end", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 50 }), fc.nat(50), fc.nat(60), (bytes, at, end) => {
        const greeting = parse(bytes, at, end, CID)
        const alone = parse(bytes.slice(at, Math.max(at, Math.min(end, bytes.length))), 0, 50, CID)
        expect(typeof greeting === "string" ? greeting : greeting.port).toEqual(
          typeof alone === "string" ? alone : alone.port,
        )
      }),
    )
  })

  it("says where the greeting ends, for who only looks ahead", () => {
    const bytes = bytesOf("..00000003.00000948\nabc")
    expect(parse(bytes, 2, bytes.length, CID)).toEqual({ dialect: "hyperkit", port: 2376, end: 20 })
  })
})
