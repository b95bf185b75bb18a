/**
 * @module
 */
import { expect, test } from "vitest"
import type { Progress } from "../../src/backend/operation.ts"
import { Output } from "../../src/cli/output.ts"
import { showProgress } from "../../src/cli/progress.ts"
import { printed } from "./printed.ts"

const BUILD: readonly Progress[] = [
  { type: "begin", phase: "image", title: "Guest image" },
  { type: "detail", phase: "image", text: "download: 59 packages" },
  { type: "detail", phase: "image", text: "unpack: libc6" },
  { type: "detail", phase: "image", text: "unpack: runc" },
  { type: "detail", phase: "image", text: "root" },
  { type: "end", phase: "image", title: "Guest image", seconds: 12.34 },
  { type: "begin", phase: "boot", title: "Virtual machine" },
  { type: "detail", phase: "boot", text: "qemu 7.2, tcg" },
  { type: "note", text: "by the way" },
  { type: "fail", phase: "boot", title: "Virtual machine", seconds: 1 },
]

async function* each(items: readonly Progress[]): AsyncGenerator<Progress> {
  yield* items
}

test("without a terminal, each new step of a phase is told once as it begins", async () => {
  const { out, err } = await printed(() => showProgress(new Output(false), each(BUILD)))
  expect(out).toBe("")
  expect(err.trim().split("\n")).toEqual([
    "Guest image: download: 59 packages",
    "Guest image: unpack: libc6",
    "Guest image: done in 12.3 s",
    "by the way",
    "Virtual machine: failed in 1.0 s (qemu 7.2, tcg)",
  ])
})

test("with --json, everything is told", async () => {
  const { out } = await printed(() => showProgress(new Output(true), each(BUILD)))
  expect(
    out
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line)),
  ).toEqual(BUILD)
})
