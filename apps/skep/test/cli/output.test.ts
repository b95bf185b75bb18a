/**
 * @module
 */
import { SidecarError } from "@skep/contract"
import { describe, expect, test } from "vitest"
import { formatBytes, formatDuration, forUser, Output } from "../../src/cli/output.ts"
import { printed } from "./printed.ts"

test.each([
  [0, "0 B"],
  [1023, "1023 B"],
  [1024, "1 KiB"],
  [1536, "1.5 KiB"],
  [150.4 * 1024, "150 KiB"],
  [20 * 2 ** 30, "20 GiB"],
  [3000 * 2 ** 40, "3000 TiB"],
])("formatBytes(%d) is %j", (bytes, text) => {
  expect(formatBytes(bytes)).toBe(text)
})

test.each([
  [-5, "0 s"],
  [119_400, "119 s"],
  [120_000, "2 min"],
  [7_200_000, "2 h"],
  [172_800_000, "2 d"],
])("formatDuration(%d) is %j", (ms, text) => {
  expect(formatDuration(ms)).toBe(text)
})

describe("Output", () => {
  const refusal = new SidecarError("busy", 'Cannot remove "x": it runs', {
    detail: ["a", "b"],
    next: "Stop it",
  })

  test("prints an error as a sentence, the facts, the next step", async () => {
    const { out, err } = await printed(() => new Output(false).error(refusal))
    expect(out).toBe("")
    expect(err).toBe('error: Cannot remove "x": it runs [busy]\n  | a\n  | b\nnext: Stop it\n')
  })

  test("prints an error as one JSON line on stdout", async () => {
    const { out, err } = await printed(() => new Output(true).error(refusal))
    expect(JSON.parse(out)).toEqual({
      error: { code: "busy", message: refusal.message, detail: ["a", "b"], next: "Stop it" },
    })
    expect([err, out.match(/\n/g)?.length]).toEqual(["", 1])
  })

  test("keeps remarks off stdout, and to itself with JSON", async () => {
    expect(await printed(() => new Output(false).note("by the way"))).toEqual({
      out: "",
      err: "by the way\n",
    })
    expect(await printed(() => new Output(true).note("by the way"))).toEqual({ out: "", err: "" })
  })

  test("aligns columns with two spaces between and none behind", async () => {
    const { out } = await printed(() =>
      new Output(false).table(
        ["A", "LONG"],
        [
          ["value", ""],
          ["v", "w"],
        ],
      ),
    )
    expect(out).toBe("A      LONG\nvalue\nv      w\n")
  })
})

test("forUser() keeps ours, and makes a bug of anything else", () => {
  const ours = new SidecarError("busy", "x")
  expect(forUser(ours)).toBe(ours)
  const cause = new TypeError("undefined is no function")
  expect(forUser(cause)).toMatchObject({
    code: "internal",
    cause,
    next: expect.stringContaining("doctor"),
  })
  expect(forUser("text")).toMatchObject({ code: "internal", message: "Internal error: text" })
})
