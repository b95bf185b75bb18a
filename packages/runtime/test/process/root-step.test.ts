/**
 * Both sides of a step that may need root.
 *
 * @module
 */
import { writeFileSync } from "node:fs"
import { Readable } from "node:stream"
import { temporaryDirectory } from "@skep/testkit"
import { describe, expect, it } from "vitest"
import { type RootStep, readOrder, runRootStep } from "../../src/process/root-step.ts"

const OUTPUT_MAX = 1000

function step(script: string, more: Partial<RootStep> = {}): RootStep {
  return {
    line: [process.execPath, "-e", script],
    input: '{"what":1}',
    interactive: false,
    prompt: "password: ",
    sudo: undefined,
    outputMax: OUTPUT_MAX,
    signal: new AbortController().signal,
    refused: { message: "Cannot do it: sudo did not run it", next: "Do it yourself" },
    withoutSudo: "Install sudo",
    ...more,
  }
}

describe("runRootStep()", () => {
  it("resolves with the answer to what it was told", async () => {
    const echo = "process.stdin.pipe(process.stdout)"
    expect(await runRootStep(step(echo))).toEqual({ what: 1 })
  })

  it("puts the program behind sudo, by words", async () => {
    // Says what it was called with.
    await using directory = await temporaryDirectory()
    const sudo = directory.at("sudo")
    writeFileSync(sudo, '#!/bin/sh\nprintf \'{"words":"%s"}\' "$*"\n', { mode: 0o755 })
    const line = ["program", "a b", "$(c)"] as const
    expect(await runRootStep(step("", { sudo, line }))).toEqual({ words: "-n -- program a b $(c)" })
    expect(await runRootStep(step("", { sudo, line, interactive: true }))).toEqual({
      words: "-p password:  -- program a b $(c)",
    })
  })

  it.each([
    [
      "its error",
      'console.log(JSON.stringify({error:{code:"busy",message:"Cannot"}})); process.exitCode = 4',
      "busy",
    ],
    ["no answer", "process.exitCode = 1", "permission-denied"],
    ["too long an answer", `console.log("x".repeat(${OUTPUT_MAX + 1}))`, "internal"],
  ])("rejects with %s", async (_, script, code) => {
    await expect(runRootStep(step(script))).rejects.toMatchObject({ code })
  })

  it("rejects where the program is missing, and where it is told to stop", async () => {
    const missing = step("", { line: ["/nowhere/sudo"] })
    await expect(runRootStep(missing)).rejects.toMatchObject({
      code: "host-program-missing",
      next: "Install sudo",
    })
    const stop = new AbortController()
    const ended = runRootStep(step("setInterval(() => 0, 1000)", { signal: stop.signal }))
    stop.abort(new Error("stopped"))
    await expect(ended).rejects.toThrow("stopped")
  })
})

describe("readOrder()", () => {
  it("reads JSON, whatever pieces it comes in", async () => {
    const pieces = ['{"name":"', Buffer.from("ä").subarray(0, 1), Buffer.from("ä").subarray(1), '"}']
    expect(await readOrder(Readable.from(pieces), 100)).toEqual({ name: "ä" })
  })

  it.each([
    ["", 10],
    ["{", 10],
    ["1".repeat(11), 10],
  ])("refuses %j of at most %i bytes", async (text, most) => {
    await expect(readOrder(Readable.from([text]), most)).rejects.toMatchObject({ code: "bad-options" })
  })
})
