import { once } from "node:events"
import { mkdirSync, statSync, watch, writeSync } from "node:fs"
import { temporaryDirectory } from "@skep/testkit"
import { describe, expect, it } from "vitest"
import { openProcessLog } from "../../src/machine/process-log.ts"

describe("openProcessLog()", () => {
  it("tells the last lines since it was opened, without QEMU's time", async () => {
    await using directory = await temporaryDirectory()
    const path = directory.at("qemu.log")
    {
      using before = openProcessLog(path)
      writeSync(before.fd, "of an earlier machine\n")
    }
    using log = openProcessLog(path)
    expect(log.tail()).toEqual([])
    writeSync(log.fd, "2026-11-21T04:30:19.432012Z qemu: error: one\n\ntwo")
    expect(log.tail()).toEqual(["qemu: error: one", "two"])
    expect(statSync(path).mode & 0o777).toBe(0o600)
  })

  it("is set aside once it is too large, by whoever writes", async () => {
    await using directory = await temporaryDirectory()
    const path = directory.at("qemu.log")
    using log = openProcessLog(path)
    const watcher = watch(directory.path)
    const older = (async (): Promise<void> => {
      for (;;) {
        const [, name] = await once(watcher, "change")
        if (name === "qemu.log.1" && statSync(path).size === 0) return
      }
    })()
    writeSync(log.fd, Buffer.alloc(600 << 10, "x"))
    await older
    watcher.close()
    expect(statSync(path).size).toBe(0)
  })

  it("is emptied when it cannot be set aside, and harms nobody", async () => {
    await using directory = await temporaryDirectory()
    const path = directory.at("qemu.log")
    mkdirSync(`${path}.1`) // stands in for a full disk: nothing can be copied there
    using log = openProcessLog(path)
    const watcher = watch(directory.path)
    writeSync(log.fd, Buffer.alloc(600 << 10, "x"))
    while (statSync(path).size > 0) await once(watcher, "change")
    watcher.close()
    writeSync(log.fd, "still here\n")
    expect(log.tail()).toEqual(["still here"])
  })

  it("can be disposed twice", async () => {
    await using directory = await temporaryDirectory()
    const log = openProcessLog(directory.at("qemu.log"))
    log[Symbol.dispose]()
    log[Symbol.dispose]()
    expect(log.tail()).toEqual([])
  })
})
