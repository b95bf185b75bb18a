import { describe, expect, it } from "vitest"
import { CID, GUEST_PORT, HOST_PORT, Rig } from "./rig.ts"

const RECEIVE = 1
const SEND = 2
const BOTH = 3

describe("a stream that the guest asks for", () => {
  it("is accepted with RESPONSE, which tells our credit", () => {
    const rig = new Rig({ bufferBytes: 4096 })
    rig.send("request")
    expect(rig.host()).toBe("connect 7")
    expect(rig.take()).toMatchObject({
      srcCid: 2,
      srcPort: HOST_PORT,
      dstCid: CID,
      dstPort: GUEST_PORT,
      op: 2,
      type: 1,
      len: 0,
      bufAlloc: 4096,
      fwdCnt: 0,
    })
    expect(rig.last?.state).toBe("established")
    expect(rig.last?.writable).toBe(1000)
  })

  it("is refused with RST", () => {
    const rig = new Rig()
    rig.answer = "refuse"
    rig.send("request")
    expect(rig.host()).toBe("connect 7, close failed")
    expect(rig.taken()).toBe("rst")
    expect(rig.streams.size).toBe(0)
  })

  it("may be answered later, and takes no data meanwhile", () => {
    const rig = new Rig()
    rig.answer = "later"
    rig.send("request")
    rig.send("credit-update", { bufAlloc: 500 })
    rig.send("credit-request")
    expect(rig.taken()).toBe("")
    rig.last?.accept()
    expect(rig.last?.writable).toBe(0)
    expect(rig.taken()).toBe("response")
    expect(rig.last?.writable).toBe(1000)
  })

  it("ends if the guest sends data or the end before it was answered", () => {
    for (const op of ["rw", "shutdown", "request", "response"]) {
      const rig = new Rig()
      rig.answer = "later"
      rig.send("request")
      expect(rig.send(op, { len: 5 })).toBeUndefined()
      expect(rig.host()).toBe("connect 7, close violation")
      expect(rig.taken()).toBe("rst")
      rig.last?.accept()
      rig.last?.refuse()
      expect(rig.taken()).toBe("")
    }
  })

  it("ends when the guest takes its request back", () => {
    const rig = new Rig()
    rig.answer = "later"
    rig.send("request")
    rig.send("rst")
    expect(rig.host()).toBe("connect 7, close refused")
    expect(rig.taken()).toBe("")
  })

  it("leaves no turn behind when it ends before it had one", () => {
    const rig = new Rig()
    rig.send("request")
    expect(rig.streams.wantsBuffer).toBe(true)
    rig.send("rst")
    expect(rig.streams.wantsBuffer).toBe(false)
    expect(rig.streams.size).toBe(0)
  })

  it("tells the guest nothing but RST if it fails before RESPONSE was sent", () => {
    const rig = new Rig()
    rig.send("request")
    rig.last?.onHostError()
    expect(rig.taken()).toBe("rst")
  })

  it("tells RESPONSE first even if the host is through with it already", () => {
    const rig = new Rig()
    rig.send("request")
    rig.last?.onHostClosed()
    rig.last?.onHostEnd()
    expect(rig.taken()).toBe("response, shutdown 3")
  })

  it("does not begin with a request that claims bytes which nobody sent", () => {
    const rig = new Rig()
    rig.send("request", { fwdCnt: 1 })
    expect(rig.host()).toBe("")
    expect(rig.taken()).toBe("rst")
  })
})

