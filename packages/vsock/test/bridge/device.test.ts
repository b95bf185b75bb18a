import { readSync, writeSync } from "node:fs"
import { DriverRing, FrontEnd, GuestRam } from "@skep/fake-qemu"
import { check, Loop } from "@skep/loop"
import * as sys from "@skep/loop/sys"
import { Connection as FrontEndConnection } from "@skep/vhost-user"
import { describe, expect, test } from "vitest"
import { VsockDevice } from "../../src/bridge/device.ts"
import {
  emit,
  HEADER,
  OP_REQUEST,
  OP_RESPONSE,
  OP_RST,
  OP_RW,
  OP_SHUTDOWN,
  type Packet,
  packetView,
  parse,
  SHUTDOWN_BOTH,
} from "../../src/device/packet.ts"

const CID = 3
const PORT = 1234
const BUFFER = 4096

/** A guest that speaks packets, and a device whose services are sockets of the test. */
function open(serve: (port: number) => boolean = () => true) {
  const loop = new Loop()
  const ram = new GuestRam({ sizes: [1 << 20, 32 << 20] })
  const rings = [new DriverRing(ram, { size: 64 }), new DriverRing(ram, { size: 64 })] as const
  const [rx, tx] = rings
  const buffers = new Map<number, number>()
  const services: number[] = []
  const scope = loop.scope("vsock")
  const device = new VsockDevice({
    scope,
    guestCid: CID,
    services: {
      connect: (port) => {
        if (!serve(port)) return -sys.ECONNREFUSED
        const [ours, theirs] = socketPair()
        services.push(theirs)
        return ours
      },
    },
  })
  const [back, front] = socketPair()
  const connection = new FrontEndConnection({ fd: back, device, scope: loop.root, onEnd: () => undefined })
  const settle = (): void => {
    for (let step = 0; step < 8; step++) loop.step()
  }
  const qemu = new FrontEnd({ fd: front, ram, turn: settle })
  const refill = (): void => {
    for (;;) {
      const address = ram.allocate(HEADER + BUFFER)
      const head = rx.offer([{ address, length: HEADER + BUFFER, writable: true }])
      if (head < 0) return
      buffers.set(head, address)
    }
  }
  qemu.start(rings)
  refill()
  rx.kick()
  settle()
  const guest = {
    services,
    device,
    settle,
    /** Sends a packet from the guest's port to the host's. */
    send: (op: number, payload: Uint8Array = new Uint8Array(0), more: Partial<Packet> = {}): void => {
      const address = ram.allocate(HEADER + payload.length)
      const packet: Packet = {
        ...packetView(),
        srcCid: CID,
        dstCid: 2,
        srcPort: 99,
        dstPort: PORT,
        op,
        len: payload.length,
        bufAlloc: 1 << 18,
        ...more,
      }
      emit(packet, ram.bytes(address, HEADER), 0)
      ram.bytes(address + HEADER, payload.length).set(payload)
      tx.offer([
        { address, length: HEADER },
        ...(payload.length === 0 ? [] : [{ address: address + HEADER, length: payload.length }]),
      ])
      tx.kick()
      settle()
      tx.collect()
    },
    /** Packets for the guest since the last time, with their payload. */
    received: (): readonly { readonly packet: Packet; readonly payload: Buffer }[] =>
      rx.collect().map(({ head, written }) => {
        const address = buffers.get(head) ?? 0
        const packet = parse(ram.bytes(address, HEADER), 0, HEADER, packetView())
        if (typeof packet === "string") throw new Error(packet)
        return { packet, payload: Buffer.from(ram.bytes(address + HEADER, written - HEADER)) }
      }),
    [Symbol.dispose]: () => {
      for (const fd of services) sys.close(fd)
      qemu[Symbol.dispose]()
      connection[Symbol.dispose]()
      loop[Symbol.dispose]()
      for (const ring of rings) ring[Symbol.dispose]()
      ram[Symbol.dispose]()
    },
  }
  return guest
}

function socketPair(): readonly [number, number] {
  const pair = new Int32Array(2)
  check(sys.socketPair(sys.AF_UNIX, sys.SOCK_STREAM | sys.SOCK_NONBLOCK, pair), "socketpair")
  return [pair[0] ?? -1, pair[1] ?? -1]
}

function text(bytes: string): Uint8Array {
  return Buffer.from(bytes)
}

