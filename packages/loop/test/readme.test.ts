import { spawnSync } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { bundle } from "@skep/testkit/bundle"
import { expect, it } from "vitest"

it("the README's example runs", async () => {
  const readme = readFileSync(join(import.meta.dirname, "../README.md"), "utf8")
  const directory = mkdtempSync(join(import.meta.dirname, "../../../node_modules/loop-readme-"))
  try {
    for (const [, name = "", source = ""] of readme.matchAll(/```ts\n\/\/ (\w+\.ts)[^\n]*\n(.*?)```/gs))
      writeFileSync(join(directory, name), source)
    using bundled = await bundle({ main: "main.ts", greeter: "greeter.ts" }, { from: directory })
    const { stdout, stderr, status } = spawnSync(process.execPath, [bundled.at("main.js")], {
      encoding: "utf8",
    })
    expect({ stdout, stderr, status }).toEqual({ stdout: "Hello, bee, now\n", stderr: "", status: 0 })
  } finally {
    rmSync(directory, { recursive: true })
  }
})
