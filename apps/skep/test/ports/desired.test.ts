/**
 * What a real dockerd said, and the forwards that follow.
 *
 * @module
 */
import { describe, expect, test } from "vitest"
import { diff, ruleKey, wishesOf } from "../../src/ports/desired.ts"
import { container, recorded, wantedBy } from "./fixture.ts"

const LOOPBACK = "127.0.0.1"

function wanted(name: string, bindDefault = LOOPBACK): string[] {
  return wantedBy([recorded(name)], bindDefault)
    .map(ruleKey)
    .toSorted()
}

describe("wishesOf() and merge()", () => {
  test.each([
    ["-p 8080:80 takes the default address", "plain", ["tcp/127.0.0.1/8080>:8080"]],
    ["-p 0.0.0.0:8081:80 was asked for", "any", ["tcp/0.0.0.0/8081>:8081"]],
    ["-p 127.0.0.1:8082:80 leads to the guest's loopback", "loopback", ["tcp/127.0.0.1/8082>127.0.0.1:8082"]],
    ["-p [::]:8083:80 was asked for", "any6", ["tcp/::/8083>:8083"]],
    ["-p [::1]:8092:80 leads to the guest's loopback", "lo6", ["tcp/::1/8092>::1:8092"]],
    [
      "a range is each of its ports",
      "range",
      ["tcp/127.0.0.1/9000>:9000", "tcp/127.0.0.1/9001>:9001", "tcp/127.0.0.1/9002>:9002"],
    ],
    ["one of a range is the one that was picked", "picked", ["tcp/127.0.0.1/9100>:9100"]],
    [
      "no host port is the one that was picked",
      "random",
      ["tcp/127.0.0.1/32768>:32768", "udp/127.0.0.1/32768>127.0.0.1:32768"],
    ],
    [
      "-P is every exposed port, by its IPv4 number",
      "published-all",
      ["udp/127.0.0.1/32769>:32769", "tcp/127.0.0.1/32769>:32769"],
    ],
    ["tcp and udp of one number are two", "udp", ["tcp/127.0.0.1/8085>:8085", "udp/127.0.0.1/8085>:8085"]],
    ["two addresses are two", "both", ["tcp/127.0.0.1/8090>:8090", "tcp/127.0.0.2/8091>127.0.0.2:8091"]],
    ["exposed is not published", "exposed", []],
    ["the host's network publishes nothing", "host-network", []],
    ["a paused container keeps its ports", "paused", ["tcp/127.0.0.1/8087>:8087"]],
    ["one that ended has none", "exited", []],
    ["one that never ran has none", "created", []],
  ])("%s", (_what, name, expected) => {
    expect(wanted(name)).toEqual(expected.toSorted())
  })

  test("the default may be all addresses", () => {
    expect(wanted("plain", "0.0.0.0")).toEqual(["tcp/0.0.0.0/8080>:8080"])
    expect(wanted("loopback", "0.0.0.0")).toEqual(["tcp/127.0.0.1/8082>127.0.0.1:8082"])
  })

  test("of two that want one listener the first has it", () => {
    const first = container("first", { "80/tcp": [[LOOPBACK, 80]] })
    const second = container("second", { "80/tcp": [["", 80]] })
    expect(wantedBy([first, second], LOOPBACK).map(ruleKey)).toEqual(["tcp/127.0.0.1/80>127.0.0.1:80"])
  })

  test("what is no port is left out", () => {
    const odd = container("odd", {
      "80/tcp": [["", 0]],
      "81/tcp": [["", 70_000]],
      "82/tcp": [["", Number.NaN]],
    })
    expect(wantedBy([odd], LOOPBACK)).toEqual([])
  })
})

test("wishesOf() names what cannot be forwarded", () => {
  const { forwards, unforwardable } = wishesOf(container("signal", { "132/sctp": [["", 132]] }), LOOPBACK)
  expect(forwards).toEqual([])
  expect(unforwardable).toEqual([
    { container: { id: "id-signal", name: "signal" }, port: "132/sctp", hostPort: 132 },
  ])
})

test("diff() removes what is not wanted and adds what is missing, a changed rule both", () => {
  const plain = { transport: "tcp", hostAddress: LOOPBACK, hostPort: 1, guestPort: 1 } as const
  const changed = { ...plain, guestAddress: LOOPBACK }
  const other = { ...plain, hostPort: 2 }
  expect(diff([plain, other], [changed, other])).toEqual({ remove: [plain], add: [changed] })
  expect(diff([], [])).toEqual({ remove: [], add: [] })
})
