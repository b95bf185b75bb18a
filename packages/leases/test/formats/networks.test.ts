import { describe, expect, test } from "vitest"
import { bootpdPreferences, vmnetPreferences } from "../../src/formats/networks.ts"
import { formatOf } from "../../src/index.ts"
import { BOOTPD, VMNET } from "./property-list/written.ts"

const XML = `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
	<key>Shared_Net_Address</key>
	<string>192.168.64.1</string>
	<key>Shared_Net_Mask</key>
	<string>255.255.255.0</string>
</dict>
</plist>
`

test("the preferences of vmnet, binary and XML", () => {
  expect(vmnetPreferences.parse(VMNET, "").networks).toEqual([
    { name: "shared", address: "192.168.64.0", mask: "255.255.255.0", server: "192.168.64.1" },
    { name: "host", address: "192.168.128.0", mask: "255.255.255.0", server: "192.168.128.1" },
  ])
  expect(vmnetPreferences.parse(Buffer.from(XML), "").networks).toEqual([
    { name: "shared", address: "192.168.64.0", mask: "255.255.255.0", server: "192.168.64.1" },
  ])
})

test("the networks of bootpd, as Internet Sharing writes them", () => {
  const { networks, problems, leases } = bootpdPreferences.parse(BOOTPD, "")
  expect(problems).toEqual([])
  expect(leases).toEqual([])
  expect(networks).toEqual([
    {
      name: "192.168.64/24",
      address: "192.168.64.0",
      mask: "255.255.255.0",
      server: "192.168.64.1",
      first: "192.168.64.2",
      last: "192.168.64.254",
      leaseSeconds: 86_400,
    },
  ])
})

test("they are told apart by their keys, and an empty one by its name", () => {
  expect(formatOf(VMNET, "")?.name).toBe("vmnet")
  expect(formatOf(Buffer.from(XML), "")?.name).toBe("vmnet")
  expect(formatOf(BOOTPD, "")?.name).toBe("bootpd-networks")
  expect(formatOf(new Uint8Array(), "/etc/bootpd.plist")?.name).toBe("bootpd-networks")
  expect(formatOf(Buffer.from("<plist><dict/></plist>"), "/x.plist")).toBeUndefined()
})

describe("what is not understood is a problem", () => {
  test.each([
    ["a mask with a hole", XML.replace("255.255.255.0", "255.0.255.0"), "is no address"],
    ["an address that is none", XML.replace("192.168.64.1", "\u202e192"), '"\\u202e192"'],
    ["a file that ends", XML.slice(0, 300), "the file ends in the middle of a property list"],
    ["no dictionary", "<plist><array/></plist>", "the property list is no dictionary"],
  ])("%s", (_, text, problem) => {
    const { problems, networks } = vmnetPreferences.parse(Buffer.from(text), "")
    expect(networks).toEqual([])
    expect(problems.map(({ sentence }) => sentence).join()).toContain(problem)
  })

  test("a subnet without an address", () => {
    const text = "<plist><dict><key>Subnets</key><array><dict/><string>x</string></array></dict></plist>"
    expect(bootpdPreferences.parse(Buffer.from(text), "").problems.map(({ sentence }) => sentence)).toEqual([
      "a subnet without net_address and net_mask",
      "a subnet is no dictionary",
    ])
    const none = "<plist><dict><key>Subnets</key><true/></dict></plist>"
    expect(bootpdPreferences.parse(Buffer.from(none), "").problems).toHaveLength(1)
  })
})
