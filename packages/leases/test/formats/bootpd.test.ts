import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { bootpd } from "../../src/formats/bootpd.ts"
import { bytesOf, type Document, formatOf, macOf, octetsOf, shown } from "../../src/index.ts"
import { type Properties, plCacheRead } from "./pl-cache.ts"

function parse(text: string): Document {
  return bootpd.parse(Buffer.from(text, "latin1"), "/var/db/dhcpd_leases")
}

function said(text: string): string {
  return parse(text)
    .problems.map(({ line, sentence }) => `${line}: ${sentence}`)
    .join("; ")
}

const ONE =
  "{\n\tname=vm1\n\tip_address=192.168.64.5\n\thw_address=1,52:54:0:9c:22:d7\n\tidentifier=1,52:54:0:9c:22:d7\n\tlease=0x61c9185c\n}\n"

test("parse() reads an entry as bootpd writes it", () => {
  const { leases, problems, complete } = parse(ONE)
  expect({ problems, complete }).toEqual({ problems: [], complete: true })
  expect(leases).toEqual([
    {
      address: "192.168.64.5",
      hardwareType: 1,
      hardware: "52:54:00:9c:22:d7",
      clientId: "01:52:54:00:9c:22:d7",
      name: "vm1",
      machine: undefined,
      expires: 0x61c9185c * 1000,
      state: "bound",
      source: { path: "/var/db/dhcpd_leases", line: 1, lastLine: 7, start: 0, end: ONE.length },
    },
  ])
})

describe("what bootpd writes now and then", () => {
  test("an identifier of RFC 4361 as hw_address is no hardware", () => {
    const [lease] = parse("{\n\tip_address=192.168.64.9\n\thw_address=ff,f1:f5:dd:7f:0:2\n}\n").leases
    expect(lease?.hardware).toBeUndefined()
    expect(lease?.hardwareType).toBeUndefined()
    expect(lease?.clientId).toBe("ff:f1:f5:dd:7f:00:02")
    expect(lease !== undefined && macOf(lease)).toBeUndefined()
  })

  test("hardware of another type is not taken for an Ethernet address", () => {
    const [lease] = parse("{\n\tip_address=192.168.64.9\n\thw_address=18,1:2:3:4:5:6\n}\n").leases
    expect(lease?.hardwareType).toBe(0x18)
    expect(lease !== undefined && macOf(lease)).toBeUndefined()
  })

  test("a declined address has no client any more", () => {
    const text =
      "{\n\tip_address=192.168.64.9\n\thw_address=1,2:0:0:0:0:1\n\tlease=0x61c9185c\n\tdeclined=1,2:0:0:0:0:1\n}\n"
    expect(parse(text).leases[0]).toMatchObject({
      state: "declined",
      clientId: undefined,
      hardware: "02:00:00:00:00:01",
    })
  })

  test("without a time a lease never ends, nor with the one that stands for never", () => {
    const [one, other] = parse(
      "{\n\tip_address=192.168.64.9\n}\n{\n\tip_address=192.168.64.10\n\tlease=0xffffffffffffffff\n}\n",
    ).leases
    expect(one?.expires).toBe(Number.POSITIVE_INFINITY)
    expect(other?.expires).toBe(Number.POSITIVE_INFINITY)
  })

  test("several entries of one client, or of one address, are all there", () => {
    const second = ONE.replace("lease=0x61c9185c", "lease=0x61c91860")
    expect(parse(ONE + second).leases.map(({ expires, source }) => [expires, source.line])).toEqual([
      [0x61c9185c * 1000, 1],
      [0x61c91860 * 1000, 8],
    ])
  })

  test("unknown properties, ones without a value, blanks for tabs, blank lines and empty entries do no harm", () => {
    const text = `{\n        ip_address=192.168.64.9\n\tflag\n\tmore=a=b\n\n}\n\n{\n}\n${ONE}`
    const { leases, problems } = parse(text)
    expect(problems).toEqual([])
    expect(leases.map(({ address }) => address)).toEqual(["192.168.64.9", "192.168.64.5"])
  })

  test("of two properties of one name the first counts", () => {
    const { leases, problems } = parse(
      "{\n\tip_address=192.168.64.9\n\tip_address=192.168.64.10\n\tname=a\n\tname=b\n}\n",
    )
    expect(problems).toEqual([])
    expect(leases[0]).toMatchObject({ address: "192.168.64.9", name: "a" })
  })

  test("a name may be anything but a zero and a line feed, and is shown harmlessly", () => {
    const name = "\u001b[2J\u001b]0;owned\u0007}\r"
    const [lease] = parse(`{\n\tname=${name}\n\tip_address=192.168.64.9\n}\n`).leases
    expect(lease?.name).toBe(name)
    expect(shown(lease?.name ?? "")).toBe("\\x1b[2J\\x1b]0;owned\\x07}\\x0d")
  })

  test("a name in UTF-8 is one", () => {
    const bytes = Buffer.from("{\n\tname=bücher\n\tip_address=192.168.64.9\n}\n", "utf8")
    expect(bootpd.parse(bytes, "").leases[0]?.name).toBe("bücher")
  })
})

