// What may go wrong at either side of a keeper: it ends that side, and never the keeper.
import { readdirSync } from "node:fs"
import { memoryTable, ring as ringBody, words } from "@skep/fake-qemu"
import { check } from "@skep/loop"
import * as sys from "@skep/loop/sys"
import { describe, expect, test } from "vitest"
import { type Device, features, request } from "../src/index.ts"
import { descriptorsUsed, fillDescriptors } from "./descriptors.ts"
import { echo, type KeeperRig, openKeeper } from "./keeper-rig.ts"

const descriptors = (): number => readdirSync("/proc/self/fd").length

/** A device of the same features that does nothing, or what the test says. */
function otherDevice(rig: KeeperRig, more: Partial<Device> = {}): Device {
  return {
    name: "other",
    queueCount: 1,
    features: rig.device.features,
    onStart: () => undefined,
    onKick: () => undefined,
    onStop: () => undefined,
    ...more,
  }
}

describe.each(["keeper", "qemu"] as const)("where the %s listens, the keeper", (listens) => {
  test("relays, and tells another back end all that the first one knew", () => {
    using rig = openKeeper({ listens })
    rig.startBackEnd()
    rig.front.start([rig.ring])
    expect(echo(rig, "before")).toBe("before")
    rig.killBackEnd()
    rig.startBackEnd()
    rig.wait(1000)
    expect(echo(rig, "after")).toBe("after")
    expect(rig.keeper.counters).toMatchObject({ replays: 1, failedReplays: 0 })
  })

  test("serves one front end after the other", () => {
    using rig = openKeeper({ listens })
    rig.startBackEnd()
    rig.front.start([rig.ring])
    expect(echo(rig, "one")).toBe("one")
    rig.hangUp(rig.front)
    expect(rig.states).toContain("waiting: the other side hung up")
    rig.anotherFront().start([rig.ring], { bases: [1] })
    expect(echo(rig, "two")).toBe("two")
  })

  test("leaves no descriptor behind when front ends come and go", () => {
    using rig = openKeeper({ listens })
    rig.startBackEnd()
    rig.hangUp(rig.front)
    const before = descriptors()
    for (let i = 0; i < 5; i++) {
      const front = rig.anotherFront()
      front.start([rig.ring], { bases: [i] })
      expect(echo(rig, `round ${i}`)).toBe(`round ${i}`)
      rig.hangUp(front)
    }
    expect(descriptors()).toBe(before)
  })
})

describe("a keeper that listens", () => {
  test("takes a second front end for the successor of the first", () => {
    using rig = openKeeper()
    rig.startBackEnd()
    rig.front.start([rig.ring])
    const second = rig.anotherFront()
    rig.settle()
    expect(rig.front.ended).toBe(true)
    expect(rig.states).toContain("waiting: another front end came")
    second.start([rig.ring])
    expect(echo(rig, "second")).toBe("second")
  })

  test("pauses where it has no descriptor for a front end, and takes it when it has", () => {
    using rig = openKeeper()
    rig.startBackEnd()
    rig.hangUp(rig.front)
    const room = fillDescriptors(1) // for the front end's own socket
    const front = rig.anotherFront()
    const began = descriptorsUsed()
    rig.settle()
    rig.settle()
    expect(rig.states.filter((state) => state.includes("EMFILE"))).toEqual([
      "waiting: cannot accept a front end: EMFILE",
    ])
    expect(descriptorsUsed()).toBe(began)
    room[Symbol.dispose]()
    rig.wait(100)
    front.start([rig.ring])
    expect(echo(rig, "late")).toBe("late")
  })

  test("parts with a front end whose descriptors it could not receive, and serves the next", () => {
    using rig = openKeeper()
    rig.startBackEnd()
    rig.wait(1000)
    expect(rig.keeper.state).toBe("relaying")
    const room = fillDescriptors(0)
    rig.front.send(request.SET_MEM_TABLE, {
      body: memoryTable(rig.ram.regions),
      fds: rig.ram.regions.map(({ fd }) => fd),
    })
    room[Symbol.dispose]()
    expect(rig.front.ended).toBe(true)
    expect(rig.states.at(-1)).toContain("descriptors were lost")
    rig.anotherFront().start([rig.ring])
    expect(echo(rig, "next")).toBe("next")
  })
})