describe("a guest that connects to the host", () => {
  test("is accepted, and bytes go both ways", () => {
    using guest = open()
    guest.send(OP_REQUEST)
    expect(guest.received().map(({ packet }) => packet.op)).toEqual([OP_RESPONSE])
    guest.send(OP_RW, text("from the guest"))
    const [service] = guest.services
    const got = Buffer.alloc(100)
    expect(got.toString("utf8", 0, readSync(service ?? -1, got))).toBe("from the guest")
    writeSync(service ?? -1, "from the host")
    guest.settle()
    const [answer] = guest.received()
    expect(answer?.packet).toMatchObject({
      op: OP_RW,
      srcCid: 2,
      dstCid: CID,
      srcPort: PORT,
      dstPort: 99,
      len: 13,
    })
    expect(answer?.payload.toString()).toBe("from the host")
  })

  test("is refused with a reset where nobody serves the port", () => {
    using guest = open(() => false)
    guest.send(OP_REQUEST)
    expect(guest.received().map(({ packet }) => packet.op)).toEqual([OP_RST])
    expect(guest.device.streams.size).toBe(0)
  })

  test("hears the end of the host's stream, and the socket is closed when both are done", () => {
    using guest = open()
    guest.send(OP_REQUEST)
    guest.received()
    const [service] = guest.services
    sys.shutdown(service ?? -1, sys.SHUT_WR)
    guest.settle()
    expect(guest.received().map(({ packet }) => [packet.op, packet.flags])).toEqual([[OP_SHUTDOWN, 2]])
    guest.send(OP_SHUTDOWN, undefined, { flags: SHUTDOWN_BOTH })
    guest.send(OP_RST)
    expect(guest.device.streams.size).toBe(0)
    expect(readSync(service ?? -1, Buffer.alloc(1))).toBe(0)
  })

  test("is heard whole by a host that reads late, within its credit", () => {
    using guest = open()
    guest.send(OP_REQUEST)
    const [service] = guest.services
    const sent: Buffer[] = []
    // More than a socket buffer takes; less than the credit.
    for (let i = 0; i < 60; i++) {
      const piece = Buffer.alloc(4000, i)
      sent.push(piece)
      guest.send(OP_RW, piece)
    }
    const received: Buffer[] = []
    for (let bytes = 0; bytes < 240_000; ) {
      const chunk = Buffer.alloc(65_536)
      const n = readSync(service ?? -1, chunk)
      received.push(chunk.subarray(0, n))
      bytes += n
      guest.settle()
    }
    expect(Buffer.concat(received).equals(Buffer.concat(sent))).toBe(true)
    expect(guest.device.streams.heldBytes).toBe(0)
  })
})

describe("a client of the host", () => {
  test("reaches a guest's port, is told when, and reads what the guest sends", () => {
    using guest = open()
    const [ours, theirs] = socketPair()
    const told: string[] = []
    guest.device.connectGuest(22, {
      fd: ours,
      onOpened: () => told.push("opened"),
      onClosed: (end) => told.push(end),
    })
    writeSync(theirs, "early")
    guest.settle()
    const [request] = guest.received()
    expect(request?.packet).toMatchObject({ op: OP_REQUEST, dstPort: 22, srcCid: 2 })
    const back = { srcPort: 22, dstPort: request?.packet.srcPort ?? 0 }
    guest.send(OP_RESPONSE, undefined, back)
    expect(told).toEqual(["opened"])
    expect(guest.received().map(({ payload }) => payload.toString())).toEqual(["early"])
    guest.send(OP_RW, text("hello"), back)
    const got = Buffer.alloc(10)
    expect(got.toString("utf8", 0, readSync(theirs, got))).toBe("hello")
    guest.send(OP_RST, undefined, back)
    expect(told).toEqual(["opened", "reset"])
    sys.close(theirs)
  })

  test("is closed when the guest refuses", () => {
    using guest = open()
    const [ours, theirs] = socketPair()
    const told: string[] = []
    guest.device.connectGuest(22, { fd: ours, onClosed: (end) => told.push(end) })
    guest.settle()
    const [request] = guest.received()
    guest.send(OP_RST, undefined, { srcPort: 22, dstPort: request?.packet.srcPort ?? 0 })
    expect(told).toEqual(["refused"])
    expect(readSync(theirs, Buffer.alloc(1))).toBe(0)
    sys.close(theirs)
  })
})
