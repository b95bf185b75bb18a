import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { Malformed, parsePropertyList, type Value } from "../../../src/formats/property-list/index.ts"
import { BOOTPD } from "./written.ts"

function read(text: string): Value | Malformed {
  return parsePropertyList(Buffer.from(text, "utf8"))
}

/** A binary property list of these objects, of which the first is the whole. */
function binary(...objects: readonly (readonly number[])[]): Buffer {
  const head = Buffer.from("bplist00")
  const offsets: number[] = []
  let at = head.length
  for (const object of objects) {
    offsets.push(at)
    at += object.length
  }
  const trailer = Buffer.alloc(32)
  trailer[6] = 1
  trailer[7] = 1
  trailer.writeUInt32BE(objects.length, 12)
  trailer.writeUInt32BE(at, 28)
  return Buffer.concat([head, ...objects.map((object) => Buffer.from(object)), Buffer.from(offsets), trailer])
}

const OTHERS = {
  naïve: "ü",
  real: 1.5,
  neg: -5,
  big: 2 ** 40,
  long: "x".repeat(300),
  bootp_enabled: false,
  detect_other_dhcp_server: 1,
}

test("every type of a binary one", () => {
  const list = parsePropertyList(BOOTPD)
  expect(list).toBeInstanceOf(Map)
  if (!(list instanceof Map)) return
  for (const [key, value] of Object.entries(OTHERS)) expect(list.get(key)).toBe(value)
  expect(Buffer.from(list.get("data"))).toEqual(Buffer.from([0, 1]))
  expect(typeof list.get("date")).toBe("number")
  expect(list.get("dhcp_enabled")).toEqual(["bridge100"])
})

test("every type of one in XML", () => {
  const text = `\uFEFF<?xml version="1.0"?><!-- a > comment --><plist version="1.0"><dict>
    <key>a&amp;b</key><string>&lt;&#65;&#x42;&gt;<![CDATA[<x>]]></string>
    <key>t</key><true/><key>f</key><false></false><key>i</key><integer> -5 </integer><key>r</key><real>1.5</real>
    <key>d</key><data> AAE= </data><key>e</key><array/><key>l</key><array><string/><dict/></array>
    <key>__proto__</key><string>no harm</string><key>when</key><date>2026-01-01T00:00:00Z</date>
  </dict></plist>`
  expect(read(text)).toEqual(
    new Map<string, unknown>([
      ["a&b", "<AB><x>"],
      ["t", true],
      ["f", false],
      ["i", -5],
      ["r", 1.5],
      ["d", Buffer.from([0, 1])],
      ["e", []],
      ["l", ["", new Map()]],
      ["__proto__", "no harm"],
      ["when", "2026-01-01T00:00:00Z"],
    ]),
  )
})

describe("hostile binary ones", () => {
  test.each([
    ["a list within itself", binary([0xa1, 0]), "lists within each other"],
    [
      "a list that doubles with each level",
      binary(...Array.from({ length: 25 }, (_, index) => [0xa2, index + 1, index + 1]), [0x08]),
      "more than 10000 values",
    ],
    ["a length of gigabytes", binary([0x4f, 0x12, 0x7f, 0xff, 0xff, 0xff]), "lies outside of the file"],
    [
      "a list of billions",
      binary([0xaf, 0x13, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff]),
      "lies outside of the file",
    ],
    [
      "a length that is too big",
      binary([0x4f, 0x13, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
      "too big",
    ],
    ["an object that is not there", binary([0xa1, 9]), "not there"],
    ["an object of no type", binary([0x70]), "no type that is known"],
    ["a null", binary([0x00]), "no type that is known"],
    ["a key that is no text", binary([0xd1, 1, 1], [0x08]), "a key that is no text"],
    ["a number of three bytes that is none", binary([0x21, 0, 0]), "no size that is known"],
    ["no end", Buffer.from("bplist00"), "without its end"],
    ["an end of zeros", Buffer.concat([Buffer.from("bplist00"), Buffer.alloc(32)]), "makes no sense"],
    [
      "an end beyond the file",
      Buffer.concat([Buffer.from("bplist00"), Buffer.alloc(26), Buffer.alloc(14, 1)]),
      "too big",
    ],
  ])("%s", (_, bytes, problem) => {
    const found = parsePropertyList(bytes)
    expect(found instanceof Malformed ? found.message : "a value").toContain(problem)
  })

  test("any change of any byte is a value or Malformed", () => {
    fc.assert(
      fc.property(fc.nat({ max: BOOTPD.length - 1 }), fc.nat({ max: 255 }), (place, byte) => {
        const bytes = Buffer.from(BOOTPD)
        bytes[place] = byte
        expect(parsePropertyList(bytes)).toBeDefined()
        expect(parsePropertyList(bytes.subarray(0, place))).toBeInstanceOf(Malformed)
      }),
      { numRuns: 500 },
    )
  })
})

describe("hostile ones in XML", () => {
  test.each([
    [
      "entities of its own",
      '<!DOCTYPE plist [<!ENTITY a "b">]><plist><string>&a;</string></plist>',
      "a tag that is none",
    ],
    ["an entity that is none", "<plist><string>&a;</string></plist>", "an entity that is none"],
    ["a character that is none", "<plist><string>&#x110000;</string></plist>", "an entity that is none"],
    ["lists within each other", `<plist>${"<array>".repeat(100)}`, "lists within each other"],
    [
      "a great many values",
      `<plist><array>${"<true/>".repeat(20_000)}</array></plist>`,
      "more than 10000 values",
    ],
    ["a value without a key", "<plist><dict><string/></dict></plist>", "a value without a key"],
    ["text where none is", "<plist>x<dict/></plist>", "text where none should be"],
    ["a tag in text", "<plist><string><b/></string></plist>", "a tag where text should be"],
    ["a tag of others", "<plist><script/></plist>", "a tag that is none"],
    ["attributes", '<plist><dict a="b"/></plist>', "a tag that is none"],
    ["two values", "<plist><true/><true/></plist>", "something follows"],
    ["no number", "<plist><integer>x</integer></plist>", "a number that is none"],
    ["true with something in it", "<plist><true>no</true></plist>", "true with something in it"],
    ["no property list", "<html></html>", "there is no plist"],
    ["no end", "<plist><string>abc", "the file ends"],
    ["nothing", "", "the file ends"],
  ])("%s", (_, text, problem) => {
    const found = read(text)
    expect(found instanceof Malformed ? found.message : "a value").toContain(problem)
  })

  test("the line is said", () => {
    const found = read("<plist>\n<dict>\n<true/>\n</dict></plist>")
    expect(found).toMatchObject({ line: 3 })
  })

  test("a file of more than a megabyte is not read", () => {
    expect(parsePropertyList(Buffer.alloc(1024 * 1024 + 1, 0x20))).toBeInstanceOf(Malformed)
  })
})
