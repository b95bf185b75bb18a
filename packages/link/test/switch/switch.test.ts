import { describe, expect, it } from "vitest"
import {
  type AttachOptions,
  type Frame,
  GSO_TCP4,
  MemoryLink,
  type Offloads,
  Parts,
  PoolMemory,
  type Port,
  Switch,
  type SwitchOptions,
} from "../../src/index.ts"
import * as packets from "../packets.ts"

const GATEWAY = "02:00:00:00:00:01"
const BROADCAST = "ff:ff:ff:ff:ff:ff"
const mac = (index: number): string =>
  `02:00:00:01:${(index >>> 8).toString(16)}:${(index & 0xff).toString(16)}`
const numberOf = (text: string): number =>
  Number.parseInt(
    packets
      .macOf(text)
      .map((byte) => byte.toString(16).padStart(2, "0"))
      .join(""),
    16,
  )

function rig(count: number, options: Partial<SwitchOptions> = {}, offloads?: Offloads) {
  const memory = new PoolMemory({ heapBytes: 16 * 1024 * 1024 })
  const clock = { now: 1000 }
  const heard: string[] = []
  const gateway = {
    onFrame: (port: Port, frame: Frame) => {
      heard.push(`${port.name} frame ${frame.length}`)
      expect(port.memory).toBe(memory)
    },
    onSettle: (port: Port) => void heard.push(`${port.name} settle`),
    onRoom: (port: Port) => void heard.push(`${port.name} room`),
    onCarrier: (port: Port, up: boolean) => void heard.push(`${port.name} ${up ? "up" : "down"}`),
  }
  const fabric = new Switch({ gatewayAddress: numberOf(GATEWAY), gateway, clock, ...options })
  const attach = (name: string, more: AttachOptions = {}, room = 1024) => {
    const link = new MemoryLink({ memory, name, room, ...(offloads === undefined ? {} : { offloads }) })
    return { link, machine: link.machine, port: fabric.attach(link, more) }
  }
  const all = Array.from({ length: count }, (_, index) => attach(`m${index}`))
  heard.length = 0
  const settle = (): void => {
    for (const { link } of all) link.settle()
    for (const { link } of all) link.settle()
  }
  /** Sends from a machine and says who got it. */
  const send = (from: number, frame: Uint8Array): readonly number[] => {
    all[from]?.machine.send(frame)
    settle()
    return all.flatMap(({ machine }, index) => machine.takeAll().map(() => index))
  }
  return { memory, clock, heard, fabric, all, attach, settle, send }
}

const frame = (to: string, from: string, length = 46): Uint8Array =>
  packets.ethernet(to, from, 0x9000, new Uint8Array(length).fill(1))

