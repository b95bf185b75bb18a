import { constants } from "node:os"
import * as sys from "@skep/loop/sys"
import { describe, expect, it } from "vitest"

describe("errnoName()", () => {
  it.runIf(process.platform === "linux")("agrees with Node's table, aliases apart", () => {
    const aliases = { EWOULDBLOCK: "EAGAIN", ENOTSUP: "EOPNOTSUPP" }
    for (const [name, errno] of Object.entries(constants.errno)) {
      const ours = Object.entries(aliases).find(([alias]) => alias === name)?.[1] ?? name
      expect(sys.errnoName(errno)).toBe(ours)
      expect(sys.errnoName(-errno)).toBe(ours)
      expect(sys.errnoOf(ours)).toBe(errno)
    }
  })

  it("names what has no name by its number", () => {
    expect(sys.errnoName(41)).toBe("E41")
    expect(sys.errnoName(4096)).toBe("E4096")
    expect(sys.errnoOf("-")).toBeUndefined()
    expect(sys.errnoOf("ENOSUCHTHING")).toBeUndefined()
  })
})

describe("check()", () => {
  it("passes on results and throws refusals", () => {
    expect(sys.check(0, "read")).toBe(0)
    expect(sys.check(7, "read")).toBe(7)
    expect(() => sys.check(-sys.ECONNREFUSED, "connect")).toThrow("connect: ECONNREFUSED")
    expect(() => sys.check(-2, "open", "no config")).toThrow("open: ENOENT, no config")
    expect(new sys.SystemError("open", 2)).toMatchObject({ code: "ENOENT", errno: 2, syscall: "open" })
  })
})
