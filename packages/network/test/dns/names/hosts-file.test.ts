import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { parseHosts } from "../../../src/dns/names/hosts-file.ts"

const FILE = `
127.0.0.1	localhost runsc   # a comment
::1 localhost ip6-localhost
10.1.2.3 Db.Corp.example. db
10.1.2.4 db
10.1.2.3 later
fe80::1%lo0 scoped
not-an-address name
10.1.2.5
10.1.2.6 bad/name good\r
`

describe("parseHosts()", () => {
  it("reads names and addresses as hosts(5) says", () => {
    const { byName, byAddress } = parseHosts(FILE)
    expect(Object.fromEntries(byName)).toEqual({
      localhost: ["127.0.0.1", "::1"],
      runsc: ["127.0.0.1"],
      "ip6-localhost": ["::1"],
      "db.corp.example": ["10.1.2.3"],
      db: ["10.1.2.3", "10.1.2.4"],
      later: ["10.1.2.3"],
      good: ["10.1.2.6"],
    })
    expect(Object.fromEntries(byAddress)).toEqual({
      "127.0.0.1": "localhost",
      "::1": "localhost",
      "10.1.2.3": "db.corp.example",
      "10.1.2.4": "db",
      "10.1.2.6": "good",
    })
  })

  it("makes a table of any text", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 300 }), (text) => {
        for (const addresses of parseHosts(text).byName.values()) expect(addresses.length).toBeGreaterThan(0)
      }),
    )
  })

  it("bounds the addresses of a name", () => {
    const lines = Array.from({ length: 200 }, (_, index) => `10.0.0.${index} many`).join("\n")
    expect(parseHosts(lines).byName.get("many")).toHaveLength(64)
  })
})