describe("Switch", () => {
  it("brings the gateway what is for it, and nobody else", () => {
    const { send, heard, all } = rig(3)
    expect(send(1, frame(GATEWAY, mac(1)))).toEqual([])
    expect(heard).toEqual(["m1 frame 60", "m1 settle"])
    expect(all[1]?.port.counters).toMatchObject({ toGateway: 1, forwarded: 0, flooded: 0 })
  })

  it("sends to all others until it knows whom, and then to one", () => {
    const { send, heard } = rig(4)
    expect(send(0, frame(mac(2), mac(0)))).toEqual([1, 2, 3])
    expect(send(2, frame(mac(0), mac(2)))).toEqual([0])
    expect(send(0, frame(mac(2), mac(0)))).toEqual([2])
    expect(heard).toEqual([])
  })

  it("sends to all others and to the gateway what is for a group, never back", () => {
    const { send, heard } = rig(3)
    expect(send(1, frame(BROADCAST, mac(1)))).toEqual([0, 2])
    expect(send(1, frame("33:33:00:00:00:01", mac(1)))).toEqual([0, 2])
    expect(heard).toEqual(["m1 frame 60", "m1 settle", "m1 frame 60", "m1 settle"])
    expect(send(1, frame("01:80:c2:00:00:0e", mac(1)))).toEqual([])
    expect(send(1, frame("01:80:c2:00:00:10", mac(1)))).toEqual([0, 2])
  })

  it("leaves an address with who has it, while that one is there and heard from", () => {
    const { send, clock, all, fabric, settle, heard } = rig(3, { ageMs: 1000 })
    send(0, frame(GATEWAY, mac(0)))
    heard.length = 0
    expect(send(2, frame(GATEWAY, mac(0)))).toEqual([])
    expect(send(2, frame(mac(1), mac(0)))).toEqual([])
    expect(heard).toEqual([])
    expect(all[2]?.port.counters).toMatchObject({ taken: 2, spoofed: 0 })
    expect(send(1, frame(mac(0), mac(1)))).toEqual([0])
    clock.now += 1000
    send(2, frame(GATEWAY, mac(0)))
    expect(fabric.portOf(numberOf(mac(0)))).toBe(all[0]?.port)
    // Not heard from for too long.
    clock.now += 1
    send(2, frame(GATEWAY, mac(0)))
    expect(fabric.portOf(numberOf(mac(0)))).toBe(all[2]?.port)
    all[2]?.machine.unplug()
    settle()
    send(0, frame(GATEWAY, mac(0)))
    expect(fabric.portOf(numberOf(mac(0)))).toBe(all[0]?.port)
    expect(all[0]?.port.counters.taken).toBe(0)
  })

  it("gives a reserved address to its owner, whoever used it before", () => {
    const { send, all, attach, fabric } = rig(2)
    send(0, frame(GATEWAY, mac(77)))
    const owner = attach("owner", { reserve: [numberOf(mac(77))] })
    expect(fabric.portOf(numberOf(mac(77)))).toBeUndefined()
    expect(send(0, frame(BROADCAST, mac(77)))).toEqual([])
    expect(all[0]?.port.counters).toMatchObject({ spoofed: 1, taken: 0 })
    owner.machine.send(frame(GATEWAY, mac(77)))
    owner.link.settle()
    expect(fabric.portOf(numberOf(mac(77)))).toBe(owner.port)
  })

  it("keeps from other machines what its guard says no to, and not from the gateway", () => {
    const guard = (port: Port, { bytes, at }: Frame) => port.name !== "m0" || bytes[at + 14] !== 9
    const { send, all, heard } = rig(3, { guard })
    const bad = (to: string): Uint8Array => packets.ethernet(to, mac(0), 0x9000, new Uint8Array(46).fill(9))
    send(1, frame(GATEWAY, mac(1)))
    heard.length = 0
    expect(send(0, bad(BROADCAST))).toEqual([])
    expect(send(0, bad(mac(1)))).toEqual([])
    expect(send(0, bad(mac(5)))).toEqual([])
    expect(heard).toEqual(["m0 frame 60", "m0 settle"])
    expect(all[0]?.port.counters).toMatchObject({ guarded: 3, forwarded: 0, flooded: 0, toGateway: 1 })
    expect(send(0, frame(mac(1), mac(0)))).toEqual([1])
  })

  it("follows a machine that moves where it is to, forgets one that is quiet, and one that is unplugged", () => {
    const { send, clock, all, fabric, settle } = rig(3, { ageMs: 1000, roaming: true })
    send(0, frame(GATEWAY, mac(0)))
    expect(send(1, frame(mac(0), mac(1)))).toEqual([0])
    send(2, frame(GATEWAY, mac(0)))
    expect(send(1, frame(mac(0), mac(1)))).toEqual([2])
    // And back: what the first port remembered of it does not count any more.
    send(0, frame(GATEWAY, mac(0)))
    expect(send(1, frame(mac(0), mac(1)))).toEqual([0])
    clock.now += 1001
    expect(send(1, frame(mac(0), mac(1)))).toEqual([0, 2])
    send(0, frame(GATEWAY, mac(0)))
    expect(fabric.portOf(numberOf(mac(0)))).toBe(all[0]?.port)
    all[0]?.machine.unplug()
    settle()
    expect(fabric.portOf(numberOf(mac(0)))).toBeUndefined()
    expect(send(1, frame(mac(0), mac(1)))).toEqual([2])
  })

  it("drops what claims the gateway's address, a reserved one, or none that a sender can have", () => {
    const { send, all, attach, fabric, heard } = rig(2)
    attach("owner", { reserve: [numberOf(mac(77))] })
    expect(send(0, frame(BROADCAST, GATEWAY))).toEqual([])
    expect(send(0, frame(GATEWAY, mac(77)))).toEqual([])
    expect(send(0, frame(BROADCAST, "03:00:00:00:00:01"))).toEqual([])
    expect(send(0, frame(BROADCAST, "00:00:00:00:00:00"))).toEqual([])
    expect(all[0]?.port.counters).toMatchObject({ spoofed: 2, badSource: 2, toGateway: 0 })
    expect([fabric.addresses, heard]).toEqual([0, ["owner up"]])
    expect(() => attach("thief", { reserve: [numberOf(mac(77))] })).toThrow(/another's/)
    expect(() => attach("thief", { reserve: [numberOf(GATEWAY)] })).toThrow(/another's/)
  })

  it("does not send back what is for the port it came from", () => {
    const { send, all } = rig(3)
    send(0, frame(GATEWAY, mac(10)))
    expect(send(0, frame(mac(10), mac(11)))).toEqual([])
    expect(all[0]?.port.counters.local).toBe(1)
  })

  it("remembers so many addresses of a port, the newest", () => {
    const { send, fabric, all } = rig(2, { addressesPerPort: 3 })
    send(1, frame(GATEWAY, mac(50)))
    for (let index = 0; index < 20; index++) send(0, frame(GATEWAY, mac(index)))
    expect(fabric.addresses).toBe(4)
    expect(fabric.portOf(numberOf(mac(19)))).toBe(all[0]?.port)
    expect(fabric.portOf(numberOf(mac(16)))).toBeUndefined()
    expect(fabric.portOf(numberOf(mac(50)))).toBe(all[1]?.port)
  })

  it("bounds what a port may send to all, by its own budget", () => {
    const { send, clock, all, heard } = rig(3, { floodsPerSecond: 10, floodBurst: 5 })
    const got = Array.from({ length: 8 }, () => send(0, frame(BROADCAST, mac(0))).length)
    expect(got).toEqual([2, 2, 2, 2, 2, 0, 0, 0])
    expect(all[0]?.port.counters).toMatchObject({ flooded: 5, storm: 3, toGateway: 8 })
    expect(heard.filter((line) => line === "m0 frame 60")).toHaveLength(8)
    expect(send(1, frame(BROADCAST, mac(1)))).toEqual([0, 2])
    clock.now += 100
    expect([send(0, frame(BROADCAST, mac(0))), send(0, frame(BROADCAST, mac(0)))]).toEqual([[1, 2], []])
  })

  it("cuts off a port that is partitioned, and heals it", () => {
    const { send, all, heard } = rig(3)
    send(0, frame(GATEWAY, mac(0)))
    heard.length = 0
    const port = all[0]?.port
    if (port === undefined) throw new Error("no port")
    port.partitioned = true
    expect(send(0, frame(BROADCAST, mac(0)))).toEqual([])
    expect(send(1, frame(mac(0), mac(1)))).toEqual([])
    expect(send(1, frame(BROADCAST, mac(1)))).toEqual([2])
    const bytes = frame(mac(0), GATEWAY)
    expect(port.send(bytes, 0, bytes.length)).toBe(true)
    expect(port.lend(54, 100)).toBe(false)
    port.unlend()
    expect(port.counters.partitioned).toBe(4)
    expect(port.carrier).toBe(true)
    expect(heard).toEqual(["m1 frame 60", "m1 settle"])
    port.partitioned = false
    port.partitioned = false
    expect(heard.at(-1)).toBe("m0 room")
    expect(send(1, frame(mac(0), mac(1)))).toEqual([0])
  })

  it("sends for the gateway: to one, with memory lent, and to all", () => {
    const { all, fabric, memory, settle, heard } = rig(3)
    const bytes = frame(mac(1), GATEWAY)
    const port = all[1]?.port
    if (port === undefined) throw new Error("no port")
    expect(port.send(bytes, 0, bytes.length)).toBe(true)
    expect(port.lend(14, 100)).toBe(true)
    memory.bytes.fill(9, port.lent.addressAt(0), port.lent.addressAt(0) + 100)
    port.use(bytes, 0, 14, 50)
    port.unlend()
    const payload = new Parts()
    fabric.broadcast(bytes, 0, bytes.length, payload)
    settle()
    expect(all.map(({ machine }) => machine.takeAll().map(({ bytes }) => bytes.length))).toEqual([
      [60],
      [60, 64, 60],
      [60],
    ])
    expect(heard).toEqual([])
  })

  it("passes on room and carrier with the port", () => {
    const { attach, heard } = rig(0)
    const { port, link, machine } = attach("small", {}, 1)
    const bytes = frame(mac(1), GATEWAY)
    expect([port.send(bytes, 0, 60), port.send(bytes, 0, 60)]).toEqual([true, false])
    link.settle()
    machine.takeAll()
    link.settle()
    machine.unplug()
    expect(heard).toEqual(["small up", "small room", "small down"])
  })

  it("finishes for a machine what another left undone, and counts what cannot be", () => {
    const payload = new Uint8Array(5000).fill(3)
    const ends = { from: "10.0.0.1", to: "10.0.0.2", fromPort: 1, toPort: 2 }
    const fields = { sequence: 1, acknowledgement: 1, flags: packets.ACK, payload, partial: true }
    const giant = packets.ethernet(mac(1), mac(0), 0x0800, packets.tcp4({ ...ends, ...fields }))
    const offload = { checksumStart: 34, checksumOffset: 16, gso: GSO_TCP4, segmentSize: 1000 }
    for (const offloads of [undefined, { checksum: true, tcp4: true, tcp6: true }]) {
      const { send, all, settle } = rig(2, {}, offloads)
      send(1, frame(GATEWAY, mac(1)))
      all[0]?.machine.send(giant, offload)
      settle()
      const got = all[1]?.machine.takeAll() ?? []
      expect(got).toHaveLength(offloads === undefined ? 5 : 1)
      for (const { bytes, offload } of got)
        expect(packets.complaint(bytes.subarray(14))).toBe(offload.gso === 0 ? "" : "transport checksum")
      all[0]?.machine.send(giant, { ...offload, segmentSize: 10 })
      all[0]?.machine.send(frame(mac(1), mac(0), 1501))
      settle()
      expect(all[1]?.port.counters).toMatchObject({ unfinished: 1, tooLong: 1, noRoom: 0 })
    }
  })

  it("holds 250 machines", () => {
    const { send, all, fabric, attach } = rig(250, { maxPorts: 250 })
    for (let index = 0; index < 250; index++) send(index, frame(GATEWAY, mac(index)))
    expect(fabric.addresses).toBe(250)
    expect(send(3, frame(BROADCAST, mac(3)))).toHaveLength(249)
    expect(send(3, frame(mac(249), mac(3)))).toEqual([249])
    expect(() => attach("one more")).toThrow(/all ports are taken/)
    all[17]?.port[Symbol.dispose]()
    expect([...fabric.ports]).toHaveLength(249)
    expect(fabric.addresses).toBe(249)
    expect(attach("another").port.number).toBe(17)
    fabric[Symbol.dispose]()
    expect([...fabric.ports]).toEqual([])
  })
})
