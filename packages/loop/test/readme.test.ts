import { spawnSync } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { expect, it } from "vitest"
import { bundle } from "./thread/bundle.ts"

it("the README's example runs", async () => {
  const readme = readFileSync(join(import.meta.dirname, "../README.md"), "utf8")
  const directory = mkdtempSync(join(import.meta.dirname, "../../../node_modules/loop-readme-"))
  try {
    for (const [, name = "", source = ""] of readme.matchAll(/```ts\n\/\/ (\w+\.ts)[^\n]*\n(.*?)```/gs))
      writeFileSync(join(directory, name), source)
    using bundled = await bundle({ main: join(directory, "main.ts"), greeter: join(directory, "greeter.ts") })
    const { stdout, stderr, status } = spawnSync(process.execPath, [join(bundled.path, "main.js")], {
      encoding: "utf8",
    })
    expect({ stdout, stderr, status }).toEqual({ stdout: "Hello, bee, now\n", stderr: "", status: 0 })
  } finally {
    rmSync(directory, { recursive: true })
  }
})
