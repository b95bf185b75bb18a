import { SidecarError } from "@skep/contract"
import { describe, expect, it } from "vitest"
import {
  checkDirectory,
  checkSocketPath,
  checkUdsPath,
  connectPath,
  firecrackerServicePath,
  forwardLink,
  forwardPath,
  servicePath,
} from "../../src/dialect/socket-path.ts"

describe("names of sockets", () => {
  it("are HyperKit's", () => {
    expect(connectPath("/v")).toBe("/v/connect")
    expect(servicePath("/v", 2376)).toBe("/v/00000002.00000948")
    expect(forwardPath("/v", 3, 1525)).toBe("/v/00000003.000005f5")
    expect(forwardLink("/v", 1525)).toBe("/v/guest.000005f5")
  })

  it("are Firecracker's", () => {
    expect(firecrackerServicePath("/v.sock", 2376)).toBe("/v.sock_2376")
  })
})

describe("a path that is too long", () => {
  it.each([
    ["a socket's", checkSocketPath, "linux", 107],
    ["a socket's", checkSocketPath, "darwin", 103],
    ["a directory's, with 18 bytes for the names", checkDirectory, "linux", 89],
    ["a directory's, with 18 bytes for the names", checkDirectory, "darwin", 85],
    ["a Firecracker socket's, with 11 bytes for the ports", checkUdsPath, "linux", 96],
  ] as const)("%s (%o on %s)", (_, check, platform, longest) => {
    expect(() => check(`/${"x".repeat(longest - 1)}`, platform)).not.toThrow()
    expect(refusal(() => check(`/${"x".repeat(longest)}`, platform)).code).toBe("path-too-long")
  })

  it("is refused with the reason, in bytes", () => {
    expect(refusal(() => checkDirectory(`/${"é".repeat(50)}`, "linux")).message).toBe(
      `Cannot use "/${"é".repeat(50)}" for sockets: it has 101 bytes, and the names of its sockets take 18 more; a socket's path may have 107`,
    )
    expect(refusal(() => checkSocketPath("x".repeat(104), "darwin")).message).toMatch(
      /it has 104 bytes; a socket's path may have 103$/,
    )
  })
})

function refusal(run: () => void): SidecarError {
  try {
    run()
  } catch (error) {
    if (error instanceof SidecarError) return error
    throw error
  }
  throw new Error("not refused")
}
