import { Readable } from "node:stream"
import { buffer } from "node:stream/consumers"
import * as tar from "tar-stream"
import { expect, test } from "vitest"
import * as archive from "../src/archive.ts"

test("an abort in the middle of a file rejects, and nothing throws beside it", async () => {
  const pack = tar.pack()
  pack.entry({ name: "./usr/bin/docker", size: 100_000 }, Buffer.alloc(100_000))
  pack.finalize()
  const whole = await buffer(pack)
  const half = new Readable({ read: () => undefined })
  const abort = new AbortController()
  const wanted = (): boolean => {
    setImmediate(() => abort.abort()) // its name is read, its data is not
    return true
  }
  half.push(whole.subarray(0, 20_000))
  await expect(archive.read(half, wanted, abort.signal)).rejects.toThrow("aborted")
})
