import { describe, expect, it } from "vitest"
import { type Event, next, type State } from "../../src/device/state.ts"

const EVENTS: readonly Event[] = [
  "opened",
  "finished",
  "failed",
  "dropped",
  "forgotten",
  "owing",
  "told",
  "drained",
]
/** What each state becomes by each event, in the order above; "-" where it cannot happen. */
const TABLE: readonly (readonly [State, string])[] = [
  ["requested", "established - resetting - ended - - -"],
  ["connecting", "established - resetting ended ended - - -"],
  ["established", "- lingering resetting - ended draining - -"],
  ["lingering", "- - resetting - ended - - -"],
  ["resetting", "- - - - ended - ended -"],
  ["draining", "- - - - - - - ended"],
  ["ended", "- - - - - - - -"],
]

describe("next()", () => {
  it.each(TABLE)("from %s", (state, expected) => {
    expect(EVENTS.map((event) => next(state, event) ?? "-").join(" ")).toBe(expected)
  })
})
