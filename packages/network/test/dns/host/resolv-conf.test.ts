import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { parseNsswitch, parseResolvConf } from "../../../src/dns/host/resolv-conf.ts"

describe("parseResolvConf()", () => {
  it("reads the first three name servers and the options", () => {
    const text = `
# by hand
nameserver 10.0.0.53   ; the first
  nameserver fe80::1%eth0
nameserver not.an.address
nameserver 10.0.0.54
nameserver 10.0.0.55
search corp.example
options timeout:3 attempts:4 use-vc edns0
`
    expect(parseResolvConf(text)).toEqual({
      servers: ["10.0.0.53", "fe80::1%eth0", "10.0.0.54"].map((address) => ({ address, port: 53 })),
      timeout: 3,
      attempts: 4,
      tcp: true,
    })
  })

  it("means the server on this machine where it says nothing", () => {
    const servers = [{ address: "127.0.0.1", port: 53 }]
    expect(parseResolvConf("")).toEqual({ servers, timeout: undefined, attempts: 2, tcp: false })
  })

  it("keeps its numbers in bounds, whatever it says", () => {
    expect(parseResolvConf("options timeout:999 attempts:999")).toMatchObject({ timeout: 30, attempts: 5 })
    expect(parseResolvConf("options timeout:x attempts:-1")).toMatchObject({
      timeout: undefined,
      attempts: 1,
    })
    fc.assert(
      fc.property(fc.string({ maxLength: 100 }), (text) => {
        const { servers, attempts } = parseResolvConf(`options ${text}\n${text}`)
        expect(servers.length).toBeGreaterThan(0)
        expect(attempts).toBeGreaterThanOrEqual(1)
        expect(attempts).toBeLessThanOrEqual(5)
      }),
    )
  })
})

describe("parseNsswitch()", () => {
  it("reads the sources of hosts without what to do between them", () => {
    const text = "passwd: files\nhosts:  files mdns4_minimal [NOTFOUND=return] dns myhostname # end\n"
    expect(parseNsswitch(text)).toEqual(["files", "mdns4_minimal", "dns", "myhostname"])
    expect(parseNsswitch("# hosts: nis\nhosts:files resolve [!UNAVAIL=return]dns")).toEqual([
      "files",
      "resolve",
      "dns",
    ])
  })

  it("is dns and files where it says nothing", () => {
    expect(parseNsswitch("passwd: files")).toEqual(["dns", "files"])
  })
})
