import { readFileSync, writeFileSync } from "node:fs"
import { Loop } from "@skep/loop"
import { Scratch } from "@skep/loop/memory"
import * as sys from "@skep/loop/sys"
import { afterEach, describe, expect, it } from "vitest"
import {
  adoptTap,
  GSO_TCP4,
  GSO_UDP,
  noOffload,
  openTap,
  Parts,
  SystemMemory,
  type TapDevice,
  TapLink,
  type TapOptions,
} from "../../src/index.ts"
import { IFF_UP, SIOCGIFFLAGS, SIOCSIFFLAGS } from "../../src/tap/constants.ts"
import { ifreq } from "../../src/tap/interface.ts"
import * as packets from "../packets.ts"
import { Recorder } from "../recorder.ts"
import { type Network, network, whyNoNetwork } from "./network.ts"

const GUEST = "10.9.0.2"
const HOST = "10.9.0.1"
const HOST_MAC = "02:00:00:00:00:01"
const GUEST_MAC = "02:00:00:00:00:02"
/** Of linux/tcp.h. */
const TCP_CONGESTION = 13
/** More steps than any exchange here takes; each does not wait. */
const STEPS = 2000

const missing = whyNoNetwork()
if (missing !== "") process.stdout.write(`TAP against the kernel is skipped: ${missing}\n`)

const opened: Disposable[] = []
afterEach(() => {
  for (const each of opened.splice(0).toReversed()) each[Symbol.dispose]()
})
const own = <Thing extends Disposable>(thing: Thing): Thing => {
  opened.push(thing)
  return thing
}

function rig(options: TapOptions = {}, adopt?: (device: TapDevice) => TapDevice) {
  const net = own(network())
  const loop = own(new Loop())
  const memory = own(new SystemMemory({ heapBytes: 8 * 1024 * 1024 }))
  const device = openTap({
    interfaceName: "eth7",
    netns: net.path,
    addresses: [`${GUEST}/24`],
    hardwareAddress: Uint8Array.from(packets.macOf(GUEST_MAC)),
    up: true,
    ...options,
  })
  const used = adopt?.(device) ?? device
  const link = own(new TapLink({ name: "tap", scope: loop.root, memory, device: used }))
  const recorder = new Recorder(link)
  /** Answers for the host's address. */
  recorder.answer = ({ bytes }) => {
    const wanted = packets.ip(HOST).every((byte, index) => bytes[38 + index] === byte)
    if (packets.read16(bytes, 12) !== 0x0806 || bytes[21] !== 1 || !wanted) return
    const reply = packets.arpReply(HOST_MAC, HOST, GUEST_MAC, GUEST)
    link.send(reply, 0, reply.length)
  }
  link.start()
  return { net, loop, memory, link, recorder, device }
}

/** A socket in the namespace, not blocking. */
function socketIn(net: Network, type: number): number {
  const fd = net.inside(() => sys.check(sys.socket(sys.AF_INET, type | sys.SOCK_NONBLOCK), "socket"))
  own({ [Symbol.dispose]: () => void sys.close(fd) })
  return fd
}

function scratch(length = 4096) {
  return own(new Scratch(length)).region("bytes", length)
}

function until(loop: Loop, done: () => boolean): void {
  for (let step = 0; step < STEPS && !done(); step++) loop.step()
  expect(done()).toBe(true)
}

const ofTcp = (bytes: Uint8Array): boolean => packets.read16(bytes, 12) === 0x0800 && bytes[23] === 6
const ofUdp = (bytes: Uint8Array): boolean => packets.read16(bytes, 12) === 0x0800 && bytes[23] === 17

/** The machine's kernel connects; the other side is played by hand up to "established". */
function connectedTcp(options: TapOptions = {}) {
  const all = rig(options)
  const { loop, recorder, link } = all
  const fd = socketIn(all.net, sys.SOCK_STREAM)
  expect(sys.connect(fd, { family: "inet", address: HOST, port: 80 })).toBe(-sys.EINPROGRESS)
  const isSyn = ({ bytes }: { bytes: Uint8Array }): boolean => ofTcp(bytes) && bytes[47] === packets.SYN
  until(loop, () => recorder.frames.some(isSyn))
  const syn = recorder.frames.find(isSyn)?.bytes ?? new Uint8Array(64)
  const ends = { from: HOST, to: GUEST, fromPort: 80, toPort: packets.read16(syn, 34) }
  const answer = packets.tcp4({
    ...ends,
    sequence: 1000,
    acknowledgement: packets.read32(syn, 38) + 1,
    flags: packets.SYN | packets.ACK,
    // Segments of 1460 bytes, windows times 2^9.
    options: [2, 4, ...packets.u16(1460), 3, 3, 9, 0],
  })
  const frame = packets.ethernet(GUEST_MAC, HOST_MAC, 0x0800, answer)
  expect(link.send(frame, 0, frame.length)).toBe(true)
  until(loop, () => sys.connect(fd, { family: "inet", address: HOST, port: 80 }) >= -sys.EISCONN)
  return { ...all, fd, ends, sequence: 1001, acknowledgement: packets.read32(syn, 38) + 1 }
}