describe("a stream that the host asks for", () => {
  it("sends REQUEST, waits for RESPONSE and only then takes data", () => {
    const rig = new Rig()
    const connection = rig.connect()
    connection.onHostReadable()
    expect(connection.writable).toBe(0)
    expect(rig.taken()).toBe("request")
    rig.reply(connection, "response", { bufAlloc: 300 })
    expect(rig.host()).toBe("opened")
    expect(rig.taken()).toBe("data 300")
  })

  it("ends when the guest refuses", () => {
    const rig = new Rig()
    const connection = rig.connect()
    rig.taken()
    rig.reply(connection, "rst")
    expect(rig.host()).toBe("close refused")
    expect(rig.streams.size).toBe(0)
  })

  it("ends with RST if the guest answers with anything else", () => {
    for (const op of ["request", "rw", "shutdown", "credit-update", "credit-request"]) {
      const rig = new Rig()
      const connection = rig.connect()
      rig.taken()
      rig.reply(connection, op, { len: 1 })
      expect(rig.host()).toBe("close violation")
      expect(rig.taken()).toBe("rst")
    }
  })

  it("leaves no trace if it ends before the guest heard of it", () => {
    const rig = new Rig()
    rig.connect().onHostError()
    expect(rig.host()).toBe("close failed")
    expect(rig.taken()).toBe("")
    expect(rig.streams.size).toBe(0)
    const connection = rig.connect()
    rig.reply(connection, "response")
    expect(rig.count("unasked-response")).toBe(1)
    expect(rig.taken()).toBe("")
  })

  it("still delivers what a client wrote that closed at once", () => {
    const rig = new Rig()
    const connection = rig.connect()
    connection.onHostReadable()
    connection.onHostClosed()
    expect(rig.taken()).toBe("request")
    rig.reply(connection, "response")
    expect(rig.taken()).toBe("shutdown 1, data 1000")
    rig.read(connection, 10)
    connection.onHostEnd()
    expect(rig.host()).toBe("opened, close closed")
    expect(rig.taken()).toBe("shutdown 3")
  })

  it("gives up if the host neither sends nor takes anything", () => {
    const rig = new Rig()
    const connection = rig.connect()
    rig.taken()
    connection.onHostEnd()
    connection.onHostClosed()
    expect(rig.host()).toBe("close closed")
    expect(rig.taken()).toBe("rst")
  })

  it("ends when nobody answers in time, and a late answer is answered with RST", () => {
    const rig = new Rig({ connectMs: 100 })
    const connection = rig.connect()
    rig.taken()
    expect(rig.streams.pollAt()).toBe(1100)
    rig.now = 1099
    rig.streams.onTimer()
    expect(rig.host()).toBe("")
    rig.now = 1100
    rig.streams.onTimer()
    expect(rig.host()).toBe("close timeout")
    expect(rig.taken()).toBe("rst")
    expect(rig.streams.pollAt()).toBe(Number.POSITIVE_INFINITY)
    rig.reply(connection, "response")
    expect(rig.taken()).toBe("rst")
    expect(rig.count("connect-timeout")).toBe(1)
  })
})

