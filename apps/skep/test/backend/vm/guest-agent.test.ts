import { Duplex } from "node:stream"
import type { SidecarEvent } from "@skep/contract"
import { silentLog } from "@skep/runtime"
import { describe, expect, it, vi } from "vitest"
import { GuestAgent } from "../../../src/backend/vm/guest-agent.ts"
import { GuestPhases } from "../../../src/backend/vm/guest-phases.ts"

const HELLO = "hello 1 0b6a2d3e-1111-4222-8333-444455556666 4.20\n"

/** A guest's end of a session that answers as its script would (packages/guest/AGENT.md). */
class Guest extends Duplex {
  readonly requests: string[] = []

  constructor() {
    super()
    this.push(HELLO)
  }

  override _read(): void {
    // What it has to say is pushed.
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    for (const line of chunk.toString().trim().split("\n")) this.#answer(line.split(" "))
    done()
  }

  #answer([verb = "", token = ""]: readonly string[]): void {
    this.requests.push(verb)
    if (verb === "time") this.push(`time ${token} ${(Date.now() / 1000).toFixed(6)}000\n`)
    else if (verb === "facts") {
      const rows = ["uptime 12.50", "load 0.10 0.20 0.30", "memory MemTotal 2048", "memory MemAvailable 1024"]
      this.push(`${rows.map((row) => `fact ${token} ${row}\n`).join("")}done ${token}\n`)
    } else this.push(`done ${token}\n`)
  }
}

function fixture(dial: (attempt: number) => Duplex) {
  const phases = new GuestPhases()
  const events: SidecarEvent[] = []
  let attempts = 0
  const agent = new GuestAgent({
    phases,
    log: silentLog,
    emit: (event) => events.push(event),
    dial: async () => dial(++attempts),
  })
  return { phases, events, agent, attempts: () => attempts }
}

const never = new AbortController().signal

describe("GuestAgent", () => {
  it("dials nobody before the guest has said that it listens", async () => {
    const { agent, attempts } = fixture(() => new Guest())
    await new Promise((resolve) => setTimeout(resolve, 50))
    expect(attempts()).toBe(0)
    expect(await agent.view()).toBeUndefined()
    await agent[Symbol.asyncDispose]()
  })

  it("tells the guest's clock and facts", async () => {
    const { agent, phases } = fixture(() => new Guest())
    phases.reach("vsock")
    await expect.poll(async () => (await agent.view())?.skewMs).toBeTypeOf("number")
    const view = await agent.view()
    expect(view?.facts).toMatchObject({
      uptimeMs: 12_500,
      memory: { totalBytes: 2 << 20, availableBytes: 1 << 20 },
    })
    expect(view?.factsAtMs).toBeTypeOf("number")
    await agent[Symbol.asyncDispose]()
    expect(await agent.view()).toBeUndefined()
  })

  it("passes on the phases and the failures that the guest pushes", async () => {
    const guest = new Guest()
    const { agent, phases, events } = fixture(() => guest)
    phases.reach("vsock")
    guest.push("phase docker 5.01\n")
    await phases.wait("docker", never)
    guest.push("stopping\n")
    await expect.poll(() => events).toContainEqual({ type: "guest-stopping" })
    guest.push("failed disk it is damaged\n")
    await vi.waitFor(
      () => expect(phases.wait("network", never)).rejects.toMatchObject({ code: "crashed" }),
      10_000,
    )
    await agent[Symbol.asyncDispose]()
  })

  it("begins another session when one is lost, or could not be had", async () => {
    const guests: Guest[] = []
    const { agent, phases, attempts } = fixture((attempt) => {
      if (attempt === 1) throw new Error("not yet")
      const guest = new Guest()
      guests.push(guest)
      return guest
    })
    phases.reach("vsock")
    await expect.poll(() => guests).toHaveLength(1)
    guests[0]?.destroy()
    await expect.poll(() => guests).toHaveLength(2)
    await expect.poll(() => agent.view()).toBeDefined()
    expect(attempts()).toBe(3)
    await agent[Symbol.asyncDispose]()
  })

  it("asks the guest to power itself off, if there is one", async () => {
    const guest = new Guest()
    const { agent, phases } = fixture(() => guest)
    await agent.poweroff(never) // nobody is there, and that is no error
    phases.reach("vsock")
    await expect.poll(() => agent.view()).toBeDefined()
    await agent.poweroff(never)
    expect(guest.requests).toContain("poweroff")
    await agent[Symbol.asyncDispose]()
  })
})

describe("GuestPhases", () => {
  it("lets a guest go on whose vsock failed, but not whoever waits for that", async () => {
    const phases = new GuestPhases()
    phases.onEvent({ type: "failed", phase: "vsock", reason: "no driver" })
    await expect(phases.wait("vsock", never)).rejects.toMatchObject({ code: "crashed" })
    phases.reach("docker")
    await phases.wait("docker", never)
    const waiting = phases.wait("ssh", never)
    phases.reach("ssh")
    await waiting
  })
})
