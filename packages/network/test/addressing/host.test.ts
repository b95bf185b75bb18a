import type { Log } from "@skep/contract"
import { formatPrefix, parsePrefix } from "@skep/wire/address"
import { describe, expect, it } from "vitest"
import { autoSubnet } from "../../src/addressing/host.ts"
import type { Route } from "../../src/addressing/routes.ts"

function to(text: string, by = "eth0"): Route {
  const subnet = parsePrefix(text)
  if (typeof subnet === "string") throw new Error(subnet)
  return { subnet, interface: by }
}

/** The subnet that is chosen, and what is said about it. */
function choose(last: string | undefined, routes: readonly Route[], ours: readonly string[] = []) {
  const said: unknown[] = []
  const log: Log = { info: (...line) => said.push(line), debug: () => undefined, error: () => undefined }
  return { subnet: formatPrefix(autoSubnet({ routes, ours, last, log })), said }
}

describe("autoSubnet()", () => {
  it("keeps that of the last time while no route leads there", () => {
    expect(choose("192.168.70.0/24", [])).toEqual({ subnet: "192.168.70.0/24", said: [] })
    expect(choose("10.9.0.0/16", [to("192.168.64.0/24")])).toEqual({ subnet: "10.9.0.0/16", said: [] })
    expect(choose("192.168.70.0/24", [to("192.168.70.0/24", "tap0")], ["tap0"]).subnet).toBe(
      "192.168.70.0/24",
    )
  })

  it("moves where a route has come in the way, and says which", () => {
    expect(choose("192.168.64.0/24", [to("192.168.64.128/25", "wg0")])).toEqual({
      subnet: "192.168.65.0/24",
      said: [
        [
          "subnet moved",
          { from: "192.168.64.0/24", to: "192.168.65.0/24", route: "192.168.64.128/25 by wg0" },
        ],
      ],
    })
  })

  it("begins with the first that is free, where there was none or what is said of it is no block", () => {
    for (const last of [undefined, "", "192.168.70.3/24", "fd00::/64"])
      expect(choose(last, [])).toEqual({ subnet: "192.168.64.0/24", said: [] })
    expect(() =>
      choose("192.168.64.0/24", [to("192.168.0.0/16"), to("10.0.0.0/8"), to("172.16.0.0/12")]),
    ).toThrow(expect.objectContaining({ code: "address-in-use" }))
  })
})