describe("data", () => {
  it("is delivered, and its room told again at a quarter of the smaller buffer", () => {
    const rig = new Rig({ bufferBytes: 1000 })
    const connection = rig.established()
    expect(rig.send("rw", { len: 400, bufAlloc: 800 })).toBe(connection)
    expect(connection.undelivered).toBe(400)
    connection.onHostWritten(199)
    expect(rig.taken()).toBe("")
    connection.onHostWritten(1)
    expect(rig.take()).toMatchObject({ op: 6, bufAlloc: 1000, fwdCnt: 200 })
    connection.onHostWritten(200)
    expect(rig.taken()).toBe("credit-update")
    expect(rig.count("bytes-to-host")).toBe(400)
  })

  it("tells the room again when the guest shrinks its own buffer", () => {
    const rig = new Rig({ bufferBytes: 1000 })
    const connection = rig.established()
    rig.send("rw", { len: 100 })
    connection.onHostWritten(100)
    expect(rig.taken()).toBe("")
    rig.send("credit-update", { bufAlloc: 400 })
    expect(rig.taken()).toBe("credit-update")
  })

  it("carries the credit, so that no packet of its own is needed", () => {
    const rig = new Rig({ bufferBytes: 1000 })
    const connection = rig.established()
    rig.send("rw", { len: 400 })
    connection.onHostWritten(400)
    connection.onHostReadable()
    expect(rig.take()).toBe(connection)
    expect(rig.read(connection, 10)).toMatchObject({ op: 5, len: 10, fwdCnt: 400, flags: 0 })
    expect(rig.taken()).toBe("data 990")
  })

  it("is not waited for with the credit if there is none after all", () => {
    const rig = new Rig({ bufferBytes: 1000 })
    const connection = rig.established()
    rig.send("rw", { len: 400 })
    connection.onHostWritten(400)
    connection.onHostReadable()
    expect(rig.taken()).toBe("data 1000, credit-update")
  })

  it("goes to the guest up to its credit, then waits and asks once", () => {
    const rig = new Rig()
    const connection = rig.established()
    connection.onHostReadable()
    expect(rig.take()).toBe(connection)
    rig.read(connection, 1000)
    expect(connection.writable).toBe(0)
    expect(rig.taken()).toBe("credit-request")
    connection.onHostReadable()
    rig.send("credit-update", { fwdCnt: 0 })
    expect(rig.taken()).toBe("")
    rig.send("credit-update", { fwdCnt: 250 })
    expect(rig.take()).toBe(connection)
    rig.read(connection, 250)
    expect(rig.taken()).toBe("credit-request")
  })

  it("refuses to exceed the credit, which would be our bug", () => {
    const rig = new Rig()
    const connection = rig.established()
    expect(() => rig.read(connection, 1001)).toThrow(RangeError)
    expect(() => rig.read(connection, 0)).toThrow(RangeError)
    expect(() => connection.onHostWritten(1)).toThrow(RangeError)
  })

  it("answers a request for credit", () => {
    const rig = new Rig()
    rig.established()
    rig.send("credit-request")
    rig.send("credit-request")
    expect(rig.taken()).toBe("credit-update")
  })

  it("beyond our buffer ends the stream", () => {
    const rig = new Rig({ bufferBytes: 1000 })
    rig.established()
    rig.send("rw", { len: 600 })
    expect(rig.send("rw", { len: 401 })).toBeUndefined()
    expect(rig.host()).toBe("close violation")
    expect(rig.taken()).toBe("rst")
    expect(rig.streams.heldBytes).toBe(0)
    expect(rig.count("over-credit")).toBe(1)
  })

  it("beyond what all streams may hold ends the stream that cannot be rid of it, and no other", () => {
    const rig = new Rig({ bufferBytes: 1000, maxHeldBytes: 1500 })
    const first = rig.established()
    rig.send("rw", { len: 1000 })
    expect(first.mayKeep()).toBe(true)
    rig.send("request", { srcPort: 2 })
    const second = rig.send("rw", { srcPort: 2, len: 500 })
    expect(second?.mayKeep()).toBe(true)
    rig.send("request", { srcPort: 3 })
    const third = rig.send("rw", { srcPort: 3, len: 700 })
    third?.onHostWritten(700) // its host reads
    expect(third?.state).toBe("established")
    expect(rig.streams.heldBytes).toBe(1500)
    rig.host()
    rig.send("rw", { srcPort: 2, len: 1 })
    expect(second?.mayKeep()).toBe(false)
    expect(second?.mayKeep()).toBe(false)
    expect(rig.host()).toBe("close violation")
    expect(rig.count("over-budget")).toBe(1)
    expect(rig.streams.heldBytes).toBe(1000)
    expect(first.state).toBe("established")
  })

  it("that is not there ends the stream", () => {
    const rig = new Rig()
    rig.established()
    expect(rig.send("rw", { len: 10 }, 9)).toBeUndefined()
    expect(rig.count("short-payload")).toBe(1)
    expect(rig.taken()).toBe("rst")
  })

  it("of no length is dropped, and so is an unknown operation", () => {
    const rig = new Rig()
    const connection = rig.established()
    expect(rig.send("rw")).toBeUndefined()
    rig.send("invalid")
    rig.send("credit-update", { op: 77 })
    expect(rig.taken()).toBe("")
    expect(connection.state).toBe("established")
    expect(rig.streams.counts()).toMatchObject({ "empty-data": 1, "unknown-op": 2 })
  })

  it("never sent, but acknowledged, ends the stream", () => {
    const rig = new Rig()
    rig.established()
    rig.send("credit-update", { fwdCnt: 1 })
    expect(rig.host()).toBe("close violation")
    expect(rig.taken()).toBe("rst")
  })
})

