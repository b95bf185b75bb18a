import { SidecarError } from "@skep/contract"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { parseForwardSpec } from "../../src/forward/forward-spec.ts"

const tcp = { transport: "tcp", hostAddress: "127.0.0.1" }

describe("parseForwardSpec()", () => {
  it.each([
    ["8080:80", { ...tcp, hostPort: 8080, guestPort: 80 }],
    ["8080:80/tcp", { ...tcp, hostPort: 8080, guestPort: 80 }],
    ["5300:53/udp", { ...tcp, transport: "udp", hostPort: 5300, guestPort: 53 }],
    ["0.0.0.0:8080:80", { ...tcp, hostAddress: "0.0.0.0", hostPort: 8080, guestPort: 80 }],
    ["[::1]:8080:80", { ...tcp, hostAddress: "::1", hostPort: 8080, guestPort: 80 }],
    ["[0:0::0]:8080:80", { ...tcp, hostAddress: "::", hostPort: 8080, guestPort: 80 }],
    ["8080:192.168.64.9:80", { ...tcp, hostPort: 8080, guestAddress: "192.168.64.9", guestPort: 80 }],
    ["8080:[fd00::9]:80", { ...tcp, hostPort: 8080, guestAddress: "fd00::9", guestPort: 80 }],
    ["web=8080:80", { ...tcp, hostPort: 8080, guestPort: 80, machine: "web" }],
  ])("reads %s", (text, rule) => {
    expect(parseForwardSpec(text)).toEqual([rule])
  })

  it("makes a rule of each port of a range", () => {
    const rules = parseForwardSpec("db=0.0.0.0:8000-8002:9000-9002/udp")
    expect(rules.map(({ hostPort, guestPort }) => [hostPort, guestPort])).toEqual([
      [8000, 9000],
      [8001, 9001],
      [8002, 9002],
    ])
    expect(new Set(rules.map(({ transport, machine }) => `${transport} ${machine}`))).toEqual(
      new Set(["udp db"]),
    )
  })

  it.each([
    ["", "it is not"],
    ["80", "it is not"],
    ["::80", "it is not"],
    ["::1:80:80", "it is not"],
    ["8080:80/sctp", "it is not"],
    ["8080:80 ", "it is not"],
    ["0:80", "from 1 to 65535"],
    ["80:65536", "from 1 to 65535"],
    ["8001-8000:80-81", "before it begins"],
    ["8000-8001:80", "of one length"],
    ["1-65535:1-65535", "65535 ports"],
    ["300.0.0.1:80:80", "no IP address"],
    ["[::1::]:80:80", "no IP address"],
    ["WEB=80:80", "it is not"],
  ])("refuses %o", (text, reason) => {
    expect(() => parseForwardSpec(text)).toThrow(reason)
    expect(() => parseForwardSpec(text)).toThrow(SidecarError)
  })

  it("throws nothing but bad-options", () => {
    const piece = fc.constantFrom("1", "80", "65535", ":", "-", "/udp", "[::1]", "10.0.0.1", "web=", "x", " ")
    fc.assert(
      fc.property(fc.array(piece), (pieces) => {
        try {
          for (const { hostPort, guestPort } of parseForwardSpec(pieces.join(""))) {
            expect(Math.min(hostPort, guestPort)).toBeGreaterThan(0)
            expect(Math.max(hostPort, guestPort)).toBeLessThan(65_536)
          }
        } catch (error) {
          expect(error).toMatchObject({ code: "bad-options" })
        }
      }),
    )
  })
})
