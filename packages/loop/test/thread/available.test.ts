import { spawnSync } from "node:child_process"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import { available } from "@skep/loop"
import { bundle } from "@skep/testkit/bundle"
import { describe, expect, it } from "vitest"

describe("available()", () => {
  it("is true here, where the rest of these tests runs", () => {
    expect(available()).toEqual({ available: true })
  })

  it("says why not where koffi is not installed, and nothing throws before it is used", async () => {
    // Outside the repository no koffi is found.
    using bundled = await bundle(
      { loop: "index.ts", sys: "sys/index.ts" },
      { from: join(import.meta.dirname, "../../src"), parent: tmpdir() },
    )
    const url = (name: string): string => JSON.stringify(pathToFileURL(bundled.at(name)).href)
    const script = `
      const { available, startLoop } = await import(${url("loop.js")})
      const sys = await import(${url("sys.js")})
      const say = (error) => console.log(error.code, error.message)
      console.log(available().available, available().reason)
      await startLoop(new URL("file:///nowhere.js")).catch(say)
      try { sys.eventfd() } catch (error) { say(error) }`
    const { stdout, stderr } = spawnSync(process.execPath, ["--input-type=module", "-e", script], {
      encoding: "utf8",
      cwd: tmpdir(),
    })
    expect(stderr).toBe("")
    expect(stdout.split("\n")).toEqual([
      "false koffi cannot be loaded here (Cannot find module 'koffi')",
      "unavailable Cannot start a loop: koffi cannot be loaded here (Cannot find module 'koffi')",
      "undefined Cannot make a system call: koffi cannot be loaded here (Cannot find module 'koffi')",
      "",
    ])
  })
})
