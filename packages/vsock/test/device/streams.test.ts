import { describe, expect, it } from "vitest"
import type { Connection } from "../../src/device/connection.ts"
import { Streams } from "../../src/device/streams.ts"
import { Rig } from "./rig.ts"

describe("onPacket()", () => {
  it("drops and counts what is from or for somebody else", () => {
    const rig = new Rig()
    rig.send("request", { srcCid: 4 })
    rig.send("request", { dstCid: 3 })
    rig.streams.onMalformed("bad-cid")
    expect(rig.host()).toBe("")
    expect(rig.taken()).toBe("")
    expect(rig.streams.counts()).toMatchObject({
      "packets-in": 3,
      "wrong-source": 1,
      "wrong-destination": 1,
      "bad-cid": 1,
    })
  })

  it("answers an unknown type with a RST of that type, as the specification says", () => {
    const rig = new Rig()
    const connection = rig.established()
    rig.send("request", { type: 2 })
    expect(rig.take()).toMatchObject({ op: 3, type: 2, srcPort: 7, dstPort: 1024, bufAlloc: 0, fwdCnt: 0 })
    rig.send("rst", { type: 2 })
    expect(rig.taken()).toBe("")
    expect(connection.state).toBe("established")
  })

  it("answers whatever belongs to no stream with RST, but not a RST", () => {
    for (const op of ["rw", "response", "shutdown", "credit-update", "credit-request", "invalid"]) {
      const rig = new Rig()
      rig.send(op, { len: 1 })
      rig.send(op, { len: 1 })
      expect(rig.taken()).toBe("rst")
    }
    const rig = new Rig()
    rig.send("rst")
    expect(rig.taken()).toBe("")
  })

  it("forgets a RST for a pair that the guest uses anew", () => {
    const rig = new Rig()
    rig.send("rw", { len: 1 })
    rig.send("request")
    expect(rig.taken()).toBe("response")
  })

  it("answers requests over the limit with RST", () => {
    const rig = new Rig({ maxStreams: 2 })
    for (const srcPort of [1, 2, 3]) rig.send("request", { srcPort })
    expect(rig.host()).toBe("connect 7, connect 7")
    expect(rig.taken()).toBe("rst, response, response")
    expect(rig.count("over-limit")).toBe(1)
    expect(rig.streams.connect(22)).toBe("over-limit")
    rig.send("rst", { srcPort: 1 })
    expect(rig.streams.connect(22)).not.toBe("over-limit")
  })

  it("counts a draining stream as one", () => {
    const rig = new Rig({ maxStreams: 1 })
    rig.established()
    rig.send("rw", { len: 10 })
    rig.send("shutdown", { flags: 3 })
    rig.send("rst")
    expect(rig.streams.connect(22)).toBe("over-limit")
  })
})

describe("congested", () => {
  it("is what a guest makes that takes no replies, and ends when it does", () => {
    const rig = new Rig({ maxReplies: 3 })
    for (let srcPort = 0; srcPort < 3; srcPort += 1) {
      expect(rig.streams.congested).toBe(false)
      rig.send("rw", { srcPort, len: 1 })
    }
    expect(rig.streams.congested).toBe(true)
    rig.send("rw", { srcPort: 99, len: 1 })
    expect(rig.count("reset-lost")).toBe(1)
    rig.take()
    expect(rig.streams.congested).toBe(false)
  })
})

describe("connect()", () => {
  it("gives out host ports from 2^30 on, or from where it is told to", () => {
    const ports = (rig: Rig) => [1, 2, 3].map((port) => rig.connect(port).hostPort - 2 ** 30)
    expect(ports(new Rig())).toEqual([0, 1, 2])
    expect(ports(new Rig({}, { firstHostPort: 2 ** 31 - 2 }))).toEqual([2 ** 30 - 2, 2 ** 30 - 1, 0])
  })

  it("skips a host port that the guest uses with the same port of its own", () => {
    const rig = new Rig()
    rig.send("request", { srcPort: 22, dstPort: 2 ** 30 })
    expect(rig.connect(22).hostPort).toBe(2 ** 30 + 1)
  })
})

describe("next()", () => {
  it("takes turns among streams that have data", () => {
    const rig = new Rig()
    const streams = [1, 2, 3].map((srcPort) => {
      rig.send("request", { srcPort })
      return rig.last
    })
    rig.taken()
    for (const stream of streams) stream?.onHostReadable()
    const turns: number[] = []
    for (let turn = 0; turn < 9; turn += 1) {
      const stream = rig.take()
      if (stream === undefined || "op" in stream) throw new Error("no stream")
      rig.read(stream, 1)
      turns.push(stream.guestPort)
    }
    expect(turns).toEqual([1, 2, 3, 1, 2, 3, 1, 2, 3])
  })

  it("takes turns between streams and replies, so that neither starves", () => {
    const rig = new Rig()
    const stream = rig.established()
    stream.onHostReadable()
    const turns: string[] = []
    for (let turn = 0; turn < 6; turn += 1) {
      for (let more = 0; more < 3; more += 1) rig.send("rw", { srcPort: 100 + turn * 3 + more, len: 1 })
      const next = rig.take()
      if (next === stream) rig.read(stream, 1)
      turns.push(next === stream ? "data" : "reply")
    }
    expect(turns).toEqual(["reply", "data", "reply", "data", "reply", "data"])
  })

  it("says nothing when there is nothing", () => {
    const rig = new Rig()
    expect(rig.streams.wantsBuffer).toBe(false)
    expect(rig.take()).toBeUndefined()
    rig.established()
    expect(rig.streams.wantsBuffer).toBe(false)
  })
})

