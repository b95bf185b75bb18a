/**
 * The port watch over an engine and a network in memory.
 *
 * @module
 */
import { type ForwardRule, SidecarError, type SidecarEvent } from "@skep/contract"
import { silentLog, sleep } from "@skep/runtime"
import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { ruleKey } from "../../src/ports/desired.ts"
import { type Ports, type PortsOptions, startPorts } from "../../src/ports/ports.ts"
import { container, MemoryEngine, MemoryNetwork, wantedBy } from "./fixture.ts"

const LOOPBACK = "127.0.0.1"
const SSH: ForwardRule = { transport: "tcp", hostAddress: LOOPBACK, hostPort: 2222, guestPort: 22 }

interface Rig {
  readonly engine: MemoryEngine
  readonly network: MemoryNetwork
  readonly events: SidecarEvent[]
  readonly start: (options?: Partial<PortsOptions>) => Promise<Ports>
}

function rig(): Rig {
  const engine = new MemoryEngine()
  const network = new MemoryNetwork()
  const events: SidecarEvent[] = []
  return {
    engine,
    network,
    events,
    start: (options = {}) =>
      startPorts({
        dockerSocket: "/nowhere",
        engine,
        network,
        bindDefault: LOOPBACK,
        log: silentLog,
        emit: (event) => events.push(event),
        signal: new AbortController().signal,
        ...options,
      }),
  }
}

async function eventually(check: () => boolean): Promise<void> {
  for (let turn = 0; turn < 2_000; turn += 1) {
    if (check()) return
    await new Promise((resolve) => setImmediate(resolve))
  }
  throw new Error("never")
}

describe("startPorts()", () => {
  test("is ready when the running containers have their forwards", async () => {
    const { engine, network, start } = rig()
    engine.set(container("web", { "80/tcp": [["", 8080]] }))
    await using ports = await start()
    expect(network.listening).toEqual(["tcp/127.0.0.1/8080>:8080"])
    expect(ports.status()).toEqual({
      forwards: [
        { transport: "tcp", hostAddress: LOOPBACK, hostPort: 8080, guestPort: 8080, container: "web" },
      ],
      warnings: [],
      counters: { inspectionsFailed: 0 },
    })
  })

  test("removes what a former backend left, adopts what is wanted, and spares the reserved", async () => {
    const { engine, network, start } = rig()
    engine.set(container("web", { "80/tcp": [["", 8080]] }))
    await network.forward(SSH)
    await network.forward({ ...SSH, hostPort: 8080, guestPort: 8080 })
    await network.forward({ ...SSH, hostPort: 9999, guestPort: 9999 })
    await using _ports = await start({ reserved: [SSH] })
    expect(network.listening).toEqual(["tcp/127.0.0.1/2222>:22", "tcp/127.0.0.1/8080>:8080"])
  })

  test("rejects with the signal's reason while the engine does not answer", async () => {
    const { start } = rig()
    const controller = new AbortController()
    const starting = start({
      signal: controller.signal,
      engine: {
        running: () => Promise.reject(new SidecarError("unreachable", "no")),
        inspect: () => Promise.resolve(undefined),
        events: () => Promise.reject(new SidecarError("unreachable", "no")),
      },
    })
    controller.abort(new Error("enough"))
    await expect(starting).rejects.toThrow("enough")
  })
})

describe("a container", () => {
  test("has its forwards when settled() resolves, by id or by name", async () => {
    const { engine, network, start } = rig()
    await using ports = await start()
    engine.containers.set("id-a", container("a", { "80/tcp": [["", 1000]] })) // the event is still to come
    await ports.settled("id-a")
    expect(network.listening).toEqual(["tcp/127.0.0.1/1000>:1000"])
    engine.containers.set("id-b", container("b", { "80/tcp": [["0.0.0.0", 1001]] }))
    await ports.settled("b")
    expect(network.listening).toContain("tcp/0.0.0.0/1001>:1001")
    await ports.settled("nobody")
  })

  test("takes its forwards with it", async () => {
    const { engine, network, start } = rig()
    engine.set(container("a", { "80/tcp": [["", 1000]] }))
    await using _ports = await start()
    engine.remove("id-a")
    await eventually(() => network.listening.length === 0)
    engine.set(container("a", { "80/tcp": [["", 1000]] }))
    await eventually(() => network.listening.length === 1)
    engine.set(container("a", { "80/tcp": [["", 1000]] }, false))
    await eventually(() => network.listening.length === 0)
  })

  test("may take over the port of one that just went", async () => {
    const { engine, network, start } = rig()
    engine.set(container("old", { "80/tcp": [["", 1000]] }))
    await using ports = await start()
    engine.containers.delete("id-old")
    engine.containers.set("id-new", container("new", { "80/tcp": [["", 1000]] }))
    await ports.settled("id-new")
    await ports.settled("id-old")
    expect(ports.status().forwards.map((forward) => forward.container)).toEqual(["new"])
    expect(network.listening).toEqual(["tcp/127.0.0.1/1000>:1000"])
  })
})

