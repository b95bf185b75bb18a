/** The lines of the agent's protocol: as specified, one case for each way to be wrong, and anything at all. */
import * as fc from "fast-check"
import { describe, expect, test } from "vitest"
import * as protocol from "../../src/agent/lines/protocol.ts"

const BOOT_ID = "8cafe1b0-ec95-43fa-845e-3266066b9e5f"

describe("parse()", () => {
  test.each([
    [`hello 1 ${BOOT_ID} 5.48`, { kind: "hello", hello: { version: 1, bootId: BOOT_ID, uptimeMs: 5480 } }],
    ["phase docker 4.91", { kind: "phase", phase: { name: "docker", guestSeconds: 4.91 } }],
    [
      "failed disk cannot mount /dev/vdb",
      { kind: "failed", failed: { phase: "disk", reason: "cannot mount /dev/vdb" } },
    ],
    ["stopping", { kind: "stopping" }],
    ["idle", { kind: "idle" }],
    ["closing line-too-long", { kind: "closing", reason: "line-too-long" }],
    ["time 7 1795255880.259257000", { kind: "time", token: "7", guestMs: 1795255880259.257 }],
    ["fact 7 load 0.10 0.03 0.01", { kind: "fact", token: "7", words: ["load", "0.10", "0.03", "0.01"] }],
    ["done a.b-c_9", { kind: "done", token: "a.b-c_9" }],
    ["error - bad-token", { kind: "error", token: "-", reason: "bad-token" }],
  ])("reads %s", (line, said) => {
    expect(protocol.parse(line)).toEqual(said)
  })

  test.each([
    ["x".repeat(protocol.LINE_MAX + 1), "too-long"],
    ["", "unknown-line"],
    ["HELLO 1", "unknown-line"],
    [" phase docker 4.91", "unknown-line"],
    ["hello one a 5", "bad-arguments"],
    [`hello 1 ${BOOT_ID.toUpperCase()} 5.48`, "bad-arguments"],
    [`hello 1 ${BOOT_ID} 5.48 more`, "bad-arguments"],
    ["phase docker", "bad-arguments"],
    ["phase docker -4", "bad-arguments"],
    ["phase docker 1e9", "bad-arguments"],
    ["phase do/cker 4", "bad-arguments"],
    ["failed disk", "bad-arguments"],
    ["stopping now", "bad-arguments"],
    ["time 7 1795255880", "bad-arguments"],
    ["time 7 1795255880.2", "bad-arguments"],
    ["time a/b 1795255880.259257000", "bad-arguments"],
    ["done 7 8", "bad-arguments"],
    ["done t\u0007", "bad-arguments"],
    ["error 7", "bad-arguments"],
    [`done ${"t".repeat(65)}`, "bad-arguments"],
  ])("says of %j what is wrong", (line, reason) => {
    expect(protocol.parse(line)).toBe(reason)
  })

  test("lets no control character through in a reason", () => {
    expect(protocol.parse("failed disk \u001b[31mred\u0085")).toMatchObject({
      failed: { reason: "\ufffd[31mred\ufffd" },
    })
  })

  test("takes the greeting of a later version, whatever it adds", () => {
    expect(protocol.parse(`hello 2 ${BOOT_ID} 5.48 more`)).toMatchObject({ hello: { version: 2 } })
  })

  test("never throws", () => {
    const words = fc.constantFrom(
      "hello",
      "phase",
      "failed",
      "time",
      "fact",
      "done",
      "error",
      "1",
      "-",
      "1.5",
      "",
      BOOT_ID,
    )
    const line = fc.oneof(
      fc.string({ unit: "binary", maxLength: 200 }),
      fc.array(fc.oneof(words, fc.string({ maxLength: 8 })), { maxLength: 6 }).map((list) => list.join(" ")),
    )
    fc.assert(
      fc.property(line, (text) => {
        const said = protocol.parse(text)
        if (typeof said === "string") expect(["too-long", "unknown-line", "bad-arguments"]).toContain(said)
        else expect(text.startsWith(said.kind)).toBe(true)
      }),
    )
  })
})

describe("emit()", () => {
  test("writes each request", () => {
    expect(protocol.emit({ verb: "time", token: "1" })).toBe("time 1\n")
    expect(protocol.emit({ verb: "set-time", token: "2", epochMs: 1795255880259.257 })).toBe(
      "set-time 2 1795255880.259257000\n",
    )
  })

  test("writes a time that parse() reads back, to the microsecond", () => {
    const microseconds = fc.integer({ min: 0, max: 9e15 })
    fc.assert(
      fc.property(microseconds, (us) => {
        const line = protocol.emit({ verb: "set-time", token: "t", epochMs: us / 1000 })
        const said = protocol.parse(line.trimEnd().replace("set-time", "time"))
        expect(said).toMatchObject({ kind: "time", token: "t" })
        if (typeof said !== "string" && said.kind === "time")
          expect(Math.abs(said.guestMs * 1000 - us)).toBeLessThan(2)
      }),
    )
  })
})
