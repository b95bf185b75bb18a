/** The host's end of the agent, against a guest that is the other end of a pair of streams. */
import { Duplex, duplexPair } from "node:stream"
import { Lines } from "@skep/runtime"
import * as fc from "fast-check"
import { describe, expect, test } from "vitest"
import { type AgentOptions, type AgentSession, type Clock, openAgentSession } from "../../src/agent/index.ts"

const HELLO = "hello 1 8cafe1b0-ec95-43fa-845e-3266066b9e5f 5.48\n"
const FACTS = ["uptime 54.53", "load 0.07 0.03 0.01", "memory MemTotal 996512", "memory MemAvailable 762288"]
const signal = new AbortController().signal
const never: Clock = { wallMs: () => 0, monotonicMs: () => 0 }

/** The guest's end: says lines, and hears the host's, in order. */
class FakeGuest {
  readonly host: Duplex
  readonly #end: Duplex
  readonly #heard: string[] = []
  #wake: () => void = () => undefined

  constructor() {
    const [host, end] = duplexPair()
    const lines = new Lines(4096)
    this.host = host
    this.#end = end
    end.on("error", () => undefined)
    end.on("data", (chunk: Buffer) => {
      const more = lines.push(chunk)
      if (more === "too-long") throw new Error("the host sent a line without end")
      this.#heard.push(...more)
      this.#wake()
    })
  }

  say(text: string | Buffer): void {
    this.#end.write(text)
  }

  hangUp(): void {
    this.#end.end()
  }

