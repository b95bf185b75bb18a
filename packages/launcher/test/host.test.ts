import { writeFile } from "node:fs/promises"
import { temporaryDirectory } from "@skep/testkit"
import { describe, expect, it } from "vitest"
import { verdictKey, writeVerdict } from "../src/accelerator/verdict.ts"
import { findProgram } from "../src/host.ts"
import { describeHost, hostPrograms } from "../src/index.ts"

describe("describeHost()", () => {
  it("says that a program is missing without failing", async () => {
    expect(await describeHost({ program: "no-such-qemu" })).toMatchObject({
      path: undefined,
      version: undefined,
    })
  })

  it("knows the verdict of a kernel", async () => {
    await using directory = await temporaryDirectory()
    const [kernel, verdictFile] = [directory.at("vmlinuz"), directory.at("verdict.json")]
    await writeFile(kernel, "")
    const path = await findProgram("sh")
    const verdict = { proven: "tcg", failed: [] } as const
    await writeVerdict(verdictFile, await verdictKey(path, kernel), verdict)
    expect(await describeHost({ program: "sh", verdictFile, kernel })).toMatchObject({ path, verdict })
    expect(await describeHost({ program: "sh", verdictFile, kernel: directory.at("none") })).toMatchObject({
      verdict: undefined,
    })
  })
})

describe("findProgram()", () => {
  it("names the Debian package of what is missing", async () => {
    await expect(findProgram("qemu-system-none")).rejects.toMatchObject({
      code: "host-program-missing",
      message: expect.stringContaining("qemu-system-none"),
      next: expect.stringContaining("qemu-system-x86"),
    })
    expect(hostPrograms()).toEqual([{ program: "qemu-system-x86_64", debianPackage: "qemu-system-x86" }])
  })

  it("takes a program's name for a name, whatever is in it", async () => {
    await expect(findProgram("$(touch /tmp/skep-owned); sh")).rejects.toMatchObject({
      code: "host-program-missing",
    })
    await expect(findProgram("--version")).rejects.toMatchObject({ code: "host-program-missing" })
  })
})
