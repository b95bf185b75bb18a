import { describe, expect, test } from "vitest"
import { iscDhcpd } from "../../src/formats/isc-dhcpd.ts"
import { formatOf, together } from "../../src/index.ts"
import { DHCPD } from "./recorded.ts"

function parse(text: string): ReturnType<typeof iscDhcpd.parse> {
  return iscDhcpd.parse(Buffer.from(text, "latin1"), "/var/lib/dhcp/dhcpd.leases")
}

const HEAD = `# The format of this file is documented in the dhcpd.leases(5) manual page.
# This lease file was written by isc-dhcp-4.4.3-P1

# authoring-byte-order entry is generated, DO NOT DELETE
authoring-byte-order little-endian;

server-duid "\\000\\001\\000\\001-\\\\\\"RT\\000";

`

function lease(address: string, more: string, state = "active"): string {
  return `lease ${address} {
  starts 4 2026/11/19 10:11:12;
  ends 4 2026/11/19 22:11:12;
  cltt 4 2026/11/19 10:11:12;
  binding state ${state};
  next binding state free;
  rewind binding state free;
${more}}
`
}

const HARDWARE = "  hardware ethernet 52:54:00:0a:0b:0c;\n"

test("parse() reads what dhcpd writes", () => {
  const block = lease(
    "192.168.65.44",
    `${HARDWARE}  uid "\\001RT\\000\\012\\013\\014";\n  set vendor-class-identifier = "udhcp 1.30";\n  client-hostname "vm1";\n`,
  )
  const { leases, problems } = parse(HEAD + block)
  expect(problems).toEqual([])
  expect(leases).toEqual([
    {
      address: "192.168.65.44",
      hardwareType: 1,
      hardware: "52:54:00:0a:0b:0c",
      clientId: "01:52:54:00:0a:0b:0c",
      name: "vm1",
      machine: undefined,
      expires: Date.UTC(2026, 10, 19, 22, 11, 12),
      state: "bound",
      source: {
        path: "/var/lib/dhcp/dhcpd.leases",
        line: 9,
        lastLine: 20,
        start: HEAD.length,
        end: HEAD.length + block.length,
      },
    },
  ])
})

test("parse() reads what dhcpd 4.4.3 wrote", () => {
  const { leases, problems } = parse(DHCPD)
  expect(problems).toEqual([])
  expect(
    leases.map(({ address, hardware, clientId, name, expires }) => [
      address,
      hardware,
      clientId,
      name,
      expires,
    ]),
  ).toEqual([
    ["10.77.0.10", "52:54:00:0a:0b:01", "01:52:54:00:0a:0b:01", "plain", Date.UTC(2026, 10, 22, 3, 26)],
    ["10.77.0.13", "52:54:00:0a:0b:04", "01:52:54:00:0a:0b:04", "a;b}c{", Date.UTC(2026, 10, 22, 3, 26, 6)],
    ["10.77.0.15", "52:54:00:0a:0b:05", "ff:00:0a:0b:22", undefined, Date.UTC(2026, 10, 22, 3, 26, 10)],
  ])
})

test.each([
  ["active", "bound"],
  ["free", "free"],
  ["expired", "free"],
  ["released", "free"],
  ["backup", "free"],
  ["abandoned", "declined"],
])("binding state %s is %s", (word, state) => {
  expect(parse(lease("10.0.0.1", "", word)).leases[0]?.state).toBe(state)
})

test.each([
  ["never", Number.POSITIVE_INFINITY],
  ["epoch 1795229243; # Thu Nov 19 10:07:23 2026", 1_795_229_243_000],
  ["4 2026/11/19 22:11:12", Date.UTC(2026, 10, 19, 22, 11, 12)],
])("ends %s", (text, expires) => {
  const { leases, problems } = parse(`lease 10.0.0.1 {\n  ends ${text};\n}\n`)
  expect(problems).toEqual([])
  expect(leases[0]?.expires).toBe(expires)
})

test("an identifier may be in hexadecimal, and a name have escapes", () => {
  const [one] = parse(
    'lease 10.0.0.1 {\n uid 1:52:54:0:a:b:c;\n client-hostname "\\"a\\\\b\\033[2J\\303\\274";\n}\n',
  ).leases
  expect(one).toMatchObject({ clientId: "01:52:54:00:0a:0b:0c", name: '"a\\b\u001b[2Jü' })
})