describe("half-close", () => {
  it("by the guest reaches the host after the last byte, and the host may go on", () => {
    const rig = new Rig()
    const connection = rig.established()
    rig.send("rw", { len: 10 })
    rig.send("shutdown", { flags: SEND })
    expect(rig.host()).toBe("")
    connection.onHostWritten(10)
    expect(rig.host()).toBe("endWrites")
    connection.onHostReadable()
    expect(rig.taken()).toBe("data 1000")
    rig.send("shutdown", { flags: 0 })
    rig.send("shutdown", { flags: SEND })
    expect(rig.host()).toBe("")
    connection.onHostEnd()
    expect(rig.host()).toBe("close closed")
    expect(rig.taken()).toBe("shutdown 3")
    expect(connection.state).toBe("lingering")
    rig.send("rst")
    expect(rig.streams.size).toBe(0)
  })

  it("by the host is told, and the guest may go on", () => {
    const rig = new Rig()
    const connection = rig.established()
    connection.onHostEnd()
    expect(rig.taken()).toBe("shutdown 2")
    expect(connection.writable).toBe(0)
    expect(rig.send("rw", { len: 10 })).toBe(connection)
    connection.onHostWritten(10)
    rig.send("shutdown", { flags: BOTH })
    expect(rig.host()).toBe("close closed")
    expect(rig.taken()).toBe("rst")
  })

  it("of what the guest takes ends the host's writing", () => {
    const rig = new Rig()
    const connection = rig.established()
    connection.onHostReadable()
    rig.send("shutdown", { flags: RECEIVE })
    expect(rig.host()).toBe("endReads")
    expect(connection.writable).toBe(0)
    expect(rig.taken()).toBe("")
    expect(rig.send("rw", { len: 10 })).toBe(connection)
    rig.send("shutdown", { flags: SEND })
    expect(rig.host()).toBe("")
    connection.onHostWritten(10)
    expect(rig.host()).toBe("close closed")
    expect(rig.taken()).toBe("rst")
  })

  it("of what the host takes is told; what is under way is dropped without harm", () => {
    const rig = new Rig()
    const connection = rig.established()
    rig.send("rw", { len: 10 })
    connection.onHostClosed()
    expect(rig.streams.heldBytes).toBe(0)
    expect(rig.taken()).toBe("shutdown 1")
    expect(rig.send("rw", { len: 10 })).toBeUndefined()
    expect(rig.count("unwanted-data")).toBe(1)
    connection.onHostReadable()
    expect(rig.taken()).toBe("data 1000")
    connection.onHostEnd()
    expect(rig.taken()).toBe("shutdown 3")
  })

  it("and then data nevertheless ends the stream", () => {
    const rig = new Rig()
    rig.established()
    rig.send("shutdown", { flags: SEND })
    rig.send("rw", { len: 1 })
    expect(rig.count("after-shutdown")).toBe(1)
    expect(rig.host()).toBe("endWrites, close violation")
    expect(rig.taken()).toBe("rst")
  })

  it("knows only two flags", () => {
    const rig = new Rig()
    rig.established()
    rig.send("shutdown", { flags: 0xffff_fffc })
    expect(rig.host()).toBe("")
    expect(rig.taken()).toBe("")
  })
})