describe("a port that cannot be had", () => {
  test("is a warning with the container's name, told once, tried again, and resolved", async () => {
    const { engine, network, events, start } = rig()
    network.taken.add("tcp/127.0.0.1/8080")
    engine.set(container("web", { "80/tcp": [["", 8080]] }))
    await using ports = await start()
    const [warning] = ports.status().warnings
    expect(warning).toMatchObject({
      container: "web",
      port: "8080/tcp",
      reason: 'Cannot listen on "127.0.0.1:8080": the address is in use',
    })
    expect(warning?.next).toContain("ss -lnp sport = :8080")
    expect(events).toEqual([{ type: "port-warning", ...warning }])
    engine.set(container("other", { "80/tcp": [["", 1]] }))
    await eventually(() => network.listening.length === 1)
    expect(events).toHaveLength(1)
    network.taken.clear()
    engine.remove("id-other")
    await eventually(() => network.listening[0] === "tcp/127.0.0.1/8080>:8080")
    expect(ports.status().warnings).toEqual([])
    expect(events[1]).toEqual({ type: "port-resolved", container: "web", port: "8080/tcp" })
  })

  test.each([
    [new SidecarError("unsupported", "Cannot forward IPv6"), "Cannot forward IPv6", "-p 127.0.0.1:80:PORT"],
    [new SidecarError("permission-denied", "no", { next: "Do this" }), "no", "Do this"],
    [new SidecarError("permission-denied", "no"), "no", "above 1023"],
    [new SidecarError("crashed", "it died"), "it died", "Restart the container"],
  ])("is a warning, whatever the refusal: %s", async (refusal, reason, next) => {
    const { engine, network, start } = rig()
    network.refusal = refusal
    engine.set(container("web", { "80/tcp": [["::1", 80]] }))
    await using ports = await start()
    expect(ports.status().warnings[0]?.reason).toBe(`Cannot listen on "[::1]:80": ${reason}`)
    expect(ports.status().warnings[0]?.next).toContain(next)
  })

  test("because it is reserved, or SCTP, is a warning as well", async () => {
    const { engine, network, start } = rig()
    await network.forward(SSH)
    engine.set(container("web", { "22/tcp": [["", 2222]], "132/sctp": [["", 132]] }))
    await using ports = await start({ reserved: [SSH] })
    expect(ports.status().warnings.map(({ reason }) => reason)).toEqual([
      "Cannot publish port 132/sctp: only TCP and UDP reach the host",
      'Cannot listen on "127.0.0.1:2222": Skep itself uses that port',
    ])
    expect(network.listening).toEqual(["tcp/127.0.0.1/2222>:22"])
  })
})

describe("the event stream", () => {
  test("that ends is opened again, and what was missed is caught up", async () => {
    const { engine, network, start } = rig()
    engine.set(container("a", { "80/tcp": [["", 1]] }))
    await using _ports = await start()
    engine.breakStream()
    engine.containers.clear()
    engine.containers.set("id-b", container("b", { "80/tcp": [["", 2]] }))
    while (engine.streams < 2) await sleep(5, new AbortController().signal)
    await eventually(() => network.listening[0] === "tcp/127.0.0.1/2>:2")
  })

  test("may speak of containers that nobody understands", async () => {
    const { engine, network, start } = rig()
    const inspect = engine.inspect.bind(engine)
    engine.inspect = async (name) => {
      if (name === "id-odd") throw new SidecarError("protocol", "what is this")
      return await inspect(name)
    }
    engine.containers.set("id-odd", container("odd", {}))
    engine.set(container("a", { "80/tcp": [["", 1]] }))
    await using _ports = await start()
    expect(network.listening).toEqual(["tcp/127.0.0.1/1>:1"])
  })
})

