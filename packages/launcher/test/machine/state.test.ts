import type { MachineState } from "@skep/contract"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { type EndFacts, endingOf, type Happening, next } from "../../src/machine/state.ts"

const HAPPENINGS: readonly Happening[] = [
  "first-line",
  "stop",
  "resume",
  "reset",
  "powerdown",
  "powerdown-ignored",
  "ended-clean",
  "ended-crashed",
]

/** One row a state, one column a happening, in the order above; a dot stays. */
const TABLE: readonly (readonly [MachineState, string])[] = [
  ["starting", "running paused . . stopping . stopped crashed"],
  ["running", ". paused . starting stopping . stopped crashed"],
  ["paused", ". . running . stopping . stopped crashed"],
  ["stopping", ". . . . . running stopped crashed"],
  ["stopped", ". . . . . . . ."],
  ["crashed", ". . . . . . . ."],
]

describe("next()", () => {
  const rows = TABLE.flatMap(([state, row]) =>
    row.split(" ").map((cell, index) => [state, HAPPENINGS[index], cell === "." ? state : cell] as const),
  )
  it.each(rows)("%s + %s = %s", (state, happening, expected) => {
    if (happening === undefined) throw new Error("a row is too long")
    expect(next(state, happening)).toBe(expected)
  })

  it("never leaves an end, whatever happens", () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...HAPPENINGS)), (happenings) => {
        let state: MachineState = "starting"
        for (const happening of happenings) {
          const before = state
          state = next(state, happening)
          if (before === "stopped" || before === "crashed") expect(state).toBe(before)
        }
      }),
    )
  })
})

describe("endingOf()", () => {
  const quiet: EndFacts = {
    asked: false,
    shutdown: undefined,
    panic: undefined,
    outOfControl: false,
    code: undefined,
    signal: undefined,
    log: [],
  }
  const assertion = ["qemu-system-x86_64: error: failed to set MSR 0x10a", "kvm.c:3183: Assertion failed."]

  it.each([
    ["asked for, whatever the process said", { asked: true, signal: "SIGKILL" }, undefined],
    ["powered off by the guest", { shutdown: "guest-shutdown", code: 0 }, undefined],
    ["powered off by the guest, adopted", { shutdown: "guest-shutdown" }, undefined],
    ["told to quit by another monitor", { shutdown: "host-qmp-quit", code: 0 }, undefined],
    ["killed", { signal: "SIGKILL" }, "killed by SIGKILL"],
    ["aborted", { signal: "SIGABRT", log: assertion }, "killed by SIGABRT: failed to set MSR 0x10a"],
    ["failed", { code: 1, log: ["no such disk"] }, "QEMU ended with exit code 1: no such disk"],
    ["failed without a word", { code: 1 }, "QEMU ended with exit code 1"],
    ["panicked", { shutdown: "guest-shutdown", panic: "no init" }, "the guest's kernel panicked: no init"],
    ["panicked through its device", { shutdown: "guest-panic", code: 0 }, "the guest's kernel panicked"],
    [
      "told to end from outside",
      { shutdown: "host-signal", code: 0 },
      "QEMU was told to end by a signal from outside",
    ],
    ["shut down in some other way", { shutdown: "host-ui", code: 0 }, "QEMU shut down: host-ui"],
    [
      "out of control",
      { outOfControl: true, signal: "SIGKILL" },
      "QEMU's monitor broke, and without it the machine is out of control",
    ],
    ["gone without a word", {}, "QEMU ended without a word"],
  ])("%s", (_name, facts, reason) => {
    const ending = endingOf({ ...quiet, ...facts })
    expect(ending).toMatchObject(reason === undefined ? { state: "stopped" } : { state: "crashed", reason })
  })
})
