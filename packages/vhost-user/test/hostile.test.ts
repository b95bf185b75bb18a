// What a guest or a front end may do to us at worst: lose its own device.
import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { HEADER, PAYLOAD_MAX, parseHeader, payload } from "../src/index.ts"
import { EchoDevice } from "./echo-device.ts"
import { only, openRig, type Rig } from "./rig.ts"

const NEXT = 1
const WRITE = 2
const INDIRECT = 4
const GIB = 2 ** 30

/** Runs `attack` on a device that works, and expects its queue to end for this reason, once, with the error descriptor told. */
function expectBroken(attack: (rig: Rig) => void, reason: string): void {
  using device = new EchoDevice()
  using rig = openRig(device)
  rig.front.start(rig.rings)
  attack(rig)
  only(rig).kickAnyway()
  rig.settle()
  only(rig).kickAnyway()
  rig.settle()
  expect(rig.events).toEqual([`queue 0: ${reason}`])
  expect(only(rig).errors()).toBe(1)
  // The connection lives: a reset of the device starts it anew.
  expect(rig.front.stopRing(0)).toBeTypeOf("number")
}

describe("a guest", () => {
  test.each<[string, (rig: Rig) => void, string]>([
    ["whose head is outside of the table", (rig) => only(rig).offerHead(999), "head-outside"],
    ["whose next is outside of the table", (rig) => chain(rig, { flags: NEXT, next: 200 }), "next-outside"],
    ["whose chain is a loop", (rig) => chain(rig, { flags: NEXT, next: 0 }), "chain-too-long"],
    ["whose buffer is in a hole", (rig) => chain(rig, { address: 3.5 * GIB }), "address-outside"],
    ["whose buffer has an address of 64 bits", (rig) => chain(rig, { address: 2 ** 53 }), "address-outside"],
    [
      "whose buffer runs off the end of its memory",
      (rig) => chain(rig, { length: 2 ** 31 }),
      "address-outside",
    ],
    ["whose available index jumps", (rig) => only(rig).setAvailableIndex(17), "index-jumped"],
    [
      "whose indirect table has no whole descriptors",
      (rig) => chain(rig, { flags: INDIRECT, length: 24 }),
      "indirect-size",
    ],
    ["whose indirect table is empty", (rig) => chain(rig, { flags: INDIRECT, length: 0 }), "indirect-size"],
    [
      "whose indirect table is huge",
      (rig) => chain(rig, { flags: INDIRECT, length: 16 * 1024 }),
      "indirect-size",
    ],
    [
      "whose indirect table is in a hole",
      (rig) => chain(rig, { flags: INDIRECT, length: 32, address: 3.5 * GIB }),
      "address-outside",
    ],
    [
      "whose indirect descriptor has a next",
      (rig) => chain(rig, { flags: INDIRECT | NEXT, length: 32 }),
      "indirect-with-next",
    ],
    [
      "whose indirect table is nested",
      (rig) => {
        const inner = rig.ram.allocate(32)
        rig.ram.view(inner, 16).setUint16(12, INDIRECT, true)
        chain(rig, { flags: INDIRECT, length: 32, address: inner })
      },
      "indirect-nested",
    ],
    [
      "whose indirect table is a loop",
      (rig) => {
        const table = rig.ram.allocate(32)
        const buffer = rig.ram.allocate(8)
        for (const at of [table, table + 16]) {
          const view = rig.ram.view(at, 16)
          view.setBigUint64(0, BigInt(buffer), true)
          view.setUint32(8, 8, true)
          view.setUint16(12, NEXT, true)
          view.setUint16(14, at === table ? 1 : 0, true)
        }
        chain(rig, { flags: INDIRECT, length: 32, address: table })
      },
      "chain-too-long",
    ],
    [
      "whose indirect table leads out of itself",
      (rig) => {
        const table = rig.ram.allocate(32)
        const view = rig.ram.view(table, 16)
        view.setUint16(12, NEXT, true)
        view.setUint16(14, 2, true)
        chain(rig, { flags: INDIRECT, length: 32, address: table })
      },
      "next-outside",
    ],
    [
      "whose buffer goes over the border of its memory into a hole",
      (rig) => chain(rig, { address: endOf(rig, 0) - 4, length: 8 }),
      "address-outside",
    ],
    [
      "whose indirect table goes over the border of its memory into a hole",
      (rig) => chain(rig, { flags: INDIRECT, address: endOf(rig, 0) - 16, length: 32 }),
      "address-outside",
    ],
    [
      "whose readable buffer follows a writable one",
      (rig) => {
        only(rig).setDescriptor(0, { address: rig.ram.allocate(8), length: 8 }, WRITE | NEXT, 1)
        only(rig).setDescriptor(1, { address: rig.ram.allocate(8), length: 8 }, 0, 0)
        only(rig).offerHead(0)
      },
      "read-after-write",
    ],
    [
      "whose chain is larger than 4 GiB",
      (rig) => {
        only(rig).setDescriptor(0, { address: 0, length: 2 ** 20 }, NEXT, 1)
        only(rig).setDescriptor(1, { address: 0, length: 2 ** 32 - 1 }, NEXT, 2)
        only(rig).offerHead(0)
      },
      "chain-too-large",
    ],
  ])("%s loses its queue", (_what, attack, reason) => expectBroken(attack, reason))

  test("whatever it writes into its rings and tables, it hurts only itself", () => {
    const descriptor = fc.record({
      address: fc.oneof(fc.integer({ min: 0, max: 1 << 20 }), fc.maxSafeInteger().map(Math.abs)),
      length: fc.oneof(fc.nat(5000), fc.nat(0xffff_ffff)),
      flags: fc.nat(7),
      next: fc.nat(20),
    })
    fc.assert(
      fc.property(
        fc.array(descriptor, { minLength: 16, maxLength: 16 }),
        fc.array(fc.nat(20), { maxLength: 12 }),
        (table, heads) => {
          using device = new EchoDevice()
          using neighbour = new EchoDevice()
          using rig = openRig(device)
          using other = openRig(neighbour)
          rig.front.start(rig.rings)
          other.front.start(other.rings)
          // The device is to move no bytes of its own pipe's size here: what it is given is checked before.
          device.hold = true
          for (const [i, { flags, next, ...buffer }] of table.entries())
            only(rig).setDescriptor(i, { ...buffer, length: Math.min(buffer.length, 4000) }, flags, next)
          for (const head of heads) only(rig).offerHead(head)
          only(rig).kickAnyway()
          rig.settle()
          expect(rig.events.length).toBeLessThanOrEqual(1)
          only(other).offer([{ address: other.ram.allocate(8), length: 8, writable: true }])
          only(other).kick()
          other.settle()
          expect(only(other).collect()).toHaveLength(1)
        },
      ),
      { numRuns: 300 },
    )
  })
})

