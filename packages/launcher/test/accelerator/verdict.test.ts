import { writeFile } from "node:fs/promises"
import { temporaryDirectory } from "@skep/testkit"
import { describe, expect, it } from "vitest"
import { readVerdict, verdictKey, writeVerdict } from "../../src/accelerator/verdict.ts"

const verdict = { proven: "tcg", failed: [{ accelerator: "kvm", reason: "silent" }] } as const

describe("verdicts", () => {
  it("are remembered by key and forgotten on demand", async () => {
    await using directory = await temporaryDirectory()
    const file = directory.at("verdict.json")
    expect(await readVerdict(file, "a")).toBeUndefined()
    await writeVerdict(file, "a", verdict)
    await writeVerdict(file, "b", { proven: "kvm", failed: [] })
    expect(await readVerdict(file, "a")).toMatchObject(verdict)
    await writeVerdict(file, "a", undefined)
    expect(await readVerdict(file, "a")).toBeUndefined()
    expect(await readVerdict(file, "b")).toMatchObject({ proven: "kvm" })
  })

  it.each(["", "{", "{}", '{"verdicts": [{"key": "a", "proven": "magic"}]}'])(
    "survive a file that holds %j",
    async (content) => {
      await using directory = await temporaryDirectory()
      const file = directory.at("verdict.json")
      await writeFile(file, content)
      expect(await readVerdict(file, "a")).toBeUndefined()
      await writeVerdict(file, "a", verdict)
      expect(await readVerdict(file, "a")).toMatchObject(verdict)
    },
  )

  it("keep the newest 32", async () => {
    await using directory = await temporaryDirectory()
    const file = directory.at("verdict.json")
    for (let index = 0; index < 34; index++) await writeVerdict(file, `key ${index}`, verdict)
    expect(await readVerdict(file, "key 1")).toBeUndefined()
    expect(await readVerdict(file, "key 2")).toBeDefined()
    expect(await readVerdict(file, "key 33")).toBeDefined()
  })
})

describe("verdictKey()", () => {
  it("changes with the program and with the kernel, and with nothing else", async () => {
    await using directory = await temporaryDirectory()
    const [program, kernel] = [directory.at("qemu"), directory.at("vmlinuz")]
    await writeFile(program, "1")
    await writeFile(kernel, "1")
    const key = await verdictKey(program, kernel)
    expect(await verdictKey(program, kernel)).toBe(key)
    await writeFile(kernel, "22")
    const other = await verdictKey(program, kernel)
    expect(other).not.toBe(key)
    await writeFile(program, "22")
    expect(await verdictKey(program, kernel)).not.toBe(other)
  })
})
