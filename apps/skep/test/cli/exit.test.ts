/**
 * @module
 */
import type { ErrorCode } from "@skep/contract"
import { EXIT, exitCodeFor } from "@skep/runtime/exit"
import { expect, test } from "vitest"
import { EXIT_HELP } from "../../src/cli/exit.ts"

const CASES: readonly (readonly [ErrorCode, number])[] = [
  ["bad-options", 2],
  ["bad-name", 2],
  ["too-small", 2],
  ["not-found", 3],
  ["busy", 4],
  ["not-running", 4],
  ["timeout", 5],
  ["unreachable", 5],
  ["host-program-missing", 6],
  ["aborted", 130],
  ["internal", 1],
  ["disk-full", 1],
]

test.each(CASES)("%s exits with %d", (code, exit) => {
  expect(exitCodeFor(code)).toBe(exit)
})

test("the help names every exit code once", () => {
  const named = EXIT_HELP.split("\n").map((line) => Number.parseInt(line, 10))
  expect(named).toEqual(Object.values(EXIT))
})