describe("where bootpd reads no further, nothing more is read", () => {
  test.each([
    ["text outside of an entry", `${ONE}# mine\n${ONE}`, "8: text outside of an entry", 1],
    ["a comment at the top", `# mine\n${ONE}`, "1: text outside of an entry", 0],
    ["an entry within another", `${ONE}{\n\tname=a\n${ONE}`, "10: an entry begins within another", 1],
    ["a brace too many", `${ONE}}\n${ONE}`, "8: an entry ends that never began", 1],
    ["lines of DOS", ONE.replaceAll("\n", "\r\n"), "1: the line ends in a carriage return", 0],
    ["a carriage return between entries", `${ONE}\r\n${ONE}`, "8: text outside of an entry", 1],
    ["a zero byte", `${ONE}\0\0\0\0`, "7: a zero byte", 1],
    ["a zero byte in an entry", `${ONE}${ONE.replace("vm1", "v\0m")}`, "9: a zero byte", 1],
    [
      "the end, in the middle of an entry",
      `${ONE}{\n\tip_address=1.2.3.4\n`,
      "9: the file ends in the middle of an entry",
      1,
    ],
    ["the end, in the middle of a line", ONE.slice(0, -1), "7: the file ends in the middle of a line", 0],
  ])("%s", (_, text, problem, leases) => {
    const document = parse(text)
    expect(said(text)).toContain(problem)
    expect(document.problems).toHaveLength(1)
    expect(document.complete).toBe(false)
    expect(document.leases).toHaveLength(leases)
    for (const lease of document.leases) expect(() => bootpd.remove(document, [lease])).toThrow(/line \d+: /)
  })
})

describe("values that are none are a problem, and the file is not changed", () => {
  test.each([
    ["ip_address", "192.168.64.256", '2: ip_address is no address: "192.168.64.256"'],
    ["ip_address", "192.168.064.1", '2: ip_address is no address: "192.168.064.1"'],
    ["ip_address", "192.168.64", '2: ip_address is no address: "192.168.64"'],
    ["ip_address", "\u001b[31m1.2.3.4", '2: ip_address is no address: "\\x1b[31m1.2.3.4"'],
    ["hw_address", "1,52:54:0:9c:22:g7", '2: hw_address is no hardware address: "1,52:54:0:9c:22:g7"'],
    ["hw_address", "52:54:0:9c:22:d7", '2: hw_address is no hardware address: "52:54:0:9c:22:d7"'],
    ["hw_address", "1,", '2: hw_address is no hardware address: "1,"'],
    ["identifier", "1,52::1", '2: identifier is none: "1,52::1"'],
    ["identifier", "100,52:1", '2: identifier is none: "100,52:1"'],
    ["lease", "tomorrow", '2: lease is no time: "tomorrow"'],
    ["lease", "0x", '2: lease is no time: "0x"'],
  ])("%s=%s", (key, value, problem) => {
    const address = key === "ip_address" ? "" : "\tip_address=192.168.64.5\n"
    expect(said(`{\n\t${key}=${value}\n${address}}\n`)).toContain(problem)
  })

  test("an entry without an address is one of them", () => {
    expect(said("{\n\tname=vm1\n}\n")).toBe("1: an entry without an address")
  })
})

