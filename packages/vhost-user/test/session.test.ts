import { readdirSync } from "node:fs"
import * as sys from "@skep/loop/sys"
import { describe, expect, test } from "vitest"
import { emitHeader, features, HEADER, payload, request } from "../src/index.ts"
import { EchoDevice } from "./echo-device.ts"
import { only, openRig, type Rig } from "./rig.ts"

function open(options?: Parameters<typeof openRig>[1]): Rig & { readonly device: EchoDevice } {
  const device = new EchoDevice()
  const rig = openRig(device, options)
  return {
    ...rig,
    device,
    [Symbol.dispose]: () => {
      rig[Symbol.dispose]()
      device[Symbol.dispose]()
    },
  }
}

/** Sends `text` through the device and returns what came back. */
function echo(rig: Rig, text: string): string {
  const ring = only(rig)
  const from = rig.ram.allocate(text.length)
  const to = rig.ram.allocate(text.length)
  rig.ram.bytes(from, text.length).set(Buffer.from(text))
  const head = ring.offer([
    { address: from, length: text.length },
    { address: to, length: text.length, writable: true },
  ])
  ring.kick()
  rig.settle()
  const [back] = ring.collect()
  expect(back).toEqual({ head, written: text.length })
  return Buffer.from(rig.ram.bytes(to, text.length)).toString()
}

describe("a front end", () => {
  test("starts a device in the order of QEMU, and bytes go through", () => {
    using rig = open()
    rig.front.start(rig.rings)
    expect(rig.device.told).toEqual(["start 0"])
    expect(echo(rig, "hello")).toBe("hello")
    expect(only(rig).calls()).toBe(1)
  })

  test("is offered the device's features with those of the ring and the protocol", () => {
    using rig = open()
    expect(rig.front.features()).toBe(features.RING_FEATURES | features.VIRTIO_F_IN_ORDER)
  })

  test("reads the device's configuration; what the device lacks is zero", () => {
    using rig = open()
    expect([...rig.front.config(1, 5)]).toEqual([2, 3, 4, 0, 0])
  })

  test("without protocol features has rings enabled by their kick", () => {
    using rig = open()
    const { front } = rig
    front.send(request.SET_FEATURES, { body: bits(features.VIRTIO_F_VERSION_1) })
    front.setMemory()
    front.startRing(0, only(rig))
    expect(rig.connection.session.queues[0]?.running).toBe(true)
  })

  test("gets an acknowledgement where it asks for one, whatever was negotiated", () => {
    using rig = open()
    expect(rig.front.acknowledged(request.SET_OWNER)).toBe(true)
    expect(rig.front.acknowledged(request.SET_VRING_NUM, { body: pair(0, 17) })).toBe(false)
    expect(rig.front.acknowledged(request.SET_VRING_NUM, { body: pair(9, 16) })).toBe(false)
    expect(rig.front.acknowledged(99)).toBe(false)
    expect(rig.events).toEqual([])
  })

  test("stops a ring, learns where it was, and starts it there again", () => {
    using rig = open()
    rig.front.start(rig.rings)
    expect(echo(rig, "one")).toBe("one")
    expect(rig.front.stopRing(0)).toBe(1)
    expect(rig.device.told).toEqual(["start 0", "stop 0"])
    rig.front.startRing(0, only(rig), 1)
    expect(echo(rig, "two")).toBe("two")
  })

  test("takes chains that were offered before the ring started", () => {
    using rig = open()
    const ring = only(rig)
    const to = rig.ram.allocate(8)
    ring.offer([{ address: to, length: 8, writable: true }])
    rig.front.start(rig.rings)
    rig.settle()
    expect(ring.collect()).toHaveLength(1)
  })

  test("moves the memory under a ring that runs, which goes on where it was", () => {
    using rig = open()
    rig.front.start(rig.rings)
    echo(rig, "before")
    expect(rig.front.setMemory()).toBe(true)
    expect(echo(rig, "after")).toBe("after")
  })

  test("sends the call descriptor often: the last one counts, and none leaks", () => {
    using rig = open()
    rig.front.start(rig.rings)
    const before = openFiles()
    for (let i = 0; i < 50; i++)
      rig.front.send(request.SET_VRING_CALL, { body: new Uint8Array(8), fds: [only(rig).callFd] })
    expect(openFiles()).toBe(before)
    expect(echo(rig, "again")).toBe("again")
    expect(only(rig).calls()).toBe(1)
  })

  test("that hangs up leaves no descriptor and no memory behind", () => {
    const before = openFiles()
    {
      using rig = open()
      rig.front.start(rig.rings)
      echo(rig, "bye")
    }
    expect(openFiles()).toBe(before)
  })
})

