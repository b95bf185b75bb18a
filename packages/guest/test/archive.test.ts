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
  const abort = new AbortController()
  const half = Readable.from(
    (async function* () {
      yield whole.subarray(0, 20_000)
      abort.abort(new Error("Ctrl-C"))
      yield whole.subarray(20_000, 40_000)
    })(),
  )
  await expect(archive.read(half, () => true, abort.signal)).rejects.toThrow()
})