describe("the last block of an address counts", () => {
  const text = HEAD + lease("10.0.0.1", HARDWARE) + lease("10.0.0.2", "") + lease("10.0.0.1", "", "free")

  test("those before it are superseded", () => {
    expect(parse(text).leases.map(({ address, state }) => [address, state])).toEqual([
      ["10.0.0.1", "superseded"],
      ["10.0.0.2", "bound"],
      ["10.0.0.1", "free"],
    ])
  })

  test("together() has those that would come back to life", () => {
    const document = parse(text)
    const last = document.leases.slice(2)
    expect(together(document, last).map(({ source }) => source.line)).toEqual([9, 26])
    expect(Buffer.from(iscDhcpd.remove(document, together(document, last))).toString("latin1")).toBe(
      HEAD + lease("10.0.0.2", ""),
    )
  })

  test("together() of a superseded one is that one", () => {
    const document = parse(text)
    expect(together(document, document.leases.slice(0, 1))).toEqual(document.leases.slice(0, 1))
  })
})

test("a host with an address is a reservation, until it is deleted", () => {
  const text =
    "host vm2 {\n  dynamic;\n  hardware ethernet 52:54:00:0a:0b:0d;\n  fixed-address 192.168.65.50;\n}\n" +
    "host vm3 {\n  dynamic;\n  deleted;\n  fixed-address 192.168.65.51;\n}\n"
  expect(parse(text).leases.map(({ address, name, state }) => [address, name, state])).toEqual([
    ["192.168.65.50", "vm2", "reserved"],
    ["192.168.65.51", "vm3", "free"],
  ])
})

describe("what is not understood is a problem", () => {
  test.each([
    ["no address", "lease vm1 {\n}\n", '1: "vm1" is no address', true],
    ["no brace", "lease 10.0.0.1;\n", "1: an entry without a brace", true],
    ["no time", "lease 10.0.0.1 {\n  ends tomorrow;\n}\n", "2: ends is no time", true],
    ["no date", "lease 10.0.0.1 {\n  ends 4 2026-11/19 22:1x:12;\n}\n", "2: ends is no time", true],
    [
      "no state",
      "lease 10.0.0.1 {\n  binding state odd;\n}\n",
      "2: binding state is none that is known",
      true,
    ],
    [
      "no hardware",
      "lease 10.0.0.1 {\n  hardware ethernet 52:x;\n}\n",
      "2: hardware is no hardware address",
      true,
    ],
    ["no identifier", 'lease 10.0.0.1 {\n  uid "";\n}\n', "2: uid is no client identifier", true],
    ["no semicolon", "lease 10.0.0.1 {\n  ends never\n}\n", "3: a statement without a semicolon", true],
    ["a brace too many", `${lease("10.0.0.1", "")}}\n`, "9: a brace closes what never began", true],
    [
      "the end in an entry",
      "lease 10.0.0.1 {\n  ends never;\n",
      "1: the file ends in the middle of an entry",
      false,
    ],
    ["the end in a string", 'server-duid "abc;\n', "1: the file ends in the middle of a statement", false],
    ["the end behind an address", "lease 10.0.0.1", "1: the file ends in the middle of an entry", false],
  ])("%s", (_, text, problem, complete) => {
    const document = parse(text)
    expect(document.problems.map(({ line, sentence }) => `${line}: ${sentence}`)).toContain(problem)
    expect(document.complete).toBe(complete)
  })
})

test("two entries on one line are cut apart", () => {
  const text =
    "  lease 10.0.0.1 { ends never; } lease 10.0.0.2 { ends never; }  \nauthoring-byte-order little-endian;\n"
  const document = parse(text)
  const [one, two] = document.leases
  const without = (chosen: typeof one): string =>
    Buffer.from(iscDhcpd.remove(document, chosen === undefined ? [] : [chosen])).toString("latin1")
  expect(without(one)).toBe(" lease 10.0.0.2 { ends never; }  \nauthoring-byte-order little-endian;\n")
  expect(without(two)).toBe("  lease 10.0.0.1 { ends never; } authoring-byte-order little-endian;\n")
})

test("detect() knows it by its first lines, and an empty one by its name", () => {
  expect(formatOf(Buffer.from(HEAD), "")?.name).toBe("isc-dhcpd")
  expect(formatOf(Buffer.from(lease("10.0.0.1", "")), "")?.name).toBe("isc-dhcpd")
  expect(formatOf(new Uint8Array(), "/var/lib/dhcp/dhcpd.leases")?.name).toBe("isc-dhcpd")
})