  async hears(): Promise<string> {
    for (;;) {
      const line = this.#heard.shift()
      if (line !== undefined) return line
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }
}

async function opened(
  options: Partial<AgentOptions> = {},
): Promise<{ guest: FakeGuest; session: AgentSession }> {
  const guest = new FakeGuest()
  guest.say(HELLO)
  return { guest, session: await openAgentSession(guest.host, { signal, ...options }) }
}

describe("openAgentSession()", () => {
  test("resolves with the greeting, however it is cut", async () => {
    const guest = new FakeGuest()
    const opening = openAgentSession(guest.host, { signal })
    for (const byte of Buffer.from(HELLO)) guest.say(Buffer.from([byte]))
    await using session = await opening
    expect(session.hello).toEqual({
      version: 1,
      bootId: "8cafe1b0-ec95-43fa-845e-3266066b9e5f",
      uptimeMs: 5480,
    })
  })

  test("rejects with unreachable when the guest hangs up, and closes", async () => {
    const guest = new FakeGuest()
    guest.hangUp()
    await expect(openAgentSession(guest.host, { signal })).rejects.toMatchObject({ code: "unreachable" })
    expect(guest.host.destroyed).toBe(true)
  })

  test("rejects with protocol when the guest speaks another version", async () => {
    const guest = new FakeGuest()
    guest.say(HELLO.replace("hello 1", "hello 2"))
    await expect(openAgentSession(guest.host, { signal })).rejects.toMatchObject({
      code: "protocol",
      message: expect.stringContaining("version 2"),
    })
  })

  test("rejects with timeout when the guest says nothing of use", async () => {
    const guest = new FakeGuest()
    guest.say("phase docker 4.9\nSSH-2.0-OpenSSH\n")
    await expect(openAgentSession(guest.host, { signal, deadlineMs: 20 })).rejects.toMatchObject({
      code: "timeout",
    })
    expect(guest.host.destroyed).toBe(true)
  })

  test("rejects with the signal's own reason", async () => {
    const controller = new AbortController()
    const opening = openAgentSession(new FakeGuest().host, { signal: controller.signal })
    controller.abort(new Error("enough"))
    await expect(opening).rejects.toThrow("enough")
  })
})

describe("events", () => {
  test("are told in order and kept", async () => {
    const told: unknown[] = []
    const { guest, session } = await opened({
      onPhase: (phase) => told.push(phase),
      onFailed: (failed) => told.push(failed),
      onStopping: () => told.push("stopping"),
    })
    guest.say("phase kernel 1.03\nfailed disk it is damaged\nstopping\nstopping\nidle\nphase do")
    guest.say("cker 4.90\n")
    guest.hangUp()
    expect(await session.closed).toEqual({ by: "guest", reason: "The guest hung up" })
    expect(told).toEqual([
      { name: "kernel", guestSeconds: 1.03 },
      { phase: "disk", reason: "it is damaged" },
      "stopping",
      { name: "docker", guestSeconds: 4.9 },
    ])
    expect(session.phases).toEqual([told[0], told[3]])
    expect(session.failures).toEqual([told[1]])
    expect(session.stopping).toBe(true)
  })

  test("of a guest that invents them without end are kept up to a bound", async () => {
    const { guest, session } = await opened()
    guest.say("phase docker 4.90\n".repeat(1000))
    guest.hangUp()
    await session.closed
    expect(session.phases).toHaveLength(64)
  })
})

describe("time()", () => {
  test("compares with the middle of the round trip", async () => {
    let now = 1000
    const clock: Clock = { wallMs: () => 1_700_000_000_000 + now, monotonicMs: () => now }
    const { guest, session } = await opened({ clock })
    const asked = session.time(signal)
    expect(await guest.hears()).toBe("time 1")
    now += 40
    guest.say("time 1 1700000001.520000000\n")
    expect(await asked).toEqual({ guestMs: 1_700_000_001_520, roundTripMs: 40, skewMs: 500 })
  })
})

describe("setTime()", () => {
  test("asks for the time as late as possible and adds half of the shortest round trip", async () => {
    let now = 0
    const clock: Clock = { wallMs: () => now, monotonicMs: () => now }
    const { guest, session } = await opened({ clock })
    const asked = session.time(signal)
    await guest.hears()
    now = 8
    guest.say("time 1 1.000000000\n")
    await asked
    const set = session.setTime(() => 1_700_000_000_000.5, signal)
    expect(await guest.hears()).toBe("set-time 2 1700000000.004500000")
    guest.say("done 2\n")
    await set
  })

  test("rejects with the guest's refusal", async () => {
    const { guest, session } = await opened()
    const set = session.setTime(1, signal)
    await guest.hears()
    guest.say("error 1 refused\n")
    await expect(set).rejects.toMatchObject({ code: "protocol", message: expect.stringContaining("refused") })
  })
})

describe("facts()", () => {
  test("gathers the rows of its own token, in between of other answers", async () => {
    const { guest, session } = await opened()
    const first = session.facts(signal)
    const time = session.time(signal)
    const second = session.facts(signal)
    expect([await guest.hears(), await guest.hears(), await guest.hears()]).toEqual([
      "facts 1",
      "time 2",
      "facts 3",
    ])
    for (const row of FACTS) guest.say(`fact 1 ${row}\nfact 3 ${row.replace("54.53", "60")}\n`)
    guest.say(
      "fact 1 tcp 0100007F:0016\nfact 1 tcp nonsense\nfact 9 tcp 0100007F:0016\ndone 3\ndone 1\ndone 1\n",
    )
    guest.say("time 2 5.000000000\n")
    expect(await first).toMatchObject({
      uptimeMs: 54530,
      listeners: [{ transport: "tcp", address: "127.0.0.1", port: 22 }],
    })
    expect((await second).uptimeMs).toBe(60_000)
    expect((await time).guestMs).toBe(5000)
    expect(session.counters).toMatchObject({ malformedFacts: 1, unasked: 2 })
  })

  test("rejects with protocol when the list does not end, or lacks what every guest has", async () => {
    const { guest, session } = await opened()
    const endless = session.facts(signal)
    guest.say("fact 1 tcp 0100007F:0016\n".repeat(5000))
    await expect(endless).rejects.toMatchObject({
      code: "protocol",
      message: expect.stringContaining("4096"),
    })
    const empty = session.facts(signal)
    guest.say("done 2\n")
    await expect(empty).rejects.toMatchObject({ code: "protocol", message: expect.stringContaining("lack") })
  })
})

describe("requests", () => {
  test("reject with timeout, and a late answer is none", async () => {
    const { guest, session } = await opened({ deadlineMs: 20 })
    await expect(session.poweroff(signal)).rejects.toMatchObject({ code: "timeout" })
    guest.say("done 1\n")
    guest.hangUp()
    await session.closed
    expect(session.counters.unasked).toBe(1)
  })

  test("reject with unreachable when the guest goes, then and afterwards", async () => {
    const { guest, session } = await opened()
    const asked = session.time(signal)
    await guest.hears()
    guest.say("closing line-too-long\n")
    await expect(asked).rejects.toMatchObject({ code: "unreachable" })
    expect(await session.closed).toEqual({ by: "guest", reason: "The guest hung up: line-too-long" })
    await expect(session.time(signal)).rejects.toMatchObject({ code: "unreachable" })
  })

  test("reject with busy when the guest leaves too many without an answer", async () => {
    const { session } = await opened()
    const asked = Array.from({ length: 65 }, () =>
      session.time(new AbortController().signal).catch((error: unknown) => error),
    )
    expect(await asked.at(-1)).toMatchObject({ code: "busy" })
    await session[Symbol.asyncDispose]()
    for (const each of asked.slice(0, -1)) expect(await each).toMatchObject({ code: "unreachable" })
  })

  test("reject with the signal's own reason and leave the session as it is", async () => {
    const { guest, session } = await opened()
    const controller = new AbortController()
    const asked = session.time(controller.signal)
    controller.abort(new Error("enough"))
    await expect(asked).rejects.toThrow("enough")
    await expect(session.facts(controller.signal)).rejects.toThrow("enough")
    const next = session.poweroff(signal)
    expect([await guest.hears(), await guest.hears()]).toEqual(["time 1", "poweroff 2"])
    guest.say("done 2\n")
    await next
  })
})

describe("the end", () => {
  test("comes with a line that does not end", async () => {
    const { guest, session } = await opened()
    guest.say("x".repeat(5000))
    expect(await session.closed).toMatchObject({ by: "fault", reason: expect.stringContaining("4096") })
  })

  test("comes with a broken connection", async () => {
    const { guest, session } = await opened()
    guest.host.destroy(new Error("ECONNRESET"))
    expect(await session.closed).toEqual({ by: "fault", reason: "The connection broke: ECONNRESET" })
  })

  test("comes with disposal, once", async () => {
    const { session } = await opened()
    await Promise.all([session[Symbol.asyncDispose](), session[Symbol.asyncDispose]()])
    expect(await session.closed).toEqual({ by: "host", reason: "The host hung up" })
  })

  test("is the only thing that garbage can do", async () => {
    const word = fc.constantFrom(
      "phase",
      "time",
      "fact",
      "done",
      "error",
      "hello",
      "1",
      "x",
      " ",
      "\n",
      "-",
      "1.5",
    )
    const chunk = fc.oneof(
      fc.uint8Array({ maxLength: 300 }),
      fc.array(word).map((list) => Buffer.from(list.join(""))),
    )
    await fc.assert(
      fc.asyncProperty(fc.array(chunk, { maxLength: 20 }), async (chunks) => {
        const { guest, session } = await opened({ clock: never })
        const asked = session.facts(signal).catch((error: unknown) => error)
        for (const each of chunks) guest.say(Buffer.from(each))
        guest.hangUp()
        expect(["guest", "fault"]).toContain((await session.closed).by)
        expect(await asked).toBeInstanceOf(Error)
        expect(session.phases.length).toBeLessThanOrEqual(64)
      }),
      { numRuns: 200 },
    )
  })
})