describe("a front end that breaks the protocol loses its connection and no more:", () => {
  test.each<[string, (rig: Rig) => void, string]>([
    [
      "features that were not offered",
      (rig) => rig.front.send(request.SET_FEATURES, { body: bits(1n << 63n) }),
      "not offered",
    ],
    ["a header of another version", (rig) => rig.front.sendRaw(new Uint8Array(HEADER)), "bad-version"],
    [
      "a payload that is too long",
      (rig) => rig.front.sendRaw(header(request.SET_FEATURES, 1 << 20)),
      "too-long",
    ],
    [
      "a payload of another size",
      (rig) => rig.front.send(request.SET_VRING_NUM, { body: new Uint8Array(4) }),
      "bad-size",
    ],
    [
      "a queue that is none",
      (rig) => rig.front.send(request.SET_VRING_NUM, { body: pair(7, 16) }),
      "no queue 7",
    ],
    [
      "a ring outside the memory",
      (rig) => {
        rig.front.setMemory()
        rig.front.send(request.SET_VRING_NUM, { body: pair(0, 16) })
        rig.front.send(request.SET_VRING_ADDR, { body: new Uint8Array(payload.VRING_ADDRESS) })
        rig.front.send(request.SET_VRING_KICK, { body: new Uint8Array(8), fds: [only(rig).kickFd] })
      },
      "is not aligned memory of the guest",
    ],
    [
      "memory without its descriptors",
      (rig) => {
        const body = new Uint8Array(payload.sizeOfMemoryTable(rig.ram.regions))
        payload.emitMemoryTable(rig.ram.regions, body, 0)
        rig.front.send(request.SET_MEM_TABLE, { body })
      },
      "came with 0 descriptors",
    ],
    [
      "more regions than a message can have",
      (rig) => {
        const body = new Uint8Array(8)
        body[0] = 9
        rig.front.send(request.SET_MEM_TABLE, { body })
      },
      "bad-count",
    ],
  ])("%s", (_what, break_, reason) => {
    const before = openFiles()
    {
      using rig = open()
      break_(rig)
      rig.settle()
      expect(rig.events).toEqual([expect.stringContaining(reason)])
      expect(rig.front.ended).toBe(true)
    }
    expect(openFiles()).toBe(before)
  })

  test("descriptors that nobody asked for are closed", () => {
    using rig = open()
    const before = openFiles()
    rig.front.send(request.SET_OWNER, { fds: [only(rig).callFd, only(rig).kickFd] })
    expect(openFiles()).toBe(before)
  })

  test("memory that can shrink is refused, since it could crash us", () => {
    using rig = open({ ram: { unsealed: true } })
    const [region] = rig.ram.regions
    // A file that takes no seals at all: nobody can promise that it stays.
    expect(sys.addSeals(region?.fd ?? -1, sys.F_SEAL_SEAL)).toBe(0)
    expect(rig.front.setMemory()).toBe(false)
  })

  test("memory that was shrunk before it came is refused, and cannot be shrunk after", () => {
    using rig = open({ ram: { unsealed: true } })
    const region = rig.ram.regions[0]
    if (region === undefined) throw new Error("no region")
    expect(sys.ftruncate(region.fd, region.size - 4096)).toBe(0)
    expect(rig.front.setMemory()).toBe(false)
    expect(sys.ftruncate(region.fd, 0)).toBe(-sys.EPERM) // sealed by the attempt
    expect(rig.events).toEqual([])
    using whole = open({ ram: { unsealed: true } })
    whole.front.start(whole.rings)
    for (const { fd } of whole.ram.regions) expect(sys.ftruncate(fd, 0)).toBe(-sys.EPERM)
    expect(echo(whole, "still there")).toBe("still there")
  })

  test("a message in pieces is one message", () => {
    using rig = open()
    for (const byte of header(request.GET_FEATURES, 0)) rig.front.sendRaw(Uint8Array.of(byte))
    expect(rig.front.answer(request.GET_FEATURES)).toEqual(bits(rig.front.features()))
  })
})

function header(number: number, size: number): Uint8Array {
  const bytes = new Uint8Array(HEADER)
  emitHeader({ request: number, reply: false, needReply: false, size }, bytes, 0)
  return bytes
}

function bits(value: bigint): Uint8Array {
  const body = new Uint8Array(8)
  payload.emitBits(value, body, 0)
  return body
}

function pair(index: number, value: number): Uint8Array {
  const body = new Uint8Array(payload.VRING_STATE)
  payload.emitVringState({ index, value }, body, 0)
  return body
}

function openFiles(): number {
  return readdirSync("/proc/self/fd").length
}
