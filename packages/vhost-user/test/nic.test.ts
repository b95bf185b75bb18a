// What only NICs need of a back end: pairs of queues, an MTU, announcements, buffers that are taken and put back.
import { firstWord, words } from "@skep/fake-qemu"
import { describe, expect, test } from "vitest"
import { type Device, features, newCopy, type Queue, request } from "../src/index.ts"
import { EchoDevice } from "./echo-device.ts"
import { only, openRig } from "./rig.ts"

interface Heard {
  readonly device: Device
  readonly told: string[]
  readonly queues: Queue[]
}

function nic(more: Partial<Device> = {}): Heard {
  const told: string[] = []
  const queues: Queue[] = []
  const device: Device = {
    name: "nic",
    queueCount: 1,
    features: 0n,
    onStart: (queue) => queues.push(queue),
    onStop: () => undefined,
    onKick: () => told.push("kick"),
    onEnable: (_queue, on) => told.push(on ? "on" : "off"),
    onMtu: (mtu) => {
      told.push(`mtu ${mtu}`)
      return mtu <= 9000
    },
    onAnnounce: (mac) => told.push(Buffer.from(mac).toString("hex")),
    ...more,
  }
  return { device, told, queues }
}

describe("a NIC", () => {
  test("announces pairs of queues, and is told of an MTU and of a migration", () => {
    const { device, told } = nic({ announcedQueues: 4 })
    using rig = openRig(device)
    const offered = firstWord(rig.front.ask(request.GET_PROTOCOL_FEATURES))
    expect(offered & (features.PROTOCOL_F_MTU | features.PROTOCOL_F_RARP)).toBe(20n)
    expect(firstWord(rig.front.ask(request.GET_QUEUE_NUM))).toBe(4n)
    expect(rig.front.acknowledged(request.NET_SET_MTU, { body: words(1500) })).toBe(true)
    expect(rig.front.acknowledged(request.NET_SET_MTU, { body: words(9001) })).toBe(false)
    const mac = Uint8Array.of(0x52, 0x54, 0, 1, 2, 3, 0, 0)
    expect(rig.front.acknowledged(request.SEND_RARP, { body: mac })).toBe(true)
    expect(told).toEqual(["mtu 1500", "mtu 9001", "525400010203"])
  })

  test("of a device that is none is not offered", () => {
    using device = new EchoDevice()
    using rig = openRig(device)
    const offered = firstWord(rig.front.ask(request.GET_PROTOCOL_FEATURES))
    expect(offered & (features.PROTOCOL_F_MTU | features.PROTOCOL_F_RARP)).toBe(0n)
    expect(firstWord(rig.front.ask(request.GET_QUEUE_NUM))).toBe(1n)
    expect(rig.front.acknowledged(request.NET_SET_MTU, { body: words(1500) })).toBe(false)
    expect(rig.front.acknowledged(request.SEND_RARP, { body: words(0) })).toBe(false)
  })

  test("hears when a queue that was started is enabled and disabled", () => {
    const { device, told } = nic()
    using rig = openRig(device)
    rig.front.start(rig.rings)
    expect(told).toEqual(["on", "kick"])
    rig.front.enable(0, false)
    expect(told.slice(2)).toEqual(["off"])
  })

  test.each([
    ["with event indices", 0n],
    ["with flags", features.VIRTIO_RING_F_EVENT_IDX],
  ])("takes buffers, puts several back, and is kicked for what is beyond them (%s)", (_how, without) => {
    const { device, told, queues } = nic()
    using rig = openRig(device, { ring: { size: 16, eventIndex: without === 0n } })
    rig.front.start(rig.rings, { without })
    const ring = only(rig)
    const [queue] = queues
    if (queue === undefined) throw new Error("the queue was not started")
    queue.muteKicks()
    const offer = (): number => ring.offer([{ address: rig.ram.allocate(8), length: 8, writable: true }])
    const heads = Array.from({ length: 5 }, offer)
    expect(queue.offered).toBe(5)
    const taken = heads.map(() => queue.take()?.head)
    expect(taken).toEqual(heads)
    expect(queue.wantKick()).toBe(false)
    for (let left = 4; left > 0; left--) queue.untake()
    expect([queue.offered, queue.inFlight, queue.chains]).toEqual([4, 1, 1])
    queue.give(heads[0] ?? 0, 8)
    told.length = 0
    ring.kick()
    rig.settle()
    offer()
    expect(ring.kick()).toBe(true)
    rig.settle()
    expect(told).toContain("kick")
    expect(Array.from({ length: 5 }, () => queue.take()?.head).slice(0, 4)).toEqual(heads.slice(1))
    expect(queue.take()).toBeUndefined()
  })
})

test("memory is copied right in all alignments and lengths", () => {
  const { device, queues } = nic()
  using rig = openRig(device)
  rig.front.start(rig.rings)
  const ring = only(rig)
  const [queue] = queues
  const address = rig.ram.allocate(400, undefined, 4)
  const bytes = rig.ram.bytes(address, 400)
  for (let index = 0; index < 400; index++) bytes[index] = index * 7
  const into = newCopy(400)
  for (let start = 0; start < 4; start++) {
    for (const length of [0, 1, 2, 3, 4, 5, 7, 8, 23, 25, 63, 64, 65, 127, 128, 129, 268]) {
      for (let at = 0; at < 4; at++) {
        into.bytes.fill(0xee)
        ring.offer([{ address: address + start, length: 300 }])
        const chain = queue?.take()
        expect(chain?.readHead(queue?.memory ?? rig.connection.session.memory, into, length, at)).toBe(true)
        const wanted = new Uint8Array(400).fill(0xee)
        wanted.set(bytes.subarray(start, start + length), at)
        expect(into.bytes).toEqual(wanted)
        queue?.give(chain?.head ?? 0, 0)
        queue?.flush()
        ring.collect()
      }
    }
  }
})
