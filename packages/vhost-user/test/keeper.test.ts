import { readdirSync } from "node:fs"
import * as sys from "@skep/loop/sys"
import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { type Device, features, payload, request } from "../src/index.ts"
import { echo, offer, openKeeper as open } from "./keeper-rig.ts"

describe("a keeper", () => {
  test("is not noticed while the back end lives", () => {
    using rig = open()
    rig.startBackEnd()
    rig.front.start([rig.ring])
    expect(echo(rig, "hello")).toBe("hello")
    expect([...rig.front.config(0, 4)]).toEqual([1, 2, 3, 4])
    expect(rig.front.stopRing(0)).toBe(1)
    expect(rig.states).toEqual(["relaying: the back end is there"])
  })

  test("tells another back end all that the first one knew; the guest notices nothing", () => {
    using rig = open()
    rig.startBackEnd()
    rig.front.start([rig.ring])
    expect(echo(rig, "before")).toBe("before")
    rig.killBackEnd()
    expect(rig.keeper.state).toBe("standing-in")
    const during = offer(rig, "during")
    rig.settle()
    expect(rig.ring.collect()).toEqual([])
    rig.startBackEnd()
    rig.wait(1000)
    expect(rig.keeper.state).toBe("relaying")
    expect(rig.ring.collect()).toHaveLength(1)
    expect(during.text()).toBe("during")
    expect(echo(rig, "after")).toBe("after")
    expect(rig.keeper.counters).toMatchObject({ replays: 1, failedReplays: 0 })
  })

  test("offers anew what the dead back end had taken and not given back", () => {
    using rig = open()
    rig.startBackEnd()
    rig.front.start([rig.ring])
    rig.device.hold = true
    const lost = offer(rig, "taken")
    rig.settle()
    rig.killBackEnd()
    rig.device.hold = false
    rig.startBackEnd()
    rig.wait(1000)
    expect(rig.ring.collect()).toHaveLength(1)
    expect(lost.text()).toBe("taken")
  })

  test("answers for a back end that is away, so that QEMU never waits", () => {
    using rig = open()
    rig.startBackEnd()
    rig.front.start([rig.ring])
    expect([...rig.front.config(0, 4)]).toEqual([1, 2, 3, 4])
    echo(rig, "one")
    rig.killBackEnd()
    expect([...rig.front.config(0, 4)]).toEqual([1, 2, 3, 4])
    expect(rig.front.features()).toBe(features.RING_FEATURES | features.VIRTIO_F_IN_ORDER)
    expect(rig.front.setMemory()).toBe(true)
    expect(rig.front.stopRing(0)).toBe(1)
    rig.front.startRing(0, rig.ring, 1)
    rig.startBackEnd()
    rig.wait(1000)
    expect(echo(rig, "two")).toBe("two")
    expect(rig.keeper.counters.stoodIn).toBe(4)
  })

  test("holds a question that it cannot answer until a back end is there", () => {
    using rig = open()
    rig.startBackEnd()
    rig.front.start([rig.ring])
    rig.killBackEnd()
    rig.front.send(request.GET_QUEUE_NUM)
    rig.startBackEnd()
    rig.wait(1000)
    expect(payload.parseBits(rig.front.answer(request.GET_QUEUE_NUM), 0, 8)).toBe(1n)
  })

  test("takes no back end that lacks what the guest uses, and goes on looking", () => {
    using rig = open()
    rig.startBackEnd()
    rig.front.start([rig.ring])
    rig.killBackEnd()
    const lesser: Device = {
      name: "lesser",
      queueCount: 1,
      features: 0n,
      onStart: () => undefined,
      onKick: () => undefined,
      onStop: () => undefined,
    }
    rig.startBackEnd(lesser)
    rig.wait(1000)
    expect(rig.keeper.state).toBe("standing-in")
    expect(rig.states.join("\n")).toContain("it lacks the features 0x800000000")
    rig.killBackEnd()
    rig.startBackEnd()
    rig.wait(2000)
    expect(echo(rig, "right")).toBe("right")
  })

  test("outlives a back end that crashes on each replay", () => {
    using rig = open()
    rig.startBackEnd()
    rig.front.start([rig.ring])
    rig.killBackEnd()
    const crashing: Device = {
      name: "crashing",
      queueCount: 1,
      features: rig.device.features,
      onStart: () => {
        throw new Error("as bad as that")
      },
      onKick: () => undefined,
      onStop: () => undefined,
    }
    rig.startBackEnd(crashing)
    for (let i = 0; i < 5; i++) rig.wait(1000)
    expect(rig.keeper.counters.replays).toBeGreaterThan(3)
    rig.killBackEnd()
    rig.startBackEnd()
    rig.wait(2000)
    expect(echo(rig, "alive")).toBe("alive")
  })

  test("gives a back end that says nothing its time, then looks for another", () => {
    using rig = open()
    rig.startBackEnd()
    rig.front.start([rig.ring])
    rig.killBackEnd()
    const listening = rig.listen() // connects succeed by its backlog, and nobody reads
    rig.wait(2000)
    expect(rig.keeper.state).toBe("replaying")
    rig.wait(5000)
    expect(rig.states).toContain("standing-in: it did not answer in time")
    expect(rig.keeper.counters.failedReplays).toBe(1)
    sys.close(listening)
  })

  test("forgets a front end that hangs up, with every descriptor", () => {
    using rig = open()
    rig.startBackEnd()
    const before = readdirSync("/proc/self/fd").length
    rig.front.start([rig.ring])
    rig.hangUp(rig.front)
    expect(rig.keeper.state).toBe("waiting")
    // The front end's own socket and the keeper's end of it are gone, too.
    expect(readdirSync("/proc/self/fd").length).toBeLessThan(before)
  })

  test("whenever the back end is killed, each chain comes back once with its bytes", () => {
    const act = fc.oneof(
      { weight: 4, arbitrary: fc.constant("offer" as const) },
      { weight: 1, arbitrary: fc.constant("kill" as const) },
      { weight: 2, arbitrary: fc.constant("collect" as const) },
      { weight: 1, arbitrary: fc.constant("hold" as const) },
    )
    fc.assert(
      fc.property(fc.array(act, { maxLength: 40 }), (acts) => {
        using rig = open()
        rig.startBackEnd()
        rig.front.start([rig.ring])
        const offered = new Map<number, ReturnType<typeof offer>>()
        const wanted = new Map<number, string>()
        const collect = (): void => {
          rig.settle()
          for (const { head } of rig.ring.collect()) {
            expect(offered.get(head)?.text()).toBe(wanted.get(head))
            offered.delete(head)
          }
        }
        for (const [i, each] of acts.entries()) {
          if (each === "offer" && rig.ring.freeDescriptors >= 2) {
            const text = `text ${i}`
            const one = offer(rig, text)
            offered.set(one.head, one)
            wanted.set(one.head, text)
          }
          if (each === "hold") rig.device.hold = true
          if (each === "collect") {
            rig.device.letGo()
            collect()
          }
          if (each === "kill") {
            rig.killBackEnd()
            rig.device.hold = false
            rig.startBackEnd()
            rig.wait(2000)
          }
        }
        rig.device.hold = false
        rig.device.letGo()
        rig.killBackEnd()
        rig.startBackEnd()
        rig.wait(2000)
        collect()
        expect(offered.size).toBe(0)
      }),
      { numRuns: 40 },
    )
  })
})