describe("a back end", () => {
  test("that is slow to return is waited for, ever less often, and told everything", () => {
    using rig = openKeeper()
    rig.startBackEnd()
    rig.front.start([rig.ring])
    rig.killBackEnd()
    for (let second = 0; second < 60; second++) rig.wait(1000)
    expect(rig.front.features()).toBe(features.RING_FEATURES | features.VIRTIO_F_IN_ORDER)
    rig.startBackEnd()
    rig.wait(1000)
    expect(echo(rig, "back again")).toBe("back again")
  })

  test("that crashes on each replay is tried at most once a second, and QEMU is answered all the while", () => {
    using rig = openKeeper()
    rig.startBackEnd()
    rig.front.start([rig.ring])
    expect([...rig.front.config(0, 4)]).toEqual([1, 2, 3, 4])
    rig.killBackEnd()
    const crash = (): never => {
      throw new Error("as bad as that")
    }
    rig.startBackEnd(otherDevice(rig, { onStart: crash }))
    const began = rig.now()
    const seconds = 30
    while (rig.now() < began + seconds * 1000) {
      rig.wait(0)
      expect([...rig.front.config(0, 4)]).toEqual([1, 2, 3, 4])
    }
    // 10 ms and its doublings up to 1 s are seven more.
    expect(rig.keeper.counters.replays).toBeLessThanOrEqual(seconds + 7)
    expect(rig.keeper.counters.replays).toBeGreaterThan(seconds / 2)
    expect(rig.keeper.counters.failedReplays).toBeGreaterThanOrEqual(rig.keeper.counters.replays - 1)
    rig.killBackEnd()
    rig.startBackEnd()
    rig.wait(2000)
    expect(echo(rig, "alive")).toBe("alive")
  })

  test("that dies as soon as it is told everything is not tried again and again at once", () => {
    using rig = openKeeper()
    rig.startBackEnd()
    rig.front.start([rig.ring])
    rig.killBackEnd()
    // The kick after the replay is its end.
    rig.startBackEnd(
      otherDevice(rig, {
        onKick: () => {
          throw new Error("not for me")
        },
      }),
    )
    const began = rig.now()
    while (rig.now() < began + 30_000) rig.wait(0)
    expect(rig.keeper.counters.replays).toBeLessThanOrEqual(37)
  })

  test("that falls silent is left after 5 s, and QEMU gets its answer", () => {
    using rig = openKeeper()
    rig.startBackEnd()
    rig.front.start([rig.ring])
    expect([...rig.front.config(0, 4)]).toEqual([1, 2, 3, 4])
    rig.sleepBackEnd(true)
    rig.front.send(request.GET_VRING_BASE, { body: ringBody(0, 0) })
    rig.wait(4000)
    expect(rig.keeper.state).toBe("relaying")
    rig.wait(1000)
    expect(rig.states).toContain("standing-in: it did not answer in time")
    expect(rig.front.answer(request.GET_VRING_BASE)).toHaveLength(8)
    rig.sleepBackEnd(false)
    rig.wait(2000)
    rig.front.startRing(0, rig.ring)
    expect(echo(rig, "awake")).toBe("awake")
  })

  test("that is silent from the first word on costs QEMU its device after 5 s, not for ever", () => {
    using rig = openKeeper()
    rig.sleepBackEnd(true)
    rig.startBackEnd()
    rig.wait(1000)
    rig.front.send(request.GET_FEATURES)
    rig.wait(5000)
    expect(rig.front.ended).toBe(true)
    rig.sleepBackEnd(false)
    rig.anotherFront().start([rig.ring])
    expect(echo(rig, "awake")).toBe("awake")
  })

  test("that does not answer its replay leaves QEMU without an answer for 5 s at most", () => {
    using rig = openKeeper()
    rig.startBackEnd()
    rig.front.start([rig.ring])
    rig.killBackEnd()
    rig.sleepBackEnd(true)
    rig.startBackEnd()
    rig.wait(1000)
    expect(rig.keeper.state).toBe("replaying")
    rig.front.send(request.GET_FEATURES)
    rig.wait(5000)
    expect(rig.front.answer(request.GET_FEATURES)).toHaveLength(8)
  })

  test("that lacks a protocol feature which QEMU uses is refused, with the reason", () => {
    using rig = openKeeper()
    rig.startBackEnd()
    rig.front.send(request.SET_PROTOCOL_FEATURES, {
      body: words(features.PROTOCOL_F_CONFIG | features.PROTOCOL_F_REPLY_ACK),
    })
    rig.front.start([rig.ring])
    rig.front.send(request.SET_PROTOCOL_FEATURES, {
      body: words(features.PROTOCOL_F_CONFIG | features.PROTOCOL_F_REPLY_ACK),
    })
    rig.killBackEnd()
    rig.startBackEnd(otherDevice(rig)) // has no configuration
    rig.wait(1000)
    expect(rig.states.join("\n")).toContain("it lacks the protocol features 0x200, which the front end uses")
    expect(["standing-in", "replaying"]).toContain(rig.keeper.state)
    rig.killBackEnd()
    rig.startBackEnd()
    rig.wait(2000)
    expect(echo(rig, "with it")).toBe("with it")
  })

  test("that refused a region is not succeeded by one that is told of it", () => {
    using rig = openKeeper()
    rig.startBackEnd()
    rig.front.start([rig.ring])
    const region = words(0, 0, 4096, 0x7000_0000_0000, 0) // over the guest's first one
    expect(rig.front.acknowledged(request.ADD_MEM_REG, { body: region, fds: [memfd(4096)] })).toBe(false)
    rig.killBackEnd()
    rig.startBackEnd()
    rig.wait(1000)
    expect(echo(rig, "without it")).toBe("without it")
  })
})

describe("a front end", () => {
  test("whose memory cannot be mapped to stand in for a back end is parted with, and the next one served", () => {
    using rig = openKeeper()
    rig.startBackEnd()
    rig.front.start([rig.ring])
    rig.killBackEnd()
    const [first] = rig.ram.regions
    if (first === undefined) throw new Error("no region")
    // Two regions in one place: nobody is there to refuse them.
    rig.front.send(request.SET_MEM_TABLE, { body: memoryTable([first, first]), fds: [first.fd, first.fd] })
    rig.front.send(request.GET_VRING_BASE, { body: ringBody(0, 0) })
    expect(rig.front.ended).toBe(true)
    expect(rig.states.at(-1)).toContain("lies over the one at")
    rig.startBackEnd()
    rig.anotherFront().start([rig.ring])
    expect(echo(rig, "next")).toBe("next")
  })
})

function memfd(bytes: number): number {
  const fd = check(sys.memfdCreate("test"), "memfd_create")
  check(sys.ftruncate(fd, bytes), "ftruncate")
  return fd
}
