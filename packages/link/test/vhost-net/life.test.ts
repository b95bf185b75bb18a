import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { FrontEnd, firstWord, GuestRam, words } from "@skep/fake-qemu"
import { check, Loop } from "@skep/loop"
import { connectUnix, Keeper, listenUnix, request, Server } from "@skep/vhost-user"
import { describe, expect, test } from "vitest"
import { VhostNetLink } from "../../src/vhost-net/index.ts"
import { Driver } from "./driver.ts"
import { FileMemory } from "./file-memory.ts"
import { openNet, pattern, Recorder } from "./rig.ts"

describe("the carrier", () => {
  test("is there when both queues run and are enabled, and goes with either", () => {
    using rig = openNet({ idle: true })
    expect(rig.link.carrier).toBe(false)
    rig.front.start(rig.driver.rings)
    expect(rig.receiver.told).toEqual(["up"])
    rig.front.enable(0, false)
    expect(rig.receiver.told).toEqual(["up", "down"])
    rig.front.enable(0, true)
    rig.front.stopRing(1)
    expect(rig.receiver.told).toEqual(["up", "down", "up", "down"])
    expect(rig.link.offloads).toEqual({ checksum: false, tcp4: false, tcp6: false })
  })

  test("goes with the front end, and comes with the next one", () => {
    using rig = openNet()
    rig.driver.send(pattern(100))
    rig.transmit()
    rig.connection[Symbol.dispose]()
    rig.settle()
    expect(rig.receiver.told).toEqual(["up", "frame", "settle", "down"])
    expect(rig.link.send(pattern(60), 0, 60)).toBe(false)
    expect(rig.link.lend(54, 100)).toBe(false)
    const { front, connection } = rig.connect()
    using driver = new Driver(rig.ram)
    front.start(driver.rings)
    driver.offer(1536)
    driver.rx.kick()
    rig.settle()
    expect(rig.receiver.told.slice(4)).toEqual(["up", "room"])
    expect(rig.link.send(pattern(60), 0, 60)).toBe(true)
    rig.settle()
    expect(driver.receive()).toHaveLength(1)
    front[Symbol.dispose]()
    connection[Symbol.dispose]()
  })

  test("stays while the memory of the guest moves, and so do its frames", () => {
    using rig = openNet()
    rig.driver.offer(1536)
    rig.refill()
    expect(rig.front.setMemory()).toBe(true)
    expect(rig.receiver.told).toEqual(["up"])
    expect(rig.link.send(pattern(60), 0, 60)).toBe(true)
    rig.driver.send(pattern(100))
    rig.transmit()
    expect(rig.driver.receive()).toHaveLength(1)
    expect(rig.receiver.frames).toHaveLength(1)
  })

  test("is told when the link starts, if it is there already; frames wait for that", () => {
    const loop = new Loop()
    using memory = new FileMemory()
    using rig = openNet()
    const link = new VhostNetLink({ name: "late", scope: loop.root, memory })
    const late = new Recorder(memory)
    link.receiver = late
    for (const queue of rig.connection.session.queues) link.onStart(queue)
    rig.driver.send(pattern(100))
    for (const queue of rig.connection.session.queues) link.onKick(queue)
    expect(late.told).toEqual([])
    link.start()
    loop.step()
    expect(late.told).toEqual(["up", "frame", "settle"])
    link[Symbol.dispose]()
    loop[Symbol.dispose]()
  })
})