test("detect() knows the file by what is in it, and an empty one by its name", () => {
  expect(formatOf(Buffer.from(ONE), "/tmp/x")?.name).toBe("bootpd")
  expect(formatOf(new Uint8Array(), "/private/var/db/dhcpd_leases")?.name).toBe("bootpd")
  expect(formatOf(Buffer.from("# mine\n"), "/var/db/dhcpd_leases")?.name).toBe("bootpd")
  expect(formatOf(new Uint8Array(), "/tmp/x")).toBeUndefined()
  expect(formatOf(Buffer.from("hello\n"), "/tmp/x")).toBeUndefined()
})

test("of ten thousand problems a hundred are kept, and the one that ends the file", () => {
  const text = `${"{\n\tip_address=x\n}\n".repeat(10_000)}{\n`
  const { problems, complete } = parse(text)
  expect(problems).toHaveLength(100)
  expect(problems.at(-1)?.line).toBe(30_001)
  expect(complete).toBe(false)
})

describe("as bootpd itself reads", () => {
  const property = fc.constantFrom(
    "\tname=a\n",
    "\thw_address=1,2:0:0:0:0:1\n",
    "\tlease=0x10\n",
    "\tflag\n",
    "\tip_address=10.0.0.5\n",
  )
  const odd = fc.constantFrom(
    "\n",
    " \n",
    "\r\n",
    "\r",
    "{\r\n",
    "}\r\n",
    "}",
    "{",
    "{\n",
    "}\n",
    "\0",
    "x\n",
    "=\n",
    "{}\n",
    "\t{\n",
    "\t}\n",
    `\tname=${"n".repeat(1100)}\n`,
  )
  const inside = fc.array(fc.oneof({ weight: 4, arbitrary: property }, { weight: 1, arbitrary: odd }), {
    maxLength: 3,
  })
  const entry = fc
    .tuple(fc.constantFrom("1", "2", "3", "4\r"), inside)
    .map(([last, more]) => `{\n\tip_address=10.0.0.${last}\n${more.join("")}}\n`)
  const file = fc
    .array(fc.oneof({ weight: 4, arbitrary: entry }, { weight: 1, arbitrary: odd }), { maxLength: 8 })
    .map((parts) => parts.join(""))

  test("what is listed is what bootpd has, as far as there is no problem", () => {
    fc.assert(
      fc.property(file, (text) => {
        const { leases, problems } = parse(text)
        const addresses = leases.map(({ address }) => address)
        const entries = addressesOf(plCacheRead(Buffer.from(text, "latin1")))
        expect(entries.slice(0, addresses.length)).toEqual(addresses)
        if (problems.length === 0) expect(entries).toEqual(addresses)
      }),
      { numRuns: 3000 },
    )
  })

  test("what is left of a file is what bootpd has then: it loses exactly what was removed", () => {
    fc.assert(
      fc.property(file, fc.infiniteStream(fc.boolean()), (text, choice) => {
        const document = parse(text)
        fc.pre(document.problems.length === 0 && document.leases.length > 0)
        const chosen = document.leases.filter(() => choice.next().value === true)
        const left = document.leases.filter((lease) => !chosen.includes(lease))
        expect(addressesOf(plCacheRead(Buffer.from(bootpd.remove(document, chosen))))).toEqual(
          left.map(({ address }) => address),
        )
      }),
      { numRuns: 500 },
    )
  })

  function addressesOf(entries: readonly Properties[]): readonly string[] {
    return entries.flatMap((entry) => {
      const [address] = entry.filter(([name]) => name === "ip_address")
      return address === undefined ? [] : [address[1].trim()]
    })
  }
})

test("octetsOf() and bytesOf() undo each other", () => {
  expect(octetsOf(bytesOf("00:0a:ff"))).toBe("00:0a:ff")
  expect(bytesOf("")).toEqual(new Uint8Array())
  expect(octetsOf(Uint8Array.of(1, 0xab))).toBe("01:ab")
})
