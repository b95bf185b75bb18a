/**
 * @module
 */
import { execFileSync } from "node:child_process"
import { expect, test } from "vitest"
import { quote, quoteIfNeeded } from "../../src/cli/quote.ts"

const WORDS = ["plain", "", "a b", "it's", "''", '"$HOME" `x` \\', "new\nline", "*", "-n", "--x=y,z:1"]

test.each(WORDS)("a shell reads %j back as it was", (word) => {
  for (const quoted of [quote(word), quoteIfNeeded(word)]) {
    expect(execFileSync("sh", ["-c", `printf '%s' ${quoted}`], { encoding: "utf8" })).toBe(word)
  }
})

test("quoteIfNeeded() leaves alone what no shell changes", () => {
  expect(["ls", "-l", "/tmp/a_b.c", "k=v"].map(quoteIfNeeded)).toEqual(["ls", "-l", "/tmp/a_b.c", "k=v"])
})
