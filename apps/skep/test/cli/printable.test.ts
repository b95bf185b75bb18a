/**
 * @module
 */
import fc from "fast-check"
import { expect, test } from "vitest"
import { logPrinter } from "../../src/cli/log-printer.ts"
import { Output } from "../../src/cli/output.ts"
import { plain, printable } from "../../src/cli/printable.ts"
import { printed } from "./printed.ts"

const ESC = "\u001b"

test.each([
  ["plain text\twith a tab\n", "plain text\twith a tab\n"],
  [`${ESC}[1;31mred${ESC}[0m`, `${ESC}[1;31mred${ESC}[0m`],
  [`${ESC}[38:5:1mred`, `${ESC}[38:5:1mred`],
  [`${ESC}[2J${ESC}[Hcleared`, "cleared"],
  [`${ESC}[?25l${ESC}[6nasked`, "asked"],
  [`${ESC}]0;title\u0007after`, "after"],
  [`${ESC}]52;c;aGk=${ESC}\\after`, "after"],
  [`${ESC}Pq#0${ESC}\\after`, "after"],
  [`${ESC}c${ESC}(0reset`, "reset"],
  ["one\rtwo\u0008\u0000\u007f\u009b2J", "onetwo2J"],
  [`${ESC}`, ""],
  ["ünïcode ✓", "ünïcode ✓"],
])("printable(%j) is %j", (text, expected) => {
  expect(printable(text)).toBe(expected)
})

test("plain() drops colours too, and keeps tabs and newlines", () => {
  expect(plain(`${ESC}[1;31mred${ESC}[0m\tand\r\n${ESC}]0;title\u0007after`)).toBe("red\tand\nafter")
})

test("printable() leaves no control character but tab, newline and those of colours, whatever comes", () => {
  const pieces = fc.constantFrom(
    ESC,
    "[",
    "]",
    "m",
    "J",
    ";",
    "1",
    "\u0007",
    "\\",
    "P",
    "\r",
    "\n",
    "\t",
    "x",
    "\u009b",
  )
  fc.assert(
    fc.property(fc.array(pieces, { maxLength: 40 }), (words) => {
      // oxlint-disable-next-line no-control-regex -- what must not be there
      const left = printable(words.join("")).replace(/\u001b\[[0-9;:]*m/g, "")
      // oxlint-disable-next-line no-control-regex -- as above
      expect(left).not.toMatch(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/)
    }),
  )
})

test("a log into a pipe keeps its bytes", async () => {
  const { out } = await printed(() => {
    const printer = logPrinter(new Output(false), "console")
    printer.write(Buffer.from(`${ESC}[2Jraw\r\n`))
    printer.end()
  })
  expect(out).toBe(`${ESC}[2Jraw\r\n`)
})

test("a log with --json is an object a line, wherever its chunks end", async () => {
  const { out } = await printed(() => {
    const printer = logPrinter(new Output(true), "docker")
    for (const chunk of ["one\ntw", "o\n\nthr", "ee"]) printer.write(Buffer.from(chunk))
    printer.end()
  })
  expect(
    out
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line)),
  ).toEqual(["one", "two", "three"].map((line) => ({ source: "docker", line })))
})