describe("an engine that hangs", () => {
  test.each(["hangs", "fails"])(
    "at one container holds up no other: it %s, and is asked again",
    async (how) => {
      const { engine, network, start } = rig()
      const inspect = engine.inspect.bind(engine)
      let isOdd = true
      engine.inspect = async (name) => {
        if (name !== "id-odd" || !isOdd) return await inspect(name)
        if (how === "fails") throw new SidecarError("unreachable", "status 500")
        return await new Promise(() => undefined)
      }
      engine.set(container("odd", { "80/tcp": [["", 1]] }))
      engine.set(container("a", { "80/tcp": [["", 2]] }))
      await using ports = await start({ answerMs: 20 })
      expect(network.listening).toEqual(["tcp/127.0.0.1/2>:2"])
      expect(ports.status().counters["inspectionsFailed"]).toBeGreaterThan(0)
      isOdd = false
      while (network.listening.length < 2) await sleep(5, new AbortController().signal)
      expect(network.listening).toEqual(["tcp/127.0.0.1/1>:1", "tcp/127.0.0.1/2>:2"])
    },
  )

  test("at one container leaves it the forwards that it has", async () => {
    const { engine, network, start } = rig()
    engine.set(container("a", { "80/tcp": [["", 1]] }))
    await using ports = await start({ answerMs: 20 })
    engine.inspect = () => new Promise(() => undefined)
    await ports.settled("id-a")
    expect(network.listening).toEqual(["tcp/127.0.0.1/1>:1"])
  })

  test("at its list or its events is asked again", async () => {
    const { engine, network, start } = rig()
    const running = engine.running.bind(engine)
    const events = engine.events.bind(engine)
    const abandoned: AbortSignal[] = []
    engine.set(container("a", { "80/tcp": [["", 1]] }))
    engine.events = (signal) => {
      abandoned.push(signal)
      engine.events = events
      return new Promise(() => undefined)
    }
    engine.running = () => {
      engine.running = running
      return new Promise(() => undefined)
    }
    await using _ports = await start({ answerMs: 20 })
    expect(network.listening).toEqual(["tcp/127.0.0.1/1>:1"])
    expect(abandoned.map((signal) => signal.aborted)).toEqual([true])
  })
})

describe("the end", () => {
  test("by disposal leaves the forwards to the next start", async () => {
    const { engine, network, start } = rig()
    engine.set(container("a", { "80/tcp": [["", 1]] }))
    const ports = await start()
    await Promise.all([ports[Symbol.asyncDispose](), ports[Symbol.asyncDispose]()])
    expect(network.listening).toHaveLength(1)
    await using again = await start()
    expect(again.status().forwards).toHaveLength(1)
    engine.remove("id-a")
    await eventually(() => network.listening.length === 0)
  })

  test("of the network's rules is made good by reconcile()", async () => {
    const { engine, network, start } = rig()
    engine.set(container("a", { "80/tcp": [["", 1]] }))
    await using ports = await start()
    network.rules.clear()
    await ports.reconcile()
    expect(network.listening).toEqual(["tcp/127.0.0.1/1>:1"])
  })
})

test("after any sequence of events the forwards are those desired", async () => {
  const id = fc.integer({ min: 0, max: 5 })
  const step = fc.oneof(
    fc.record({
      kind: fc.constant("run" as const),
      id,
      port: fc.integer({ min: 1, max: 4 }),
      address: fc.constantFrom("", "0.0.0.0", LOOPBACK),
    }),
    fc.record({ kind: fc.constantFrom("stop" as const, "remove" as const, "late" as const), id }),
    fc.record({ kind: fc.constantFrom("settle" as const, "reconcile" as const, "wait" as const), id }),
  )
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
      const { engine, network, start } = rig()
      await using ports = await start()
      for (const one of steps) {
        const name = `c${one.id}`
        switch (one.kind) {
          case "run": {
            const made = container(name, { "80/tcp": [[one.address, one.port]] })
            const isFree = [...engine.containers.values()].every(
              (other) =>
                other.Id === made.Id ||
                wantedBy([other, made], LOOPBACK).length ===
                  wantedBy([other], LOOPBACK).length + wantedBy([made], LOOPBACK).length,
            )
            if (isFree) engine.set(made) // as dockerd, which gives no port twice
            break
          }
          case "stop":
            if (engine.containers.has(`id-${name}`)) engine.set(container(name, {}, false))
            break
          case "remove":
            engine.remove(`id-${name}`)
            break
          case "late":
            engine.tell(`id-${name}`)
            break
          case "settle":
            await ports.settled(name)
            break
          case "reconcile":
            await ports.reconcile()
            break
          case "wait":
            await new Promise((resolve) => setImmediate(resolve))
        }
      }
      await eventually(() => {
        const desired = wantedBy([...engine.containers.values()], LOOPBACK)
          .map(ruleKey)
          .toSorted()
        return JSON.stringify(network.listening) === JSON.stringify(desired)
      })
      expect(ports.status().warnings).toEqual([])
    }),
    { numRuns: 200 },
  )
})
