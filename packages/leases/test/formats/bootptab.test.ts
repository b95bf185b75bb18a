import { describe, expect, test } from "vitest"
import type { Reservation } from "../../src/format.ts"
import { bootptab } from "../../src/formats/bootptab.ts"
import { formatOf } from "../../src/index.ts"

const FILE = `#
# bootptab example
#
%%
# machine entries have the following format:
#
# hostname      hwtype  hwaddr              ipaddr          bootfile
client1         1       0:1:2:3:4:5         192.168.64.10   boot.img
client2\t1\t02:00:00:00:00:0A\t192.168.64.11
`

function parse(text: string): ReturnType<typeof bootptab.parse> {
  return bootptab.parse(Buffer.from(text, "latin1"), "/etc/bootptab")
}

function reserve(text: string, reservation: Reservation): string {
  return Buffer.from(bootptab.reserve?.(parse(text), reservation) ?? []).toString("latin1")
}

const MINE = { name: "vm1", address: "192.168.64.50", mac: "52:54:00:0a:0b:0c" }

test("parse() reads what is behind the percent signs", () => {
  const { leases, problems } = parse(FILE)
  expect(problems).toEqual([])
  expect(
    leases.map(({ name, address, hardware, state, expires, source }) => [
      name,
      address,
      hardware,
      state,
      expires,
      source.line,
    ]),
  ).toEqual([
    ["client1", "192.168.64.10", "00:01:02:03:04:05", "reserved", Number.POSITIVE_INFINITY, 8],
    ["client2", "192.168.64.11", "02:00:00:00:00:0a", "reserved", Number.POSITIVE_INFINITY, 9],
  ])
})

test("before the percent signs there are no reservations", () => {
  expect(parse("a 1 2:0:0:0:0:1 10.0.0.1\n").leases).toEqual([])
  expect(parse("a 1 2:0:0:0:0:1 10.0.0.1\n").problems).toEqual([])
})

describe("what bootpd leaves out is a problem", () => {
  test.each([
    ["too few words", "a 1 2:0:0:0:0:1\n"],
    ["no type", "a x 2:0:0:0:0:1 10.0.0.1\n"],
    ["five bytes of Ethernet", "a 1 2:0:0:0:1 10.0.0.1\n"],
    ["dashes", "a 1 2-0-0-0-0-1 10.0.0.1\n"],
    ["nothing but zeros", "a 1 0:0:0:0:0:0 10.0.0.1\n"],
    ["no address", "a 1 2:0:0:0:0:1 10.0.0\n"],
    ["everybody's address", "a 1 2:0:0:0:0:1 255.255.255.255\n"],
    ["a line that is too long", `a 1 2:0:0:0:0:1 10.0.0.1 ${"b".repeat(250)}\n`],
    ["a zero byte", "a\0 1 2:0:0:0:0:1 10.0.0.1\n"],
    ["no line feed at the end", "a 1 2:0:0:0:0:1 10.0.0.1"],
  ])("%s", (_, line) => {
    const { leases, problems } = parse(`%%\n${line}`)
    expect(leases).toEqual([])
    expect(problems).toEqual([{ line: 2, sentence: expect.any(String) }])
  })
})

describe("reserve()", () => {
  test("adds one line, and nothing else is changed", () => {
    expect(reserve(FILE, MINE)).toBe(`${FILE}vm1\t1\t52:54:00:0a:0b:0c\t192.168.64.50\n`)
    expect(parse(reserve(FILE, MINE)).leases.at(-1)).toMatchObject({
      address: MINE.address,
      hardware: MINE.mac,
      name: "vm1",
    })
  })

  test("makes a file that bootpd reads where there was none", () => {
    const document = parse(reserve("", MINE))
    expect(document.problems).toEqual([])
    expect(document.leases).toHaveLength(1)
    expect(parse(reserve("# only comments", MINE)).leases).toHaveLength(1)
  })

  test.each([
    ["the address", { ...MINE, address: "192.168.64.10" }],
    ["the hardware", { ...MINE, mac: "00:01:02:03:04:05" }],
    ["the name", { ...MINE, name: "client2" }],
  ])("refuses where %s has one already, and says where", (_, reservation) => {
    expect(() => reserve(FILE, reservation)).toThrow(/line [89] of "\/etc\/bootptab"/)
  })

  test.each([
    ["name", { ...MINE, name: "a b" }],
    ["name", { ...MINE, name: "a\n%%" }],
    ["name", { ...MINE, name: "" }],
    ["address", { ...MINE, address: "fd00::1" }],
    ["mac", { ...MINE, mac: "52:54:00:0a:0b" }],
    ["mac", { ...MINE, mac: "52:54:0:a:b:c" }],
  ])("refuses a %s that is none", (_, reservation) => {
    expect(() => reserve(FILE, reservation)).toThrow("Cannot reserve")
  })

  test("refuses a file with a line that is not understood", () => {
    expect(() => reserve("%%\nwhat is this\n", MINE)).toThrow("line 2: ")
  })
})

test("detect() knows it by its percent signs, and an empty one by its name", () => {
  expect(formatOf(Buffer.from(FILE), "")?.name).toBe("bootptab")
  expect(formatOf(new Uint8Array(), "/etc/bootptab")?.name).toBe("bootptab")
})