describe("the front end", () => {
  test("asks for features, pairs of queues, an MTU", () => {
    using rig = openNet({ idle: true, link: { pairs: 2, mtu: 9000 } })
    const offered = rig.front.features()
    for (const bit of [0n, 1n, 3n, 7n, 8n, 11n, 12n, 15n, 16n, 22n, 27n, 28n, 29n, 30n, 32n])
      expect(offered & (1n << bit)).not.toBe(0n)
    // Congestion marks on segments, UDP fragments, control queue: not ours to offer.
    for (const bit of [5n, 9n, 10n, 13n, 14n, 17n]) expect(offered & (1n << bit)).toBe(0n)
    expect(firstWord(rig.front.ask(request.GET_QUEUE_NUM))).toBe(2n)
    const told = (mtu: number): boolean => rig.front.acknowledged(request.NET_SET_MTU, { body: words(mtu) })
    expect([told(1279), told(65_536), told(65_535)]).toEqual([false, false, true])
    expect(rig.link.mtu).toBe(9000)
    expect(told(1400)).toBe(true)
    expect(rig.link.mtu).toBe(1400)
  })

  test("has a machine announced that has moved", () => {
    using rig = openNet()
    const mac = Uint8Array.of(0x52, 0x54, 0, 1, 2, 3, 0, 0)
    expect(rig.front.acknowledged(request.SEND_RARP, { body: mac })).toBe(true)
    const [seen] = rig.receiver.frames
    expect(Buffer.from(seen?.bytes ?? []).toString("hex")).toBe(
      "ffffffffffff525400010203803500010800060400035254000102030000000052540001020300000000".padEnd(120, "0"),
    )
    expect(seen?.head).toEqual(seen?.bytes)
    expect(rig.receiver.told).toEqual(["up", "frame", "settle"])
  })

  test("may have several pairs: frames come from all, and go by the first", () => {
    using rig = openNet({ idle: true, link: { pairs: 2 } })
    using second = new Driver(rig.ram)
    rig.front.start([...rig.driver.rings, ...second.rings])
    second.offer(1536)
    rig.driver.offer(1536)
    second.rx.kick()
    rig.refill()
    rig.driver.send(pattern(100, 1))
    rig.transmit()
    second.send(pattern(100, 2))
    second.tx.kick()
    rig.settle()
    expect(rig.receiver.frames.map(({ bytes }) => bytes)).toEqual([pattern(100, 1), pattern(100, 2)])
    expect(rig.link.send(pattern(60), 0, 60)).toBe(true)
    rig.settle()
    expect([rig.driver.receive().length, second.receive().length]).toEqual([1, 0])
  })
})

test("a link that is disposed of hears nothing more, and its device does no harm", () => {
  using rig = openNet()
  rig.link[Symbol.dispose]()
  rig.driver.send(pattern(100))
  rig.driver.offer(100)
  rig.driver.rx.kick()
  rig.transmit()
  expect(rig.receiver.told).toEqual(["up"])
  expect(rig.link.send(pattern(60), 0, 60)).toBe(false)
  rig.front.stopRing(0)
  expect(rig.events).toEqual([])
})

test("rings go on past 65,536 frames each way", () => {
  using rig = openNet({ driver: { size: 256 }, ram: { sizes: [1 << 20, 64 << 20] } })
  const { driver, link } = rig
  while (driver.offer(128));
  rig.refill()
  const at = rig.ram.allocate(72)
  let received = 0
  while (rig.link.counters.framesIn < 70_000) {
    // The same frame each time: the guest's memory of this test is never given back.
    while (driver.tx.offer([{ address: at, length: 72 }]) >= 0);
    rig.transmit()
    driver.tx.collect()
    rig.receiver.frames.length = 0
    rig.receiver.told.length = 0
    while (link.send(pattern(60), 0, 60));
    rig.settle()
    received += driver.receive().length
    driver.offerAgain()
    rig.refill()
  }
  expect(received).toBe(link.counters.framesOut)
  expect(received).toBeGreaterThan(65_536)
  expect(link.counters.malformed).toBe(0)
})

