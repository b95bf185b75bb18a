import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { option } from "../../src/hypervisor/option.ts"

describe("option()", () => {
  it("writes a comma twice, so that a value cannot become an option", () => {
    expect(option("socket", { id: "a", path: "/x,server=off", server: true })).toBe(
      "socket,id=a,path=/x,,server=off,server=on",
    )
    expect(option("", { guest: "a,b" })).toBe("guest=a,,b")
  })

  it("gives every value back to who splits at single commas", () => {
    const values = fc.dictionary(
      fc.stringMatching(/^[a-z]{1,8}$/),
      fc.stringMatching(/^[ -~]+$/).filter((text) => !text.startsWith(",")),
    )
    fc.assert(
      fc.property(values, (pairs) => {
        const joined = option("head", pairs)
        const parts = joined.replaceAll(",,", "\0").split(",").slice(1)
        const back = parts.map((part) => part.replaceAll("\0", ","))
        expect(back).toEqual(Object.entries(pairs).map(([key, value]) => `${key}=${value}`))
      }),
    )
  })
})
