import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { type Pattern, parsePattern } from "../../../src/dns/names/pattern.ts"

function pattern(source: string): Pattern {
  const parsed = parsePattern(source)
  if ("refused" in parsed) throw new Error(`${source}: ${parsed.refused}`)
  return parsed
}

describe("parsePattern()", () => {
  it.each([
    [String.raw`^web-\d+$`, ["web-1", "web-12"], ["web-", "xweb-1", "web-1x"]],
    ["db", ["db", "a.db.b"], ["d-b"]],
    ["^(a|b.*c)$", ["a", "bc", "bxyc"], ["ab", "b"]],
    ["^(?:ab){2,3}$", ["abab", "ababab"], ["ab", "abababab"]],
    ["^(?P<name>x)?y$", ["y", "xy"], ["xxy"]],
    ["^[^.]+$", ["a-b"], ["a.b", ""]],
    ["^[a-c\\d_-]{2}$", ["a1", "_-"], ["d1", "a"]],
    ["^A\\.B$", ["a.b"], ["a-b"]],
    ["^x{2,}$", ["xx", "xxxx"], ["x"]],
    ["^(a*)*$", ["", "aaa"], ["b"]],
    ["^$|^q$", ["", "q"], ["x"]],
    ["", ["", "x"], []],
    ["[]x]y", ["]y", "xy"], ["y"]],
    [String.raw`^\D\W\S$`, ["a-x"], ["1-x", "aax", "a- "]],
  ])("%s", (source, yes, no) => {
    const compiled = pattern(source)
    expect(yes.filter((text) => !compiled.test(text))).toEqual([])
    expect(no.filter((text) => compiled.test(text))).toEqual([])
  })

  it.each([
    "(",
    ")",
    "a)b",
    "[a",
    "*",
    "a**",
    "a{3,2}",
    "a{99}",
    "a{1,2}{3}",
    "(?=a)",
    "(?i)a",
    "\\b",
    "\\1",
    "\\",
    "x".repeat(201),
    "(((a{9}){9}){9}){9}",
    "(".repeat(30),
  ])("refuses %s with a reason", (source) => {
    expect(parsePattern(source)).toEqual({ refused: expect.stringMatching(/./) })
  })

  it("agrees with JavaScript's matcher", () => {
    const leaf = fc.constantFrom("a", "b", ".", "[ab]", "[^a]", "\\d", "^", "$")
    const { tree } = fc.letrec<{ tree: string }>((tie) => ({
      tree: fc.oneof(
        { maxDepth: 3 },
        leaf,
        fc.tuple(tie("tree"), tie("tree")).map(([one, two]) => one + two),
        fc.tuple(tie("tree"), tie("tree")).map(([one, two]) => `(?:${one}|${two})`),
        fc
          .tuple(tie("tree"), fc.constantFrom("*", "+", "?", "{1,2}", "*?"))
          .map(([one, many]) => `(?:${one})${many}`),
      ),
    }))
    fc.assert(
      fc.property(tree, fc.stringMatching(/^[ab1.]{0,6}$/), (source, text) => {
        expect(pattern(source).test(text)).toBe(new RegExp(source).test(text))
      }),
      { numRuns: 3000 },
    )
  })

  it("does not go astray where a matcher that goes back would", () => {
    const name = "a".repeat(253)
    expect(pattern("^(a+)+b$").test(name)).toBe(false)
    expect(pattern(`^${"(a|a)".repeat(35)}b$`).test(name)).toBe(false)
    expect(pattern(`^${"a?".repeat(60)}${"a".repeat(60)}b$`).test(name)).toBe(false)
    expect(pattern("^(.*.*.*.*)*b$").test(name)).toBe(false)
  })
})
