import { resolve } from "node:path"
import { describe, expect, it } from "vitest"
import { parseNetwork } from "../../src/cli/network-choice.ts"

describe("parseNetwork()", () => {
  it.each([
    ["loopback", { networkPolicy: "loopback" }],
    ["passt,loopback", { networkPolicy: "loopback", network: "passt" }],
    ["skep,stream,open", { networkPolicy: "open", network: "skep", networkLink: "stream" }],
    ["vhost-user", { networkLink: "vhost-user" }],
    ["gvproxy", { network: "gvproxy" }],
  ])("reads %s", (text, choice) => {
    expect(parseNetwork(text, {})).toEqual(choice)
  })

  it("takes gvproxy from the environment, where that is who serves the network", () => {
    const environment = { SKEP_GVPROXY: "bin/gvproxy" }
    expect(parseNetwork("gvproxy", environment)).toEqual({
      network: "gvproxy",
      gvproxy: resolve("bin/gvproxy"),
    })
    expect(parseNetwork("passt", environment)).toEqual({ network: "passt" })
  })

  it.each([
    ["skep,passt", "Allowed choices are"],
    ["stream,vhost-user", "Allowed choices are"],
    ["", "Allowed choices are"],
    ["passt,stream", "stream is a way to Skep's network, and not to passt"],
  ])("refuses %j", (text, reason) => {
    expect(() => parseNetwork(text, {})).toThrow(reason)
  })
})
