/** The formats that are JSON: libvirt, networkd and our own. */
import { describe, expect, test } from "vitest"
import { libvirt } from "../../src/formats/libvirt.ts"
import { networkd } from "../../src/formats/networkd.ts"
import { skep } from "../../src/formats/skep.ts"
import { type Document, formatOf, type LeaseFormat } from "../../src/index.ts"
import { LIBVIRT as STATUS } from "./recorded.ts"

function parse(format: LeaseFormat, text: string): Document {
  return format.parse(Buffer.from(text, "utf8"), "/f")
}

function removed(format: LeaseFormat, text: string, ...indexes: readonly number[]): string {
  const document = parse(format, text)
  return Buffer.from(
    format.remove(
      document,
      document.leases.filter((_, index) => indexes.includes(index)),
    ),
  ).toString("utf8")
}

describe("libvirt", () => {
  test("parse() reads what leaseshelper wrote", () => {
    const { leases, problems } = parse(libvirt, STATUS)
    expect(problems).toEqual([])
    expect(
      leases.map(({ address, hardware, clientId, name, expires, source }) => [
        address,
        hardware,
        clientId,
        name,
        expires,
        source.line,
        source.lastLine,
      ]),
    ).toEqual([
      ["192.168.122.56", "52:54:00:0a:0b:0c", "01:52:54:00:0a:0b:0c", "vm1", 1_795_229_243_000, 2, 8],
      ["192.168.122.57", "52:54:00:0a:0b:0d", undefined, undefined, Number.POSITIVE_INFINITY, 9, 13],
      ["fd00::2c", "52:54:00:0a:0b:0e", "00:01:00:01", 'e\u001b[2J"x', 1_795_229_243_000, 14, 22],
    ])
  })

  test("remove() leaves the layout of what stays", () => {
    const lines = STATUS.split("\n")
    expect(removed(libvirt, STATUS, 0)).toBe([lines[0], ...lines.slice(8)].join("\n"))
    expect(removed(libvirt, STATUS, 1)).toBe([...lines.slice(0, 8), ...lines.slice(13)].join("\n"))
    expect(removed(libvirt, STATUS, 2)).toBe([...lines.slice(0, 12), "  }", ...lines.slice(22)].join("\n"))
    expect(removed(libvirt, STATUS, 0, 1, 2)).toBe("[]\n")
  })

  test("a network that never had a lease has an empty file", () => {
    expect(parse(libvirt, "").problems).toEqual([])
    expect(formatOf(new Uint8Array(), "/var/lib/libvirt/dnsmasq/virbr0.status")?.name).toBe("libvirt")
    expect(formatOf(Buffer.from("[\n\n]\n"), "")?.name).toBe("libvirt")
  })

  test.each([
    ["cut off", STATUS.slice(0, 300), "the file ends before the list of leases does", false],
    ["an address that is none", '[{"ip-address":"1.2.3"}]', 'ip-address is none: "1.2.3"', true],
    ["no address", "[{}]", "an entry has no ip-address", true],
    ["a hostile address", '[{"ip-address":"\\u001b[2J"}]', "ip-address is none", true],
    [
      "a mac address that is none",
      '[{"ip-address":"1.2.3.4","mac-address":7}]',
      "mac-address is none: 7",
      true,
    ],
    ["a time that is none", '[{"ip-address":"1.2.3.4","expiry-time":"x"}]', "expiry-time is none", true],
    ["no object", "[1]", "an entry is no JSON object", true],
    ["broken within", '[{"ip-address":tru}]', "an entry is no JSON object", true],
    ["two lists", "[][]", "something follows the end of the list", true],
    ["no comma", "[{} {}]", "a comma is missing", true],
    ["a comma too many", '[{"ip-address":"1.2.3.4"},]', "an entry is missing behind a comma", true],
    ["something else", "hello", "it is no list", true],
    ["a zero byte", '[{"ip-address":"1.2.3.4"}\0]', "a comma is missing", true],
  ])("%s is a problem", (_, text, problem, complete) => {
    const document = parse(libvirt, text)
    expect(document.problems.map(({ sentence }) => sentence).join()).toContain(problem)
    expect(document.problems.map(({ sentence }) => sentence).join()).not.toContain("\u001b")
    expect(document.complete).toBe(complete)
  })

  test("brackets a hundred thousand deep do no harm", () => {
    const { problems } = parse(libvirt, `[${"[".repeat(100_000)}${"]".repeat(100_000)}]`)
    expect(problems).toEqual([{ line: 1, sentence: "an entry is no JSON object" }])
  })
})

const NETWORKD = `{"BootID":"7e9a","Address":[192,168,124,1],"PrefixLength":24,"Leases":[{"ClientId":[1,82,84,0,10,11,12],"Address":[192,168,124,26],"Hostname":"vm1","HardwareAddressType":1,"HardwareAddressLength":6,"HardwareAddress":[82,84,0,10,11,12],"ExpirationUSec":72338380895,"ExpirationRealtimeUSec":1785791504658855}]}\n`

