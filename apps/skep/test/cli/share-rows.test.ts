/**
 * What people are told of shares.
 *
 * @module
 */
import { describe, expect, test } from "vitest"
import type { SharedDirectory } from "../../src/backend/shares.ts"
import { shareEventLine, shareRows, shareSentence, shareTable } from "../../src/cli/share-rows.ts"

function share(more: Partial<SharedDirectory> = {}): SharedDirectory {
  const rule = {
    path: "/a",
    target: "/a",
    readOnly: false,
    cache: "consistent",
    ownership: "virtual",
  } as const
  return { ...rule, state: "mounted", ...more }
}

describe("shareTable()", () => {
  test("has a row a share, how they get there, and what is wrong with some", () => {
    const gone = share({ path: "/b", target: "/x", readOnly: true, cache: "cached", state: "gone" })
    const view = {
      provider: "skep",
      protocol: "virtiofs",
      reason: "it is fast",
      shares: [share(), gone],
    } as const
    expect(shareTable(view)).toEqual({
      head: ["TARGET", "PATH", "ACCESS", "CACHE", "OWNERSHIP", "STATE"],
      rows: [
        ["/a", "same", "read-write", "consistent", "virtual", "mounted"],
        ["/x", "/b", "read-only", "cached", "virtual", "gone"],
      ],
      remarks: ["by virtiofs: it is fast", "/x is empty until /b is there again"],
    })
    const [row] = shareTable({ ...view, protocol: "exports" }).rows
    expect(row).toContain("yours")
  })
})

test.each([
  [share(), "/a is shared with m"],
  [share({ target: "/x", readOnly: true }), "/a is shared with m at /x, for reading only"],
  [share({ state: "stopped" }), "/a is shared with m, and there when it is up"],
  [share({ state: "unserved" }), "/a is shared with m, and there when it was started again: skep restart m"],
  [share({ state: "failed", reason: "refused" }), "/a is shared with m, but it is failed: refused"],
])("shareSentence() %#", (one, sentence) => {
  expect(shareSentence(one, "m")).toBe(sentence)
})

test("shareRows() is a row a share, and none for a machine without", () => {
  expect(shareRows(undefined)).toEqual([])
  const view = {
    provider: "skep",
    protocol: "virtiofs",
    shares: [share(), share({ path: "/b", target: "/x" })],
  } as const
  expect(shareRows(view)).toEqual([
    ["share", "/a (read-write, mounted, by virtiofs)"],
    ["share", "/b -> /x (read-write, mounted, by virtiofs)"],
  ])
  expect(shareRows({ provider: "skep", shares: [share({ state: "stopped" })] })).toEqual([
    ["share", "/a (read-write)"],
  ])
})

describe("shareEventLine()", () => {
  const at = new Date(2026, 0, 1, 12, 30, 5)
  test.each([
    [
      { type: "file-event", target: "/a", kind: "write", path: "x/y", isDirectory: false },
      "write       /a/x/y",
    ],
    [{ type: "file-event", target: "/a", kind: "make", path: "d", isDirectory: true }, "make        /a/d/"],
    [{ type: "file-event", target: "/a", kind: "rename", path: "x", to: "y" }, "rename      /a/x -> /a/y"],
    [
      { type: "file-event", target: "/a", kind: "overflow" },
      "overflow    /a: there was more than could be told",
    ],
    [
      { type: "share-gone", target: "/a", reason: "the directory is gone" },
      "gone        /a: the directory is gone",
    ],
    [{ type: "share-back", target: "/a" }, "back        /a"],
  ])("%j", (event, text) => {
    expect(shareEventLine(event, at)).toBe(`12:30:05  ${text}`)
  })
  test.each([{ type: "connected" }, { type: "disconnected", reason: "x" }, { type: "other", target: "/a" }])(
    "says nothing of %j",
    (event) => {
      expect(shareEventLine(event, at)).toBeUndefined()
    },
  )
})
