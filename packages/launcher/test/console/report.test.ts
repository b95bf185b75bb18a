import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { parseReport, provesGuest } from "../../src/console/report.ts"

describe("parseReport()", () => {
  it.each([
    ["skep: phase docker 11.42", { kind: "phase", name: "docker", guestSeconds: 11.42 }],
    ["skep: phase init 2 ", { kind: "phase", name: "init", guestSeconds: 2 }],
    ["[    1.234567] skep: phase disk 1.2", { kind: "phase", name: "disk", guestSeconds: 1.2 }],
    ["~ # \u001b[6nskep: phase docker 7.84", { kind: "phase", name: "docker", guestSeconds: 7.84 }],
    [
      "skep: failed data-disk: no space: left",
      { kind: "failed", phase: "data-disk", reason: "no space: left" },
    ],
    [
      "[    5.5] Kernel panic - not syncing: Attempted to kill init!",
      { kind: "panic", reason: "Attempted to kill init!" },
    ],
    ["skep: phase docker", undefined],
    ["skep: phase docker soon", undefined],
    ["echo Kernel panic - not syncing: x", undefined],
    ["", undefined],
  ])("reads %j", (line, report) => {
    expect(parseReport(line)).toEqual(report)
  })

  it("finds every phase that a guest may report", () => {
    fc.assert(
      fc.property(fc.stringMatching(/^[a-z-]{1,64}$/), fc.nat({ max: 99_999_999 }), (name, hundredths) => {
        const guestSeconds = hundredths / 100
        expect(parseReport(`skep: phase ${name} ${guestSeconds.toFixed(2)}`)).toEqual({
          kind: "phase",
          name,
          guestSeconds,
        })
      }),
    )
  })

  it("never throws, whatever the line", () => {
    fc.assert(fc.property(fc.string({ unit: "binary", maxLength: 1024 }), (line) => void parseReport(line)))
  })
})

describe("provesGuest()", () => {
  it.each([
    ["[    0.000000] Linux version 6.1.0", true],
    ["skep: phase kernel 1.13", true],
    ["Probing EDD (edd=off to disable)... ok", false],
    ["Decompressing Linux... Parsing ELF... done.", false],
    ["SeaBIOS (version 1.16.2)", false],
    ["   ", false],
    ["", false],
  ])("of %j says %s", (line, proof) => {
    expect(provesGuest(line)).toBe(proof)
  })
})