describe("networkd", () => {
  test("parse() reads what systemd 257 writes", () => {
    const { leases, networks, problems } = parse(networkd, NETWORKD)
    expect(problems).toEqual([])
    expect(leases[0]).toMatchObject({
      address: "192.168.124.26",
      hardwareType: 1,
      hardware: "52:54:00:0a:0b:0c",
      clientId: "01:52:54:00:0a:0b:0c",
      name: "vm1",
      expires: 1_785_791_504_658.855,
    })
    expect(networks).toEqual([{ address: "192.168.124.0", mask: "255.255.255.0", server: "192.168.124.1" }])
  })

  test("a time since boot alone says none, and no time is never", () => {
    const old = '[{"ClientId":[1,2],"Address":[10,0,0,1],"ExpirationUSec":72338380895}]'
    expect(parse(networkd, old).leases[0]?.expires).toBeUndefined()
    expect(parse(networkd, '[{"ClientId":[1,2],"Address":[10,0,0,1]}]').leases[0]?.expires).toBe(
      Number.POSITIVE_INFINITY,
    )
    expect(formatOf(Buffer.from(old), "")?.name).toBe("networkd")
  })

  test("remove() from the list of the object", () => {
    expect(JSON.parse(removed(networkd, NETWORKD, 0))).toEqual({
      BootID: "7e9a",
      Address: [192, 168, 124, 1],
      PrefixLength: 24,
      Leases: [],
    })
  })

  test.each([
    ['{"Leases":[],"Leases":[]}', 'there is a second "Leases"'],
    ['{"BootID":"1"}', 'there is no "Leases"'],
    ['{"BootID":tru,"Leases":[]}', "what is around the list of leases is no JSON"],
    ['{"Leases":{}}', "it is no list"],
    ['{"Leases":[{"Address":[1,2,3],"ClientId":[1]}]}', "Address is none: [1,2,3]"],
    ['{"Leases":[{"Address":[1,2,3,256],"ClientId":[1]}]}', "Address is none"],
    ['{"Leases":[{"Address":[1,2,3,4],"ClientId":[1.5]}]}', "ClientId is none"],
    ['{"Leases":[{"Address":[1,2,3,4]}]}', "an entry has no ClientId"],
    [
      '{"Leases":[{"Address":[1,2,3,4],"ClientId":[1],"ExpirationRealtimeUSec":"x"}]}',
      "ExpirationRealtimeUSec is none",
    ],
  ])("%s is a problem", (text, problem) => {
    expect(
      parse(networkd, text)
        .problems.map(({ sentence }) => sentence)
        .join(),
    ).toContain(problem)
  })
})

const OURS = JSON.stringify(
  {
    format: "skep-leases",
    version: 1,
    network: "192.168.64.0/24",
    leases: [
      {
        address: "192.168.64.18",
        mac: "52:54:00:0a:0b:0c",
        clientId: "ff000a0b0c",
        machine: "default",
        hostName: "debian",
        granted: "2026-11-21T13:00:00.000Z",
        renewed: "2026-11-21T19:00:00.000Z",
        expires: "2026-11-22T19:00:00.000Z",
      },
      { address: "nowhere" },
    ],
  },
  null,
  2,
)

describe("skep", () => {
  test("parse() reads what skep-network writes, and leaves what is no lease", () => {
    const { leases, networks, problems } = parse(skep, OURS)
    expect(problems).toEqual([])
    expect(leases).toEqual([
      {
        address: "192.168.64.18",
        hardwareType: 1,
        hardware: "52:54:00:0a:0b:0c",
        clientId: "ff:00:0a:0b:0c",
        name: "debian",
        machine: "default",
        expires: Date.UTC(2026, 10, 22, 19),
        state: "bound",
        source: expect.objectContaining({ line: 6, lastLine: 15 }),
      },
    ])
    expect(networks).toEqual([{ address: "192.168.64.0", mask: "255.255.255.0", server: undefined }])
    expect(JSON.parse(removed(skep, OURS, 0))).toMatchObject({ leases: [{ address: "nowhere" }] })
  })

  test.each([
    ['{"format":"skep-leases","version":2,"leases":[]}', "its version is 2"],
    ['{"format":"other","version":1,"leases":[]}', 'its format is not "skep-leases"'],
    ['{"format":"skep-leases","version":1}', 'there is no "leases"'],
    ["", "the file ends before the list of leases does"],
  ])("%s is a problem", (text, problem) => {
    expect(
      parse(skep, text)
        .problems.map(({ sentence }) => sentence)
        .join(),
    ).toContain(problem)
  })
})