describe("onTimer()", () => {
  it("ends what is due, in the order of the deadlines, and nothing else", () => {
    const rig = new Rig({ connectMs: 100, lingerMs: 1000 })
    rig.answer = "later"
    const ends: Connection[] = []
    for (const at of [0, 10, 20]) {
      rig.now = at
      ends.push(rig.connect())
    }
    rig.taken()
    expect(rig.streams.pollAt()).toBe(100)
    rig.now = 110
    rig.streams.onTimer()
    expect(ends.map(({ state }) => state)).toEqual(["resetting", "resetting", "connecting"])
    expect(rig.streams.pollAt()).toBe(120)
    rig.send("request")
    rig.now = 210
    rig.streams.onTimer()
    expect(rig.last?.state).toBe("resetting")
    expect(rig.count("connect-timeout")).toBe(4)
  })
})

describe("transportReset()", () => {
  it("ends all streams without a word to the guest", () => {
    const rig = new Rig()
    rig.established()
    rig.connect()
    expect(rig.taken()).toBe("request")
    rig.send("rw", { srcPort: 99, len: 1 })
    rig.streams.transportReset()
    expect(rig.host()).toBe("close gone, close gone")
    expect(rig.taken()).toBe("")
    expect(rig.streams.size).toBe(0)
    expect(rig.streams.pollAt()).toBe(Number.POSITIVE_INFINITY)
    // The guest begins anew.
    rig.send("request")
    expect(rig.taken()).toBe("response")
  })

  it("leaves what the guest was not yet asked for to the next one", () => {
    const rig = new Rig()
    const connection = rig.connect()
    rig.streams.transportReset()
    rig.streams.detach()
    expect([rig.host(), rig.streams.orphans]).toEqual(["", 0])
    expect(rig.taken()).toBe("request")
    rig.reply(connection, "response")
    expect(rig.host()).toBe("opened")
  })

  it("still gives the host what the guest had finished sending", () => {
    const rig = new Rig()
    const connection = rig.established()
    rig.send("rw", { len: 10 })
    rig.send("shutdown", { flags: 2 })
    rig.streams.transportReset()
    expect(connection.state).toBe("draining")
    rig.streams.transportReset()
    connection.onHostWritten(10)
    expect(rig.host()).toBe("endReads, close closed")
  })
})

describe("abort()", () => {
  it("ends all streams and tells the guest of those it knows", () => {
    const rig = new Rig()
    rig.established()
    rig.send("rw", { len: 10 })
    rig.connect()
    rig.streams.abort()
    rig.streams.abort()
    expect(rig.host()).toBe("close gone, close gone")
    expect(rig.taken()).toBe("rst")
    expect([rig.streams.size, rig.streams.heldBytes]).toEqual([0, 0])
    expect(rig.count("aborted")).toBe(2)
  })
})

describe("trace", () => {
  it("hears of each change of state", () => {
    const lines: string[] = []
    const rig = new Rig({}, { trace: (line) => lines.push(line) })
    rig.established()
    rig.send("rst")
    expect(lines).toEqual([
      "3.1024 > 2.7 established, undelivered 0, was requested (opened)",
      "3.1024 > 2.7 ended, undelivered 0, was established (forgotten)",
    ])
  })
})

describe("thousands of streams", () => {
  it("live side by side and all get their turns", () => {
    const rig = new Rig()
    const count = 8192
    for (let srcPort = 0; srcPort < count; srcPort += 1) rig.send("request", { srcPort })
    expect(rig.streams.size).toBe(count)
    rig.taken()
    for (const connection of rig.streams.connections()) connection.onHostReadable()
    const seen = new Set<number>()
    for (let turn = 0; turn < count; turn += 1) {
      const stream = rig.take()
      if (stream === undefined || "op" in stream) throw new Error("no stream")
      rig.read(stream, 100)
      seen.add(stream.guestPort)
    }
    expect(seen.size).toBe(count)
    for (let srcPort = 0; srcPort < count; srcPort += 1) rig.send("shutdown", { srcPort, flags: 3 })
    expect(rig.taken().split(", ").length).toBe(count)
    expect(rig.streams.size).toBe(0)
    expect(rig.count("resets-out")).toBe(count)
  })
})

describe("Streams", () => {
  it("keeps to its defaults", () => {
    expect(new Rig().streams).toBeInstanceOf(Streams)
    expect(new Rig().streams.limits).toEqual({
      maxStreams: 8192,
      bufferBytes: 262_144,
      maxHeldBytes: 268_435_456,
      maxReplies: 1024,
      connectMs: 5000,
      lingerMs: 30_000,
    })
  })
})
