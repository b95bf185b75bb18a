import { once } from "node:events"
import { mkdtempSync, rmSync } from "node:fs"
import { type IncomingMessage, request } from "node:http"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { expect, onTestFinished, test } from "vitest"
import { call, silentLog, startControlServer } from "../../src/index.ts"

const LINES = 4000
const LINE = "x".repeat(16 << 10)

/** Of an answer that is read to its end. */
async function length(response: IncomingMessage): Promise<number> {
  let bytes = 0
  for await (const chunk of response) bytes += Buffer.from(chunk).length
  return bytes
}

test("lines are made as fast as they are read, and others are answered meanwhile", async () => {
  const directory = mkdtempSync(join(tmpdir(), "control-"))
  onTestFinished(() => rmSync(directory, { recursive: true }))
  const endpoint = join(directory, "c.sock")
  let made = 0
  async function* lines(): AsyncGenerator<string> {
    while (made < LINES) {
      made++
      yield LINE
    }
  }
  await using _server = await startControlServer({
    endpoint,
    log: silentLog,
    routes: { "GET /lines": async () => lines(), "GET /made": async () => made },
  })
  const asked = request({ socketPath: endpoint, path: "/lines" })
  const answered = once(asked, "response") as Promise<[IncomingMessage]>
  asked.end()
  const [response] = await answered
  const signal = new AbortController().signal
  expect(await call(endpoint, { method: "GET", path: "/made", signal })).toBeLessThan(LINES)
  expect(await length(response)).toBe(LINES * (LINE.length + '""\n'.length))
  expect(made).toBe(LINES)
})
