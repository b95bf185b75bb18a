import { closeSync, openSync } from "node:fs"
import { type LoopThread, startLoop } from "@skep/loop"
import { EBADF } from "@skep/loop/sys"
import { temporaryDirectory } from "@skep/testkit"
import { afterEach, describe, expect, it } from "vitest"
import type { Pooled } from "./modules/pooled.ts"

let thread: LoopThread<Pooled> | undefined

afterEach(() => thread?.stop())

/** Three threads from source, on a machine that may be busy. */
const STARTING_MS = 60_000

describe("a pool in a loop's thread", () => {
  it(
    "wakes the loop when a call has ended",
    async () => {
      await using directory = await temporaryDirectory()
      const started = await startLoop<Pooled>(new URL("./modules/pooled.ts", import.meta.url))
      thread = started
      const fd = openSync(directory.at("a"), "w")
      expect(await started.call("sync", fd)).toBe(0)
      closeSync(fd)
      const answers = await Promise.all(Array.from({ length: 200 }, () => started.call("sync", -1)))
      expect(answers).toEqual(Array.from({ length: 200 }, () => -EBADF))
    },
    STARTING_MS,
  )

  it(
    "ends with the loop, with calls under way",
    async () => {
      thread = await startLoop<Pooled>(new URL("./modules/pooled.ts", import.meta.url))
      await thread.call("leave", 500)
      await thread.stop()
      await thread.closed
    },
    STARTING_MS,
  )
})
