import { existsSync, statSync, writeFileSync } from "node:fs"
import { request } from "node:http"
import { silentLog } from "@skep/runtime"
import { describe, expect, test } from "vitest"
import { backend } from "../../src/backend/backend.ts"
import type { MachineView } from "../../src/backend/view.ts"
import { newRecord } from "../../src/machine/record.ts"
import { BROKEN, openPlace, type Place } from "./fixture.ts"

const never = new AbortController().signal

describe("the backend with a machine that cannot be read", () => {
  test("starts, shows what is wrong, and serves the others", async () => {
    await using under = await start()
    const [machine] = await under.views()
    expect(machine).toMatchObject({
      name: BROKEN,
      state: "broken",
      docker: "down",
      problem: { code: "corrupt-file", next: expect.stringContaining("Mend") },
    })
  })

  test("its Docker socket answers at once with 503, the reason and what to do", async () => {
    await using under = await start()
    const { status, body } = await ping(under.place.dockerSocket(0))
    expect(status).toBe(503)
    expect(body).toContain("machine.json")
    expect(statSync(under.place.dockerSocket(0)).mode & 0o777).toBe(0o600)
  })

  test("reads the file again once it is mended", async () => {
    await using under = await start()
    const [before] = await under.views()
    const record = newRecord(BROKEN, {}, SETTINGS, 40_000)
    writeFileSync(`${before?.directory}/machine.json`, JSON.stringify(record))
    expect((await under.views())[0]).toMatchObject({ state: "stopped", record: { sshPort: 40_000 } })
  })

  test("removes it with all that it had", async () => {
    await using under = await start()
    const [machine] = await under.views()
    await under.call("DELETE /machines/:name", { name: BROKEN })
    expect(await under.views()).toEqual([])
    expect(existsSync(machine?.directory ?? "")).toBe(false)
    expect(existsSync(machine?.dockerSocket ?? "")).toBe(false)
  })

  test("a name that is none is told so, with the names there are", async () => {
    await using under = await start()
    await expect(under.call("GET /machines/:name", { name: "other" })).rejects.toMatchObject({
      code: "not-found",
      message: expect.stringContaining(BROKEN),
    })
    await expect(under.call("GET /machines/:name", { name: "../x" })).rejects.toMatchObject({
      code: "bad-name",
    })
  })

  test("a directory that is no machine keeps nobody from starting", async () => {
    await using place = await openPlace()
    await using odd = await start(place, "Not A Name")
    expect((await odd.views()).map(({ name }) => name)).toContain(BROKEN)
  })

  test("refuses requests once it is ending", async () => {
    const under = await start()
    await under[Symbol.asyncDispose]()
    await expect(under.views()).rejects.toMatchObject({ code: "not-running" })
  })
})

const SETTINGS = {
  cpus: 2,
  memoryMiB: 2048,
  diskGiB: 20,
  accelerator: "auto",
  networkPolicy: "open",
  network: "skep",
  publishAddress: "127.0.0.1",
  sshAgent: true,
  shares: [],
  sharesProvider: "skep",
  shareProtocol: "auto",
  shareXattrs: false,
} as const

async function start(there?: Place, odd?: string) {
  const place = there ?? (await openPlace())
  if (odd !== undefined) writeFileSync(place.directory.at("home0", "machines", odd), "")
  const running = await backend.start(place.options(0), {
    signal: never,
    log: silentLog,
    emit: () => undefined,
  })
  const call = async (route: string, params: Readonly<Record<string, string>>): Promise<unknown> => {
    const handler = running.routes[route]
    if (handler === undefined) throw new Error(`no route ${route}`)
    return await handler({ params, query: new URLSearchParams("force=true"), body: undefined, signal: never })
  }
  return {
    place,
    call,
    // The handler's own type is lost in the table of routes.
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion
    views: async () => (await call("GET /machines", {})) as readonly MachineView[],
    [Symbol.asyncDispose]: async () => {
      await running[Symbol.asyncDispose]()
      await place[Symbol.asyncDispose]()
    },
  }
}

function ping(socketPath: string): Promise<{ status: number | undefined; body: string }> {
  return new Promise((resolve, reject) => {
    const asking = request({ socketPath, path: "/_ping", agent: false }, (answer) => {
      let body = ""
      answer.setEncoding("utf8")
      answer.on("data", (text: string) => {
        body += text
      })
      answer.on("end", () => resolve({ status: answer.statusCode, body }))
    })
    asking.on("error", reject)
    asking.end()
  })
}
