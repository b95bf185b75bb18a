import { describe, expect, test } from "vitest"
import { dnsmasq } from "../../src/formats/dnsmasq.ts"
import { formatOf } from "../../src/index.ts"
import { DNSMASQ } from "./recorded.ts"

function parse(text: string): ReturnType<typeof dnsmasq.parse> {
  return dnsmasq.parse(Buffer.from(text, "latin1"), "/l")
}

test("parse() reads what dnsmasq writes", () => {
  const text =
    "1795229243 52:54:00:0a:0b:0c 192.168.65.44 vm1 01:52:54:00:0a:0b:0c\n" +
    "0 52:54:00:0a:0b:0d 192.168.65.45 * *\n" +
    "1795229243 20-80:00:00:48:fe:80 192.168.65.46 ib0 ff:00:01\n" +
    "1795229243 06- 192.168.65.47 * 01:02\n" +
    "duid 00:01:00:01:2b:6d:61:52:52:54:00:aa:bb:cc\n" +
    "1795229243 659465230 fd00::2C vm1 00:01:00:01:2d:01:12:22:52:54:00:0a:0b:0c\n" +
    "1795229243 T659465231 fd00::2d * 00:01\n"
  const { leases, problems, complete } = parse(text)
  expect({ problems, complete }).toEqual({ problems: [], complete: true })
  expect(
    leases.map(({ address, hardwareType, hardware, clientId, name, expires, source }) => [
      source.line,
      address,
      hardwareType,
      hardware,
      clientId,
      name,
      expires,
    ]),
  ).toEqual([
    [1, "192.168.65.44", 1, "52:54:00:0a:0b:0c", "01:52:54:00:0a:0b:0c", "vm1", 1_795_229_243_000],
    [2, "192.168.65.45", 1, "52:54:00:0a:0b:0d", undefined, undefined, Number.POSITIVE_INFINITY],
    [3, "192.168.65.46", 0x20, "80:00:00:48:fe:80", "ff:00:01", "ib0", 1_795_229_243_000],
    [4, "192.168.65.47", undefined, undefined, "01:02", undefined, 1_795_229_243_000],
    [
      6,
      "fd00::2c",
      undefined,
      undefined,
      "00:01:00:01:2d:01:12:22:52:54:00:0a:0b:0c",
      "vm1",
      1_795_229_243_000,
    ],
    [7, "fd00::2d", undefined, undefined, "00:01", undefined, 1_795_229_243_000],
  ])
})

test("parse() reads what dnsmasq 2.90 wrote", () => {
  const { leases, problems } = parse(DNSMASQ)
  expect(problems).toEqual([])
  expect(leases.map(({ address, hardware, clientId, name }) => [address, hardware, clientId, name])).toEqual([
    ["10.77.0.66", "52:54:00:0a:0c:05", "ff:00:0a:0b:22", undefined],
    ["10.77.0.65", "52:54:00:0a:0c:05", "01:52:54:00:0a:0c:05", undefined],
    ["10.77.0.61", "52:54:00:0a:0c:01", "01:52:54:00:0a:0c:01", "plain"],
  ])
})

describe("what dnsmasq would leave out is a problem", () => {
  const good = "1 52:54:0:1:2:3 10.0.0.1 * *\n"
  test.each([
    ["a word too few", "1 52:54:0:1:2:3 10.0.0.1 *\n", "a lease of dnsmasq is 5 words, not 4"],
    ["a comment", "# mine\n", "a lease of dnsmasq is 5 words, not 2"],
    ["no time", "soon 52:54:0:1:2:3 10.0.0.1 * *\n", '"soon" is no time'],
    ["no address", "1 52:54:0:1:2:3 10.0.0 * *\n", '"10.0.0" is no address'],
    ["no hardware", "1 52:54:0:1:2:3g 10.0.0.1 * *\n", '"52:54:0:1:2:3g" is no hardware address'],
    ["no client identifier", "1 52:54:0:1:2:3 10.0.0.1 * \u001b[5m\n", '"\\x1b[5m" is no client identifier'],
    ["a zero byte", "1 52:54:0:1:2:3 10.0.0.1 a\0b *\n", "a zero byte"],
    ["a long line", `1 52:54:0:1:2:3 10.0.0.1 ${"a".repeat(5000)} *\n`, "more than 4096 bytes"],
  ])("%s", (_, line, problem) => {
    const document = parse(good + line + good)
    expect(document.leases).toHaveLength(2)
    expect(document.problems).toEqual([{ line: 2, sentence: expect.stringContaining(problem) }])
    expect(document.complete).toBe(true)
    expect(() => dnsmasq.remove(document, document.leases)).toThrow("line 2: ")
  })

  test("a line without its end, which may be half of one", () => {
    const document = parse(`${good}1 52:54:0:1:2:3 10.0.0.1 * 01:52`)
    expect(document.leases).toHaveLength(1)
    expect(document.complete).toBe(false)
  })
})

test("an empty file is known by its name", () => {
  expect(formatOf(new Uint8Array(), "/var/lib/misc/dnsmasq.leases")?.name).toBe("dnsmasq")
  expect(formatOf(new Uint8Array(), "/var/lib/NetworkManager/dnsmasq-virbr1.leases")?.name).toBe("dnsmasq")
})
