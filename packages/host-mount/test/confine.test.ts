import { posix } from "node:path"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { confine } from "../src/confine.ts"

const part = fc.constantFrom("..", ".", "a", "b", "…", "")
const target = fc
  .tuple(fc.boolean(), fc.array(part, { maxLength: 8 }))
  .map(([absolute, parts]) => `${absolute ? "/" : ""}${parts.join("/")}`)
const link = fc
  .array(fc.constantFrom("a", "b", "c"), { minLength: 1, maxLength: 5 })
  .map((parts) => `/${parts.join("/")}`)

describe("confine()", () => {
  it.each([
    ["/a", "b", "b"],
    ["/d/a", "../b/c", "../b/c"],
    ["/d/a", "./b//c", "./b//c"],
    ["/etc/resolv.conf", "/run/resolv.conf", "../run/resolv.conf"],
    ["/etc/a", "/etc/b", "b"],
    ["/etc/a", "/", ".."],
    ["/a", "/", "."],
    ["/a", "../../etc/passwd", "etc/passwd"],
    ["/d/a", "../../../etc/passwd", "../etc/passwd"],
    ["/d/e/a", "x/../../../../y", "../../y"],
  ])("shows %s -> %s as %s", (path, text, shown) => {
    expect(confine(path, text)).toBe(shown)
  })

  it("finds an absolute path of the machine below the mounted part", () => {
    expect(confine("/lib/a", "/srv/www/index", "/srv/www")).toBe("../index")
    expect(confine("/lib/a", "/srv/www", "/srv/www")).toBe("..")
    expect(confine("/lib/a", "/srv/www2/x", "/srv/www")).toBe("../srv/www2/x")
  })

  it("never leads above the root, not even through other links", () => {
    fc.assert(
      fc.property(link, target, (path, text) => {
        const shown = confine(path, text)
        expect(shown).not.toMatch(/^\//)
        // What stays in place does not matter.
        const parts = shown.split("/").filter((one) => one !== "" && one !== ".")
        const names = parts.findIndex((one) => one !== "..")
        const ups = names < 0 ? parts.length : names
        // Depth of the directory that the link is in.
        expect(ups).toBeLessThanOrEqual(path.split("/").length - 2)
        expect(parts.slice(ups)).not.toContain("..")
      }),
      { numRuns: 1000 },
    )
  })

  it("means the same file as the target does below a root of its own", () => {
    fc.assert(
      fc.property(link, target, (path, text) => {
        const directory = posix.dirname(path)
        const shown = posix.resolve(directory, confine(path, text))
        expect(shown).toBe(posix.resolve(directory, text))
      }),
    )
  })

  it("changes nothing the second time", () => {
    fc.assert(
      fc.property(link, target, (path, text) => {
        const once = confine(path, text)
        expect(confine(path, once)).toBe(once)
      }),
    )
  })
})
