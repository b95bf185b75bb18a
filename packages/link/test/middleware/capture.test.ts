import { spawnSync } from "node:child_process"
import { mkdtempSync, rmSync, statSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as pcapng from "@skep/wire/pcapng"
import { describe, expect, it } from "vitest"
import {
  Capture,
  captureFile,
  counted,
  GSO_TCP4,
  MemoryLink,
  noOffload,
  Parts,
  PoolMemory,
} from "../../src/index.ts"
import * as packets from "../packets.ts"
import { Recorder } from "../recorder.ts"

const A = "02:00:00:00:00:0a"
const B = "02:00:00:00:00:0b"
const ends = { from: "10.0.0.1", to: "10.0.0.2", fromPort: 4000, toPort: 5000 }
const offloads = { checksum: true, tcp4: true, tcp6: true }

const tshark = spawnSync("tshark", ["--version"]).status === 0
if (!tshark) process.stdout.write("captures are not judged: tshark is not installed\n")

const udp = packets.ethernet(B, A, 0x0800, packets.udp4(ends, Buffer.from("hello"), true))
const udpOffload = { checksumStart: 34, checksumOffset: 6, gso: 0, segmentSize: 0, headerLength: 0 }
const fields = { sequence: 1, acknowledgement: 1, flags: packets.ACK, partial: true }
const giant = packets.ethernet(
  B,
  A,
  0x0800,
  packets.tcp4({ ...ends, ...fields, payload: new Uint8Array(30_001).fill(7) }),
)
const giantOffload = {
  checksumStart: 34,
  checksumOffset: 16,
  gso: GSO_TCP4,
  segmentSize: 1460,
  headerLength: 54,
}

/** A link with traffic of every kind, both ways. */
function traffic(wrap: (link: MemoryLink) => ReturnType<Capture["wrap"]>, name: string): void {
  const memory = new PoolMemory({ heapBytes: 4 * 1024 * 1024 })
  const inner = new MemoryLink({ memory, offloads, name, pieces: 999 })
  const link = wrap(inner)
  const recorder = new Recorder(link)
  link.start()
  inner.machine.send(udp, udpOffload)
  inner.machine.send(giant, giantOffload)
  link.send(udp, 0, udp.length, undefined, udpOffload)
  expect([link.lend(60, 4000), link.lend(60, 40_000), link.lend(60, 40_000)]).toEqual([true, true, true])
  const small = packets.ethernet(
    B,
    A,
    0x0800,
    packets.tcp4({ ...ends, ...fields, payload: Buffer.from("tiny"), partial: false }),
  )
  memory.write(small, 54, 4, link.lent.addressAt(0))
  link.use(small, 0, 54, 4)
  for (let done = 0, part = 5; done < 30_001; part++) {
    const length = Math.min(link.lent.lengthAt(part), 30_001 - done)
    memory.write(giant, 54 + done, length, link.lent.addressAt(part))
    done += length
  }
  link.use(giant, 0, 54, 30_001, giantOffload)
  link.unlend()
  inner.settle()
  // What is captured is what is sent, which stays as it was.
  expect(recorder.frames.map(({ bytes }) => bytes)).toEqual([udp, giant])
  expect(inner.machine.takeAll().map(({ bytes }) => Buffer.from(bytes))).toEqual(
    [udp, small, giant].map((bytes) => Buffer.from(bytes)),
  )
}

describe("Capture", () => {
  it.skipIf(!tshark)("is what tshark finds nothing wrong with, from both ways and all links", () => {
    const directory = mkdtempSync(join(tmpdir(), "skep-capture-"))
    try {
      const path = join(directory, "net.pcapng")
      {
        using capture = captureFile(path)
        traffic((link) => capture.wrap(link), "one")
        traffic((link) => capture.wrap(link), "two")
      }
      expect(statSync(path).mode & 0o777).toBe(0o600)
      const run = (...args: readonly string[]): readonly string[] => {
        const checks = ["tcp", "ip", "udp"].flatMap((name) => ["-o", `${name}.check_checksum:TRUE`])
        const { stdout } = spawnSync("tshark", ["-r", path, ...checks, ...args], { encoding: "utf8" })
        return stdout.trim().split("\n")
      }
      const bad = "tcp.checksum.status==Bad||udp.checksum.status==Bad||ip.checksum.status==Bad||_ws.malformed"
      expect(run("-Y", bad)).toEqual([""])
      const columns = ["frame.interface_name", "frame.len", "frame.packet_flags_direction"]
      const lines = run("-T", "fields", ...columns.flatMap((name) => ["-e", name]))
      const each = (name: string): readonly string[] => [
        `${name}\t47\t0x00000002`,
        `${name}\t58\t0x00000002`,
        `${name}\t30055\t0x00000002`,
        `${name}\t47\t0x00000001`,
        `${name}\t30055\t0x00000001`,
      ]
      expect(lines).toEqual([...each("one"), ...each("two")])
      expect(run("-Y", "tcp.checksum.status==Good")).toHaveLength(6)
    } finally {
      rmSync(directory, { recursive: true })
    }
  })

  it("is bounded, says what it missed, and keeps no more of a frame than it is told", () => {
    const written: Uint8Array[] = []
    let closed = 0
    const capture = new Capture(
      (bytes) => written.push(bytes) > 0,
      { maxBytes: 700, snapLength: 60 },
      () => closed++,
    )
    traffic((link) => capture.wrap(link), "one")
    expect(written).toEqual([])
    capture[Symbol.dispose]()
    capture[Symbol.dispose]()
    expect(closed).toBe(1)
    const bytes = Buffer.concat(written)
    expect(bytes.length).toBeLessThan(900)
    expect(bytes.readUInt32LE(0)).toBe(0x0a0d0d0a)
    expect(capture.missed).toBe(0)
    traffic((link) => capture.wrap(link), "two")
    expect(capture.missed).toBe(5)
  })
})

describe("a capture whose file is written slowly", () => {
  it("drops what is beyond its bound, goes on when there is room, and says at the end how many", () => {
    const written: Uint8Array[] = []
    const offered: number[] = []
    let takes = false
    const capture = new Capture(
      (bytes) => {
        offered.push(bytes.length)
        if (takes) written.push(bytes)
        return takes
      },
      { maxUnwritten: 1000, now: () => 1n },
    )
    const observer = capture.observer("one")
    const memory = new PoolMemory({ heapBytes: 4 * 1024 * 1024 })
    const show = (): void =>
      observer.onOutgoing(
        { headers: udp, at: 0, length: udp.length, payload: new Parts(), offload: noOffload() },
        memory,
      )
    for (let count = 0; count < 20; count++) show()
    const { frames, dropped } = capture
    expect(frames).toBeGreaterThan(5)
    expect([frames + dropped, dropped > 5]).toEqual([20, true])
    capture.flush()
    takes = true
    capture.flush()
    expect(offered).toEqual([capture.bytes, capture.bytes])
    // Taken is not written.
    show()
    expect(capture.dropped).toBe(dropped + 1)
    capture.written(offered[0] ?? 0)
    show()
    expect(capture.frames).toBe(frames + 1)
    capture[Symbol.dispose]()
    const bytes = Buffer.concat(written)
    expect(bytes.length).toBe(capture.bytes)
    const last = pcapng.statistics({ interface: 0, timeNanoseconds: 1n, received: 22, dropped: dropped + 1 })
    expect(bytes.subarray(-last.length)).toEqual(Buffer.from(last))
  })

  it("is over when it cannot be written", () => {
    const ends: string[] = []
    const capture = new Capture(() => true, { onEnd: (reason) => ends.push(reason) })
    capture.fail("the disk is gone")
    capture.fail("again")
    capture[Symbol.dispose]()
    expect(ends).toEqual(["the disk is gone"])
  })
})

describe("counted()", () => {
  it("counts by kind, both ways", () => {
    let counts: ReturnType<typeof counted> | undefined
    traffic((link) => {
      counts = counted(link)
      return counts.link
    }, "one")
    expect(counts?.incoming).toMatchObject({
      udp4: { frames: 1, bytes: 47 },
      tcp4: { frames: 1, bytes: 30_055 },
      arp: { frames: 0 },
    })
    expect(counts?.outgoing).toMatchObject({
      udp4: { frames: 1, bytes: 47 },
      tcp4: { frames: 2, bytes: 30_113 },
    })
  })

  it("knows every kind", () => {
    const memory = new PoolMemory({ heapBytes: 4 * 1024 * 1024 })
    const inner = new MemoryLink({ memory })
    const { link, outgoing } = counted(inner)
    link.start()
    const six = ["fd00:0:0:0:0:0:0:1", "fd00:0:0:0:0:0:0:2"] as const
    const four = ["10.0.0.1", "10.0.0.2"] as const
    for (const protocol of [6, 17, 1, 89]) {
      const frame = packets.ethernet(A, B, 0x0800, packets.ipv4(...four, protocol, new Uint8Array(20)))
      link.send(frame, 0, frame.length)
    }
    for (const protocol of [6, 17, 58, 89]) {
      const frame = packets.ethernet(A, B, 0x86dd, packets.ipv6(...six, protocol, new Uint8Array(20)))
      link.send(frame, 0, frame.length)
    }
    const arp = packets.arpReply(A, "10.0.0.1", B, "10.0.0.2")
    link.send(arp, 0, arp.length)
    const other = packets.ethernet(A, B, 0x88cc, new Uint8Array(46))
    link.send(other, 0, other.length)
    expect(Object.values(outgoing).map(({ frames }) => frames)).toEqual(Array.from({ length: 10 }, () => 1))
  })
})
