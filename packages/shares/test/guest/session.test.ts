import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { openShareSession, type ShareSession } from "../../src/guest/index.ts"
import type { EchoResult } from "../../src/guest/lines.ts"
import { BOOT_ID, FakeGuest } from "./fake-guest.ts"

const signal = new AbortController().signal

interface Opened {
  readonly guest: FakeGuest
  readonly session: ShareSession
  readonly echoed: EchoResult[]
}

async function opened(deadlineMs = 5000): Promise<Opened> {
  const guest = new FakeGuest()
  const echoed: EchoResult[] = []
  guest.say(`hello 1 ${BOOT_ID}\n`)
  const onEchoed = (results: readonly EchoResult[]): void => void echoed.push(...results)
  const session = await openShareSession(guest.host, { signal, deadlineMs, onEchoed })
  return { guest, session, echoed }
}

describe("openShareSession()", () => {
  test("waits for the greeting", async () => {
    const { session } = await opened()
    expect(session.hello).toEqual({ version: 1, bootId: BOOT_ID })
  })

  test.each([
    [`hello 2 ${BOOT_ID}\n`, "protocol"],
    ["closing line-too-long\n", "unreachable"],
    ["x".repeat(40_000), "unreachable"],
  ])("rejects what is no greeting: %.20s", async (text, code) => {
    const guest = new FakeGuest()
    guest.say(text)
    const options = { signal, onEchoed: () => undefined }
    await expect(openShareSession(guest.host, options)).rejects.toMatchObject({
      code: text.startsWith("x") ? "protocol" : code,
    })
    expect(guest.host.destroyed).toBe(true)
  })

  test("rejects a guest that says nothing", async () => {
    const guest = new FakeGuest()
    const options = { signal, deadlineMs: 20, onEchoed: () => undefined }
    await expect(openShareSession(guest.host, options)).rejects.toMatchObject({ code: "timeout" })
  })
})

describe("requests", () => {
  test("are lines with everything but plain characters escaped", async () => {
    const { guest, session } = await opened()
    const place = { address: "fd00::1", port: 2049, mountPort: 20_048, ageS: 30, path: "/home/a b/ü\n" }
    const asked = [
      session.mount({ kind: "virtiofs", tag: "skep" }, signal),
      session.mount({ kind: "nfs", address: "10.0.2.2", port: 2049 }, signal),
      session.bind({ id: "3", target: "/home/a b/ü%", readOnly: true }, signal),
      session.bind({ id: "4", target: "/srv", readOnly: false }, signal),
      session.unbind("/srv\n", signal),
      session.ready(signal),
      session.mount({ kind: "exports" }, signal),
      session.attach("8", place, signal),
    ]
    const lines = [
      "mount 1 virtiofs skep",
      "mount 2 nfs 10.0.2.2 2049",
      "bind 3 3 /home/a%20b/%c3%bc%25 ro",
      "bind 4 4 /srv rw",
      "unbind 5 /srv%0a",
      "ready 6",
      "mount 7 exports",
      "attach 8 8 fd00::1 2049 20048 30 /home/a%20b/%c3%bc%0a",
    ]
    for (const [index, line] of lines.entries()) {
      expect(await guest.hears()).toBe(line)
      guest.say(`done ${index + 1}\n`)
    }
    await Promise.all(asked)
  })

  test("reject with what the guest refuses, in words", async () => {
    const { guest, session } = await opened()
    const asked = session.bind({ id: "1", target: "/proc", readOnly: false }, signal)
    await guest.hears()
    guest.say("error 1 refused-target\n")
    await expect(asked).rejects.toMatchObject({
      code: "unsupported",
      message: 'Cannot mount a share at "/proc" in the guest: this place is the guest\'s own',
    })
  })

  test("collect the list of their own token", async () => {
    const { guest, session } = await opened()
    const asked = session.mounts(signal)
    await guest.hears()
    guest.say("base 1 virtiofs skep\nshare 9 5 /x rw\nshare 1 3 /a%20b ro\nshare 1 3 relative\ndone 1\n")
    expect(await asked).toEqual({
      base: { type: "virtiofs", source: "skep" },
      shares: [{ id: "3", target: "/a b", readOnly: true }],
    })
    expect(session.counters).toMatchObject({ unasked: 1, malformed: { "bad-arguments": 1 } })
  })

  test("end with the session", async () => {
    const { guest, session } = await opened()
    const asked = session.mounts(signal)
    guest.hangUp()
    await expect(asked).rejects.toMatchObject({ code: "unreachable" })
    await expect(session.ready(signal)).rejects.toMatchObject({ code: "unreachable" })
    expect(await session.closed).toBe("the guest hung up")
    session.echo(["echo 1 modify 1/f"])
  })

  test("end with their deadline", async () => {
    const { session } = await opened(20)
    await expect(session.ready(signal)).rejects.toMatchObject({ code: "timeout" })
  })
})

describe("echo()", () => {
  test("sends lines and tells what became of them", async () => {
    const { guest, session, echoed } = await opened()
    session.echo(["echo 1 modify 1/f", "echo 2 modify 1/g"])
    expect([await guest.hears(), await guest.hears()]).toEqual(["echo 1 modify 1/f", "echo 2 modify 1/g"])
    guest.say("echoed 1 2:13\nechoed\nechoed 70000\nechoed x\nechoed 1:\n")
    guest.hangUp()
    await session.closed
    expect(echoed).toEqual([
      { id: 1, errno: 0 },
      { id: 2, errno: 13 },
    ])
    expect(session.counters.malformed["bad-arguments"]).toBe(4)
  })
})

test("a guest that says anything ends the session at most", async () => {
  const word = fc.constantFrom(
    "hello",
    "done",
    "error",
    "share",
    "base",
    "echoed",
    "1",
    "1:2",
    "%",
    "%zz",
    " ",
    "\n",
    "rw",
  )
  const chunk = fc.oneof(
    fc.uint8Array({ maxLength: 300 }),
    fc.array(word).map((list) => Buffer.from(list.join(""))),
  )
  await fc.assert(
    fc.asyncProperty(fc.array(chunk, { maxLength: 20 }), async (chunks) => {
      const { guest, session } = await opened()
      const asked = session.mounts(signal).catch((error: unknown) => error)
      for (const each of chunks) guest.say(Buffer.from(each))
      guest.hangUp()
      expect(typeof (await session.closed)).toBe("string")
      await asked
    }),
    { numRuns: 200 },
  )
})