describe.skipIf(missing !== "")("a TAP link and the kernel", () => {
  it("carries ARP and UDP both ways", () => {
    const { net, loop, link, recorder } = rig({ mtu: 9000 })
    expect([link.mtu, link.carrier, recorder.carriers]).toEqual([9000, true, [true]])
    const fd = socketIn(net, sys.SOCK_DGRAM)
    const { address, bytes } = scratch()
    bytes.set(Buffer.from("hello"))
    expect(sys.connect(fd, { family: "inet", address: HOST, port: 53 })).toBe(0)
    expect(sys.send(fd, address, 5)).toBe(5)
    until(loop, () => recorder.frames.some(({ bytes }) => ofUdp(bytes)))
    const asked = recorder.frames.find(({ bytes }) => ofUdp(bytes))
    if (asked === undefined) throw new Error("no datagram")
    expect(packets.text(asked.bytes.subarray(42))).toBe("hello")
    // The kernel left the checksum to us, and says where it goes.
    expect(asked).toMatchObject({ trusted: true, offload: { checksumStart: 34, checksumOffset: 6, gso: 0 } })
    const toPort = packets.read16(asked.bytes, 34)
    const ends = { from: HOST, to: GUEST, fromPort: 53, toPort }
    for (const partial of [false, true]) {
      const packet = packets.udp4(ends, Buffer.from(`answer ${partial}`), partial)
      const reply = packets.ethernet(GUEST_MAC, HOST_MAC, 0x0800, packet)
      const offload = partial ? { ...noOffload(), checksumStart: 34, checksumOffset: 6 } : undefined
      expect(link.send(reply, 0, reply.length, undefined, offload)).toBe(true)
      const got = sys.receive(fd, address, 100)
      expect(packets.text(bytes.subarray(0, Math.max(got, 0)))).toBe(`answer ${partial}`)
    }
    const { framesIn, framesOut, droppedOut, malformed } = link.counters
    expect({ droppedOut, malformed }).toEqual({ droppedOut: 0, malformed: 0 })
    expect(framesIn).toBe(recorder.frames.length)
    expect(framesOut).toBe(3)
    expect(recorder.settles).toBeGreaterThan(0)
    expect(recorder.settles).toBeLessThanOrEqual(framesIn)
  })

  it("has the kernel cut UDP, where it can", ({ skip }) => {
    const { net, link, recorder, loop } = rig()
    const fd = socketIn(net, sys.SOCK_DGRAM)
    const { address, bytes } = scratch()
    expect(sys.connect(fd, { family: "inet", address: HOST, port: 53 })).toBe(0)
    expect(sys.send(fd, address, 1)).toBe(1)
    until(loop, () => recorder.frames.some((heard) => ofUdp(heard.bytes)))
    const asked = recorder.frames.find((heard) => ofUdp(heard.bytes))?.bytes ?? new Uint8Array(64)
    skip(link.offloads.udp !== true, "this kernel does not: it is older than Linux 6.2")
    const ends = { from: HOST, to: GUEST, fromPort: 53, toPort: packets.read16(asked, 34) }
    const payload = Uint8Array.from({ length: 2500 }, (_, index) => index)
    const frame = packets.ethernet(GUEST_MAC, HOST_MAC, 0x0800, packets.udp4(ends, payload, true))
    const offload = {
      checksumStart: 34,
      checksumOffset: 6,
      gso: GSO_UDP,
      segmentSize: 1000,
      headerLength: 42,
    }
    expect(link.send(frame, 0, frame.length, undefined, offload)).toBe(true)
    for (let at = 0; at < payload.length; at += 1000) {
      const expected = payload.subarray(at, at + 1000)
      expect(sys.receive(fd, address, 4096)).toBe(expected.length)
      expect(Buffer.compare(bytes.subarray(0, expected.length), expected)).toBe(0)
    }
    expect(sys.receive(fd, address, 4096)).toBe(-sys.EAGAIN)
  })

  it("keeps all frames of a turn where they are until it is over", () => {
    const { net, loop, link, recorder, memory } = rig()
    const fd = socketIn(net, sys.SOCK_DGRAM)
    const { address, bytes } = scratch()
    expect(sys.connect(fd, { family: "inet", address: HOST, port: 53 })).toBe(0)
    expect(sys.send(fd, address, 1)).toBe(1)
    until(loop, () => recorder.frames.some((heard) => ofUdp(heard.bytes)))
    const lengths = Array.from({ length: 70 }, (_, index) => (index * 41) % 1473)
    for (const length of lengths) {
      bytes.fill(length, 0, length)
      expect(sys.send(fd, address, length)).toBe(length)
    }
    const turns: number[] = []
    const got: number[] = []
    let turn: { readonly at: number; readonly length: number }[] = []
    let frames = 0
    link.receiver = {
      onRoom: () => undefined,
      onCarrier: () => undefined,
      onFrame: (frame) => {
        frames++
        if (ofUdp(frame.bytes.subarray(frame.at)))
          turn.push({ at: frame.parts.addressAt(0), length: frame.length })
      },
      onSettle: () => {
        turns.push(frames)
        frames = 0
        for (const { at, length } of turn) {
          const payload = new Uint8Array(length - 42)
          memory.read(at + 42, payload.length, payload, 0)
          expect(payload.every((byte) => byte === (payload.length & 0xff))).toBe(true)
          got.push(payload.length)
        }
        turn = []
      },
    }
    until(loop, () => got.length === lengths.length)
    expect(got).toEqual(lengths)
    // One batch of the loop brings what waited, up to its bound.
    expect(Math.max(...turns)).toBe(64)
  })

  it("takes segments that are to be cut from the kernel, whole", () => {
    const { net, fd, loop, recorder, link, ends, sequence, acknowledgement } = connectedTcp()
    // A segment shall be as large as the congestion window: neither what is paced in a millisecond (by BBR, or by the kernel itself), which is
    // little on a slow host, nor what there was room for in the socket when an acknowledgement came.
    sys.check(sys.setOptionBytes(fd, sys.IPPROTO_TCP, TCP_CONGESTION, Buffer.from("reno")), "setsockopt")
    net.inside(() => writeFileSync("/proc/sys/net/ipv4/tcp_min_tso_segs", "40"))
    sys.check(sys.setOption(fd, sys.SOL_SOCKET, sys.SO_SNDBUFFORCE, 1 << 20), "setsockopt")
    const { address, bytes } = scratch(65_536)
    for (let index = 0; index < bytes.length; index++) bytes[index] = index * 31
    // Acknowledging opens the kernel's congestion window, until a segment holds many packets.
    let sent = 0
    let taken = 0
    let largest = 0
    let seen = recorder.frames.length
    while (taken < 4 * 65_536) {
      sent += Math.max(0, sys.send(fd, address + (sent % 65_536), 65_536 - (sent % 65_536)))
      const before = taken
      until(loop, () => recorder.frames.length > seen)
      for (const heard of recorder.frames.slice(seen)) {
        if (!ofTcp(heard.bytes)) continue
        const at = packets.read32(heard.bytes, 38) - acknowledgement
        const payload = heard.bytes.subarray(34 + ((heard.bytes[46] ?? 0) >>> 4) * 4)
        if (at !== taken || payload.length === 0) continue
        expect(payload[0]).toBe(((taken % 65_536) * 31) & 0xff)
        expect(payload.at(-1)).toBe((((taken + payload.length - 1) % 65_536) * 31) & 0xff)
        if (payload.length > 1460)
          expect(heard.offload).toMatchObject({ gso: GSO_TCP4, segmentSize: 1460, checksumStart: 34 })
        largest = Math.max(largest, payload.length)
        taken += payload.length
      }
      seen = recorder.frames.length
      if (taken === before) continue
      const ack = packets.tcp4({
        ...ends,
        sequence,
        acknowledgement: acknowledgement + taken,
        flags: packets.ACK,
      })
      const frame = packets.ethernet(GUEST_MAC, HOST_MAC, 0x0800, ack)
      link.send(frame, 0, frame.length)
    }
    expect(largest).toBeGreaterThan(20_000)
  })

  it.each(["send", "lend"] as const)("gives the kernel a segment that is to be cut: by %s", (way) => {
    const { fd, link, memory, ends, sequence, acknowledgement } = connectedTcp()
    const payload = Uint8Array.from({ length: 40_001 }, (_, index) => index * 13)
    const header = packets.ethernet(
      GUEST_MAC,
      HOST_MAC,
      0x0800,
      packets.tcp4({
        ...ends,
        sequence,
        acknowledgement,
        flags: packets.ACK | packets.PSH,
        payload,
        partial: true,
      }),
    )
    const offload = {
      checksumStart: 34,
      checksumOffset: 16,
      gso: GSO_TCP4,
      segmentSize: 1460,
      headerLength: 54,
    }
    if (way === "send") {
      // In three pieces, the second not in the arena.
      const parts = new Parts()
      const inside = memory.allocate(40_001)
      const outside = scratch(20_000)
      memory.write(payload, 0, 40_001, inside)
      outside.bytes.set(payload.subarray(10_001, 30_001))
      parts.push(inside, 10_001)
      parts.push(outside.address, 20_000)
      parts.push(inside + 30_001, 10_000)
      expect(link.send(header, 0, 54, parts, offload)).toBe(true)
    } else {
      expect([link.lend(54, 50_000), link.lend(54, 100), link.lent.count]).toEqual([true, true, 2])
      memory.write(payload, 0, 40_001, link.lent.addressAt(0))
      link.use(header, 0, 54, 40_001, offload)
      link.unlend()
      expect([link.lent.count, memory.arena.slots.free]).toEqual([0, 64])
    }
    const { address, bytes } = scratch(65_536)
    expect(sys.receive(fd, address, 65_536)).toBe(40_001)
    expect(Buffer.compare(bytes.subarray(0, 40_001), payload)).toBe(0)
    expect(link.counters).toMatchObject({ droppedOut: 0, framesOut: 3 })
  })

  it("finishes checksums itself where it is told not to leave them", () => {
    const { net, loop, recorder } = rig({ offloads: false })
    const fd = socketIn(net, sys.SOCK_DGRAM)
    const { address } = scratch()
    expect(sys.connect(fd, { family: "inet", address: HOST, port: 53 })).toBe(0)
    expect(sys.send(fd, address, 5)).toBe(5)
    until(loop, () => recorder.frames.some(({ bytes }) => ofUdp(bytes)))
    const asked = recorder.frames.find(({ bytes }) => ofUdp(bytes))
    expect(asked).toMatchObject({ trusted: false, offload: noOffload() })
    expect(packets.complaint(asked?.bytes.subarray(14) ?? new Uint8Array())).toBe("")
  })

  it("has addresses of both kinds, a default route and a queue length of its choice", () => {
    const { net } = rig({
      addresses: [`${GUEST}/24`, "fd00:9::2/64"],
      gateway: HOST,
      queueLength: 777,
    })
    const inet6 = net.inside(() => readFileSync("/proc/thread-self/net/if_inet6", "latin1"))
    expect(inet6).toMatch(/^fd000009000000000000000000000002 \w+ 40 .* eth7$/m)
    const request = ifreq("eth7")
    const SIOCGIFTXQLEN = 0x8942
    expect(sys.ioctlInto(socketIn(net, sys.SOCK_DGRAM), SIOCGIFTXQLEN, request)).toBe(0)
    expect(new Int32Array(request.buffer, 16, 1)[0]).toBe(777)
    const four = socketIn(net, sys.SOCK_DGRAM)
    expect(sys.connect(four, { family: "inet", address: "198.51.100.1", port: 9 })).toBe(0)
    expect(sys.socketName(four)).toMatchObject({ address: GUEST })
  })

  it("goes down and up with its interface, and drops meanwhile", () => {
    const { net, loop, link, recorder, memory } = rig()
    const setUp = (up: boolean): void => {
      const request = ifreq("eth7")
      const control = socketIn(net, sys.SOCK_DGRAM)
      sys.check(sys.ioctlInto(control, SIOCGIFFLAGS, request), "SIOCGIFFLAGS")
      const flags = new Uint16Array(request.buffer, 16, 1)
      flags[0] = ((flags[0] ?? 0) & ~IFF_UP) | (up ? IFF_UP : 0)
      sys.check(sys.ioctlInto(control, SIOCSIFFLAGS, request), "SIOCSIFFLAGS")
    }
    const frame = packets.ethernet(GUEST_MAC, HOST_MAC, 0x9999, new Uint8Array(50))
    setUp(false)
    expect(link.send(frame, 0, frame.length)).toBe(false)
    expect([link.carrier, recorder.carriers, link.counters.droppedOut]).toEqual([false, [true, false], 1])
    expect(link.lend(54, 100)).toBe(false)
    link.unlend()
    setUp(true)
    // The loop's own time: it looks again after a while.
    const patient = performance.now() + 5000
    while (recorder.rooms === 0 && performance.now() < patient) loop.step()
    expect([link.carrier, recorder.carriers, recorder.rooms]).toEqual([true, [true, false, true], 1])
    expect(link.send(frame, 0, frame.length)).toBe(true)
    expect(memory.arena.slots.free).toBe(64)
  })

  it("lends as many frames as it says, and tells of room when the round is over", () => {
    const { loop, link, recorder, memory } = rig()
    let lent = 0
    while (link.lend(54, 60_000)) lent++
    expect(lent).toBe(32)
    expect(link.lent.bytes).toBe(32 * 60_000)
    expect(() => link.lend(54, 70_000)).toThrow(RangeError)
    const headers = packets.ethernet(GUEST_MAC, HOST_MAC, 0x9999, new Uint8Array(40))
    link.use(headers, 0, 54, 100)
    expect(recorder.rooms).toBe(0)
    link.unlend()
    until(loop, () => recorder.rooms === 1)
    expect(memory.arena.slots.free).toBe(64)
    expect(() => link.use(headers, 0, 54, 100)).toThrow(/not lent/)
  })

  it("is over when its interface is gone, without a busy loop", () => {
    const { net, loop, link, recorder } = rig()
    const index = net.inside(() => {
      const control = sys.check(sys.socket(16, sys.SOCK_RAW, 0), "socket")
      own({ [Symbol.dispose]: () => void sys.close(control) })
      return control
    })
    // rtnetlink(7): RTM_DELLINK by name.
    const { address, bytes } = scratch()
    const message = Buffer.alloc(44)
    message.writeUInt32LE(44, 0)
    message.writeUInt16LE(17, 4)
    message.writeUInt16LE(5, 6)
    message.writeUInt16LE(9, 32)
    message.writeUInt16LE(3, 34)
    message.write("eth7", 36)
    bytes.set(message)
    expect(sys.send(index, address, 44)).toBe(44)
    until(loop, () => !link.carrier)
    expect(recorder.carriers).toEqual([true, false])
    const frame = packets.ethernet(GUEST_MAC, HOST_MAC, 0x9999, new Uint8Array(50))
    expect(link.send(frame, 0, frame.length)).toBe(false)
    expect(loop.counters.read().registrations).toBe(0)
  })

  it("takes a descriptor that somebody else opened", () => {
    const { net, loop, recorder, link } = rig({}, (device) => {
      const adopted = adoptTap(sys.check(sys.dup(device.fd), "dup"), 1400)
      expect(adopted).toMatchObject({ interfaceName: "eth7", vnetHeader: true, mtu: 1400 })
      return adopted
    })
    const fd = socketIn(net, sys.SOCK_DGRAM)
    const { address } = scratch()
    expect(sys.connect(fd, { family: "inet", address: HOST, port: 53 })).toBe(0)
    expect(sys.send(fd, address, 5)).toBe(5)
    until(loop, () => recorder.frames.some(({ bytes }) => ofUdp(bytes)))
    expect(link.carrier).toBe(true)
    const none = sys.open("/dev/null", sys.O_RDWR)
    expect(() => adoptTap(none)).toThrow(/TUNGETIFF: .*is it a TAP device/)
    sys.close(none)
  })
})

describe("openTap()", () => {
  it("leaves nothing behind where it fails", () => {
    const before = sys.dup(0)
    sys.close(before)
    expect(() => openTap({ netns: "/nowhere" })).toThrow("open: ENOENT, /nowhere")
    expect(() => openTap({ interfaceName: "a name of more than 15 bytes" })).toThrow(RangeError)
    expect(() => openTap({ netns: "/dev/null" })).toThrow(/setns: EINVAL/)
    const after = sys.dup(0)
    sys.close(after)
    expect(after).toBe(before)
  })
})