describe("a front end", () => {
  test("whatever bytes it sends, nothing throws and its connection ends or waits", () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 8 }), (messages) => {
        using device = new EchoDevice()
        using rig = openRig(device)
        for (const bytes of messages) {
          if (bytes.length === 0 || rig.events.length > 0) continue
          rig.front.sendRaw(bytes)
        }
        expect(rig.events.length).toBeLessThanOrEqual(1)
      }),
      { numRuns: 200 },
    )
  })

  test("whatever requests it sends in whatever order, nothing throws", () => {
    const message = fc.record({
      request: fc.nat(45),
      body: fc.uint8Array({ maxLength: 80 }),
      fds: fc.nat(3),
      needReply: fc.boolean(),
    })
    fc.assert(
      fc.property(fc.array(message, { maxLength: 15 }), (messages) => {
        using device = new EchoDevice()
        using rig = openRig(device)
        rig.front.setMemory()
        for (const { request: number, body, fds, needReply } of messages) {
          if (rig.events.length > 0) break
          const handed = Array.from({ length: fds }, () => only(rig).kickFd)
          rig.front.send(number, { body, fds: handed, needReply })
        }
        expect(rig.events.length).toBeLessThanOrEqual(1)
      }),
      { numRuns: 300 },
    )
  })
})

describe("codecs", () => {
  const bytes = fc.uint8Array({ maxLength: 400 })

  test("never throw and never read past the end", () => {
    fc.assert(
      fc.property(bytes, fc.nat(20), (data, at) => {
        const beyond = new Uint8Array([...data, 0xff, 0xff, 0xff, 0xff])
        const parsers = [
          payload.parseVringState,
          payload.parseVringAddress,
          payload.parseVringDescriptor,
          payload.parseMemoryTable,
          payload.parseSingleRegion,
          payload.parseConfig,
          payload.parseBits,
        ]
        for (const parse of parsers)
          expect(parse(beyond, at, data.length)).toEqual(parse(data, at, data.length))
        expect(parseHeader(beyond, at, data.length)).toEqual(parseHeader(data, at, data.length))
      }),
    )
  })

  test("a memory table is read as it was written", () => {
    const region = fc.record({
      guestAddress: fc.nat(2 ** 31),
      size: fc.integer({ min: 1, max: 2 ** 31 }),
      userAddress: fc.integer({ min: 0, max: 2 ** 47 }),
      mapOffset: fc.integer({ min: 0, max: 2 ** 40 }),
    })
    fc.assert(
      fc.property(fc.array(region, { maxLength: payload.REGIONS_MAX }), (regions) => {
        const body = new Uint8Array(PAYLOAD_MAX)
        payload.emitMemoryTable(regions, body, HEADER)
        const end = HEADER + payload.sizeOfMemoryTable(regions)
        expect(payload.parseMemoryTable(body, HEADER, end)).toEqual(regions)
      }),
    )
  })
})

/** Where the guest's memory ends before a hole. */
function endOf(rig: Rig, index: number): number {
  const region = rig.ram.regions[index]
  return (region?.guestAddress ?? 0) + (region?.size ?? 0)
}

/** One descriptor, offered. */
function chain(
  rig: Rig,
  {
    flags = 0,
    next = 0,
    length = 8,
    address = rig.ram.allocate(4096),
  }: { flags?: number; next?: number; length?: number; address?: number },
): void {
  only(rig).setDescriptor(0, { address, length }, flags, next)
  only(rig).offerHead(0)
}
