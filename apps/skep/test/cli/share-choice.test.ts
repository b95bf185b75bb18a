/**
 * `--share` and its companions.
 *
 * @module
 */
import { mkdirSync } from "node:fs"
import { homedir } from "node:os"
import { join } from "node:path"
import { temporaryDirectory } from "@skep/testkit"
import { describe, expect, test } from "vitest"
import { hostPath, parseShare, parseShareArgument, sharesFrom } from "../../src/cli/share-choice.ts"

describe("parseShare()", () => {
  test.each([
    ["/a", { path: "/a" }],
    ["/a:ro", { path: "/a", readOnly: true }],
    ["/a:rw", { path: "/a", readOnly: false }],
    ["/a:/b", { path: "/a", target: "/b" }],
    ["/a:/b:ro", { path: "/a", target: "/b", readOnly: true }],
    ["~/x:/b", { path: `${homedir()}/x`, target: "/b" }],
    ["ro", { path: hostPath("ro") }],
  ])("%s", (text, wish) => {
    expect(parseShare(text)).toEqual([wish])
  })

  test("adds to those before", () => {
    expect(parseShare("/b", parseShare("/a"))).toEqual([{ path: "/a" }, { path: "/b" }])
  })

  test.each(["", ":/b", "/a:", "/a::ro", "/a:b", "/a:/b:/c", "/a:/b:x"])("refuses %j", (text) => {
    expect(() => parseShare(text)).toThrow(/Write PATH|not an absolute path/)
  })
})

test("sharesFrom() says nothing of what was not said", () => {
  // Commander's own default of a --no- option is true.
  expect(sharesFrom({ homeShare: true })).toEqual({})
  expect(
    sharesFrom({ homeShare: false, share: [{ path: "/a" }], shares: "none", shareProtocol: "nfs" }),
  ).toEqual({
    homeShare: false,
    share: [{ path: "/a" }],
    sharesProvider: "none",
    shareProtocol: "nfs",
  })
  expect(sharesFrom({ shareXattrs: false })).toEqual({ shareXattrs: false })
})
describe("parseShareArgument()", () => {
  test("is written as --share is", () => {
    expect(parseShareArgument("/srv/data:/data:ro")).toEqual({
      path: "/srv/data",
      target: "/data",
      readOnly: true,
    })
  })

  test("takes a path with a colon for a path where it is there", async () => {
    await using directory = await temporaryDirectory()
    const path = join(directory.path, "a:b")
    mkdirSync(path)
    expect(parseShareArgument(path)).toEqual({ path })
    expect(() => parseShareArgument(`${path}c`)).toThrow(/absolute/)
  })
})