describe("behind a keeper", () => {
  function openKept() {
    const directory = mkdtempSync(join(tmpdir(), "skep-net-"))
    const [front, back] = ["front.sock", "back.sock"].map((name) => join(directory, name)) as [string, string]
    let now = 0
    const loop = new Loop({ clock: { now: () => now } })
    const backLoops: Loop[] = []
    const memory = new FileMemory()
    const ram = new GuestRam({ sizes: [1 << 20, 32 << 20] })
    const driver = new Driver(ram)
    const settle = (): void => {
      for (let step = 0; step < 16; step++) {
        now += 5
        loop.step()
        for (const each of backLoops) each.step()
      }
    }
    const startBackEnd = () => {
      const backLoop = new Loop({ clock: { now: () => now } })
      backLoops.push(backLoop)
      const link = new VhostNetLink({ name: "net", scope: backLoop.root, memory })
      const receiver = new Recorder(memory)
      link.receiver = receiver
      link.start()
      new Server(backLoop, { device: link, fd: listenUnix(back) })
      now += 1000 // the longest wait of the keeper between two attempts
      settle()
      return {
        link,
        receiver,
        /** As SIGKILL does: what was taken in a batch that has ended is back, and nothing else happens. */
        kill: (): void => {
          backLoops.length = 0
          rmSync(back)
          backLoop[Symbol.dispose]()
          settle()
        },
      }
    }
    const keeper = new Keeper(loop, {
      name: "net",
      front: { listen: listenUnix(front) },
      connect: () => connectUnix(back),
    })
    const first = startBackEnd()
    const qemu = new FrontEnd({ fd: check(connectUnix(front), "connect"), ram, turn: settle })
    qemu.start(driver.rings)
    return {
      keeper,
      first,
      driver,
      settle,
      startBackEnd,
      [Symbol.dispose]: () => {
        qemu[Symbol.dispose]()
        for (const each of [...backLoops, loop]) each[Symbol.dispose]()
        driver[Symbol.dispose]()
        ram[Symbol.dispose]()
        memory[Symbol.dispose]()
        rmSync(directory, { recursive: true, force: true })
      },
    }
  }

  test("another back end goes on where the last one was, and the guest sees each frame once", () => {
    using kept = openKept()
    const { driver } = kept
    for (let index = 0; index < 20; index++) driver.offer(1000)
    driver.rx.kick()
    const got: Uint8Array[] = []
    const sent: Uint8Array[] = []
    let back = kept.first
    for (let round = 0; round < 5; round++) {
      expect(back.link.offloads).toEqual({ checksum: true, tcp4: true, tcp6: true })
      for (let index = 0; index < 5; index++) driver.send(pattern(100, sent.push(new Uint8Array(0))))
      driver.tx.kick()
      kept.settle()
      got.push(...back.receiver.frames.map(({ bytes }) => bytes))
      back.link.lend(54, 3000)
      back.link.lend(54, 3000)
      back.link.use(pattern(54, round), 0, 54, 1500)
      back.link.unlend()
      kept.settle()
      expect(driver.receive().map(({ bytes }) => Uint8Array.from(bytes.subarray(0, 54)))).toEqual([
        pattern(54, round),
      ])
      expect(driver.tx.collect()).toHaveLength(5)
      back.kill()
      // Offered while nobody is there.
      driver.send(pattern(100, sent.push(new Uint8Array(0))))
      driver.tx.kick()
      back = kept.startBackEnd()
      expect(driver.tx.collect()).toHaveLength(1)
      expect(back.link.spareBuffers).toBe(20 - 2)
      driver.offerAgain()
      driver.rx.kick()
    }
    got.push(...back.receiver.frames.map(({ bytes }) => bytes))
    expect(got).toEqual(sent.map((_, index) => pattern(100, index + 1)))
    expect(kept.keeper.counters.replays).toBeGreaterThanOrEqual(5)
  })

  test("one that finds no buffers is told when there are some", () => {
    using kept = openKept()
    kept.first.kill()
    const back = kept.startBackEnd()
    expect(back.receiver.told).toEqual(["up"])
    expect(back.link.send(pattern(60), 0, 60)).toBe(false)
    kept.driver.offer(200)
    expect(kept.driver.rx.kick()).toBe(true)
    kept.settle()
    expect(back.receiver.told).toEqual(["up", "room"])
  })
})
