import { connect } from "node:net"
import type { SidecarEvent } from "@skep/contract"
import { testContext } from "@skep/contract-tests"
import { isAlive } from "@skep/runtime"
import { fromSource, processesMentioning, temporaryDirectory } from "@skep/testkit"
import { describe, expect, it } from "vitest"
import { adoptVsock, controlSocketOf, parseVsockStatus, vsockProcess } from "../src/client.ts"

const neverAborts = new AbortController().signal
const command = {
  file: process.execPath,
  args: fromSource(import.meta.dirname, "../src/main.ts"),
}

describe("adoptVsock()", () => {
  it("finds the sidecar that outlived whoever started it, sees what happens there, and stops it", async () => {
    await using directory = await temporaryDirectory()
    const sidecar = vsockProcess(command)
    const options = sidecar.parseOptions({ guestCid: 3, socket: directory.at("vhost.sock") })
    const first = await sidecar.start(options, testContext())
    first.release()

    const events: SidecarEvent[] = []
    const adopted = await adoptVsock({
      control: controlSocketOf(options),
      signal: neverAborts,
      emit: (event) => events.push(event),
    })
    expect(adopted.identity).toEqual(first.identity)
    expect(adopted.endpoints).toContain(options.socket)
    expect(await adopted.status()).toMatchObject({ connected: false, streams: 0, heldBytes: 0 })
    const frontEnd = connect(options.socket)
    await expect.poll(() => events.map(({ type }) => type)).toContain("connected")
    frontEnd.destroy()
    await adopted[Symbol.asyncDispose]()
    await adopted.closed
    expect(isAlive(adopted.identity)).toBe(false)
    expect(processesMentioning(options.socket)).toEqual([])
  })

  it("rejects with unreachable where there is none", async () => {
    await using directory = await temporaryDirectory()
    const adopting = adoptVsock({ control: directory.at("none.control"), signal: neverAborts })
    await expect(adopting).rejects.toMatchObject({ code: "unreachable" })
  })
})

describe("parseVsockStatus()", () => {
  it("takes what a sidecar says and nothing else", () => {
    const status = { connected: true, streams: 1, orphans: 0, heldBytes: 2, counters: { accepted: 3 } }
    expect(parseVsockStatus(status)).toEqual(status)
    expect(() => parseVsockStatus({ ...status, streams: "many" })).toThrow("streams")
  })
})
