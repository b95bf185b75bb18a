import type { ForwardRule } from "@skep/contract"
import { describe, expect, it } from "vitest"
import { forwardName, parseForwardRule, parseNetworkStatus } from "../src/index.ts"

const RULE: ForwardRule = { transport: "tcp", hostAddress: "127.0.0.1", hostPort: 8080, guestPort: 80 }

describe("forwardName()", () => {
  it.each<[Partial<ForwardRule>, string]>([
    [{}, "guest:80"],
    [{ guestAddress: "10.0.2.15" }, "10.0.2.15:80"],
    [{ machine: "web" }, "web:80"],
    [{ machine: "web", guestAddress: "127.0.0.1" }, "web/127.0.0.1:80"],
    [{ owner: "docker" }, "guest:80"],
  ])("of %o leads to %s", (more, target) => {
    expect(forwardName({ ...RULE, ...more })).toBe(`tcp 127.0.0.1:8080 -> ${target}`)
  })
})

describe("parseForwardRule()", () => {
  it("takes a machine and an owner, and leaves out what is not there", () => {
    expect(parseForwardRule({ ...RULE, machine: "web", owner: "docker" })).toEqual({
      ...RULE,
      machine: "web",
      owner: "docker",
    })
    expect(Object.keys(parseForwardRule({ ...RULE, guestAddress: undefined }))).toEqual(Object.keys(RULE))
  })
  it.each([
    ["large", { more: "x".repeat(1e5) }],
    ["deep", Array.from({ length: 20_000 }).reduce((inner) => [inner], 1)],
  ])("refuses what is %s in few words", (_how, input) => {
    expect(() => parseForwardRule(input)).toThrow(
      expect.objectContaining({ code: "bad-options", message: expect.stringMatching(/^.{20,1000}$/s) }),
    )
  })
  it("refuses names without letters", () => {
    expect(() => parseForwardRule({ ...RULE, machine: "" })).toThrow("Cannot read the forward")
    expect(() => parseForwardRule({ ...RULE, owner: "x".repeat(65) })).toThrow("Cannot read the forward")
  })
})

describe("parseNetworkStatus()", () => {
  it("takes networks that tell their machines apart, and those that do not", () => {
    const status = { forwards: [RULE], counters: {} }
    const machines = [{ name: "web", connected: true, address: "192.168.64.2", counters: { framesIn: 1 } }]
    expect(parseNetworkStatus(status)).toEqual(status)
    expect(parseNetworkStatus({ ...status, machines, more: 1 })).toEqual({ ...status, machines })
    expect(() => parseNetworkStatus({ ...status, machines: [{}] })).toThrow("machines")
  })
})