describe("the end", () => {
  it("by the guest's close is answered with RST once the host has all bytes", () => {
    const rig = new Rig()
    const connection = rig.established()
    rig.send("rw", { len: 10 })
    rig.send("shutdown", { flags: BOTH })
    expect(rig.host()).toBe("endReads")
    expect(rig.taken()).toBe("")
    connection.onHostWritten(10)
    expect(rig.host()).toBe("close closed")
    expect(rig.taken()).toBe("rst")
    expect(rig.streams.size).toBe(0)
  })

  it("still gives the host all bytes when the guest does not wait for that", () => {
    const rig = new Rig()
    const connection = rig.established()
    rig.send("rw", { len: 10 })
    rig.send("shutdown", { flags: BOTH })
    rig.send("rst")
    expect(connection.state).toBe("draining")
    expect(rig.host()).toBe("endReads")
    // The pair is free for the guest.
    rig.send("request")
    expect(rig.host()).toBe("connect 7")
    expect(rig.streams.size).toBe(2)
    connection.onHostReadable()
    expect(rig.taken()).toBe("response")
    connection.onHostWritten(4)
    expect(rig.host()).toBe("")
    connection.onHostWritten(6)
    expect(rig.host()).toBe("close closed")
    expect(rig.streams.size).toBe(1)
  })

  it("asks the host to stop writing when only the guest's sending was finished before its RST", () => {
    const rig = new Rig()
    rig.established()
    rig.send("rw", { len: 10 })
    rig.send("shutdown", { flags: SEND })
    rig.send("rst")
    expect(rig.host()).toBe("endReads")
  })

  it.each([
    ["onHostClosed", "closed"],
    ["onHostError", "failed"],
    ["abort", "gone"],
  ] as const)("of a draining stream by %s", (call, end) => {
    const rig = new Rig()
    const connection = rig.established()
    rig.send("rw", { len: 10 })
    rig.send("shutdown", { flags: BOTH })
    rig.send("rst")
    rig.host()
    connection.onHostEnd()
    connection[call]()
    expect(rig.host()).toBe(`close ${end}`)
    expect(rig.taken()).toBe("")
    expect([rig.streams.size, rig.streams.heldBytes]).toEqual([0, 0])
  })

  it("by RST cuts off what was not finished", () => {
    const rig = new Rig()
    const connection = rig.established()
    rig.send("rw", { len: 10 })
    rig.send("rst")
    expect(rig.host()).toBe("close reset")
    expect([rig.streams.size, rig.streams.heldBytes]).toEqual([0, 0])
    connection.onHostWritten(10)
    connection.onHostReadable()
    connection.onHostEnd()
    connection.onHostClosed()
    connection.onHostError()
    connection.abort()
    expect(rig.host()).toBe("")
    expect(rig.taken()).toBe("")
  })

  it("after our full shutdown waits for RST so long, and then sends one", () => {
    const rig = new Rig({ lingerMs: 500 })
    const connection = rig.established()
    connection.onHostEnd()
    connection.onHostClosed()
    expect(rig.host()).toBe("close closed")
    expect(rig.taken()).toBe("shutdown 3")
    // Crossed our SHUTDOWN on its way.
    expect(rig.send("rw", { len: 10 })).toBeUndefined()
    rig.send("credit-request")
    expect(rig.taken()).toBe("credit-update")
    expect(rig.streams.pollAt()).toBe(1500)
    rig.now = 1500
    rig.streams.onTimer()
    expect(rig.taken()).toBe("rst")
    expect(rig.host()).toBe("")
    expect(rig.count("linger-timeout")).toBe(1)
    expect(rig.streams.size).toBe(0)
  })

  it("of both at the same time needs no deadline", () => {
    const rig = new Rig()
    const connection = rig.established()
    connection.onHostEnd()
    connection.onHostClosed()
    rig.taken()
    rig.send("shutdown", { flags: BOTH })
    expect(rig.taken()).toBe("rst")
    expect(rig.streams.pollAt()).toBe(Number.POSITIVE_INFINITY)
  })

  it("is told once, whatever the guest sends until it hears of it", () => {
    const rig = new Rig()
    rig.established()
    rig.last?.onHostError()
    for (const op of ["rw", "request", "response", "shutdown", "credit-request", "invalid"]) {
      rig.send(op, { len: 1 })
    }
    expect(rig.count("after-reset")).toBe(6)
    expect(rig.taken()).toBe("rst")
  })

  it("need not be told to a guest that has said it too", () => {
    const rig = new Rig()
    rig.established()
    rig.last?.onHostError()
    rig.send("rst")
    expect(rig.taken()).toBe("")
    expect(rig.streams.size).toBe(0)
  })

  it("comes by a second request of a live pair, and by an answer nobody asked for", () => {
    for (const [op, name] of [
      ["request", "duplicate-request"],
      ["response", "unasked-response"],
    ] as const) {
      const rig = new Rig()
      rig.established()
      rig.send(op)
      expect(rig.count(name)).toBe(1)
      expect(rig.host()).toBe("close violation")
      expect(rig.taken()).toBe("rst")
    }
  })
})

describe("toString()", () => {
  it("says who asked whom, and how it stands", () => {
    const rig = new Rig()
    expect(String(rig.established())).toBe("3.1024 > 2.7 established, undelivered 0")
    expect(String(rig.connect(22))).toBe("2.1073741824 > 3.22 connecting, undelivered 0")
  })
})
