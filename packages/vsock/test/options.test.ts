import { SidecarError } from "@skep/contract"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { DEFAULT_LIMITS } from "../src/device/streams.ts"
import { ownPaths, parseVsockOptions } from "../src/options.ts"

const MINIMAL = { guestCid: 3, socket: "/run/vhost.sock" }

describe("parseVsockOptions()", () => {
  it("needs a cid and the vhost-user socket, and fills in the rest", () => {
    expect(parseVsockOptions(MINIMAL, "linux")).toEqual({
      ...MINIMAL,
      guestForwards: [],
      ports: [],
      limits: DEFAULT_LIMITS,
      lonelyMs: 0,
    })
  })

  it("takes all there is", () => {
    const options = {
      ...MINIMAL,
      directory: "/run/vsock",
      guestForwards: [2376],
      udsPath: "/run/v.sock",
      ports: [
        { port: 5, path: "/run/a.sock", mode: "connect" },
        { port: 5, path: "/run/b.sock" },
      ],
      limits: { maxStreams: 10 },
    }
    const parsed = parseVsockOptions(options, "linux")
    expect(parsed.limits).toEqual({ ...DEFAULT_LIMITS, maxStreams: 10 })
    expect(parsed.ports[1]?.mode).toBe("listen")
    expect(ownPaths(parsed)).toEqual([
      "/run/vhost.sock",
      "/run/vsock/connect",
      "/run/vsock/00000003.00000948",
      "/run/vsock/guest.00000948",
      "/run/v.sock",
      "/run/a.sock",
    ])
  })

  it.each([
    [{}, "bad-options", '"guestCid": it is missing'],
    [null, "bad-options", "the options: it is null"],
    [{ ...MINIMAL, guestCid: 2 }, "bad-options", '"guestCid": it is 2'],
    [{ ...MINIMAL, guestCid: 2 ** 32 - 1 }, "bad-options", "guestCid"],
    [{ ...MINIMAL, socket: "vhost.sock" }, "bad-options", "must be an absolute path"],
    [{ ...MINIMAL, more: 1 }, "bad-options", "more"],
    [{ ...MINIMAL, guestForwards: [1] }, "bad-options", 'they need a "directory"'],
    [{ ...MINIMAL, lonelyMs: -1 }, "bad-options", '"lonelyMs": it is -1'],
    [{ ...MINIMAL, limits: { bufferBytes: 1 } }, "bad-options", '"limits.bufferBytes": it is 1'],
    [{ ...MINIMAL, ports: [{ port: -1, path: "/a" }] }, "bad-options", '"ports.0.port": it is -1'],
    [{ ...MINIMAL, ports: [{ port: 1, path: "/a", mode: "both" }] }, "bad-options", "ports.0.mode"],
    [{ ...MINIMAL, udsPath: MINIMAL.socket }, "bad-options", '"/run/vhost.sock" is there twice'],
    [
      { ...MINIMAL, directory: "/v", guestForwards: [7, 7] },
      "bad-options",
      '"/v/00000003.00000007" is there twice',
    ],
    [
      {
        ...MINIMAL,
        ports: [
          { port: 1, path: "/a" },
          { port: 1, path: "/b" },
        ],
      },
      "bad-options",
      'the host ports: "1" is there twice',
    ],
    [{ ...MINIMAL, socket: `/${"x".repeat(107)}` }, "path-too-long", "it has 108 bytes"],
    [{ ...MINIMAL, directory: `/${"x".repeat(89)}` }, "path-too-long", "18 more"],
    [{ ...MINIMAL, udsPath: `/${"x".repeat(96)}` }, "path-too-long", "11 more"],
    [{ ...MINIMAL, ports: [{ port: 1, path: `/${"x".repeat(107)}` }] }, "path-too-long", "108"],
  ])("refuses %o", (input, code, reason) => {
    const error = thrownBy(() => parseVsockOptions(input, "linux"))
    expect(error).toMatchObject({ code })
    expect(error.message).toContain(reason)
  })

  it("throws nothing else, whatever it is given", () => {
    fc.assert(
      fc.property(fc.anything(), fc.anything(), (some, other) => {
        for (const input of [some, { ...MINIMAL, ports: some, limits: other }]) {
          try {
            parseVsockOptions(input, "darwin")
          } catch (error) {
            expect(error).toBeInstanceOf(SidecarError)
          }
        }
      }),
    )
  })
})

function thrownBy(run: () => unknown): SidecarError {
  try {
    run()
  } catch (error) {
    if (error instanceof SidecarError) return error
    throw error
  }
  throw new Error("not refused")
}
