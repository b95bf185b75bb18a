import { Iovecs, Message, Scratch } from "@skep/loop/memory"
import * as sys from "@skep/loop/sys"
import fc from "fast-check"
import { afterEach, describe, expect, it } from "vitest"
import { getU64, setU64 } from "../../src/memory/words.ts"

const opened: number[] = []
function socketPair(): readonly [number, number] {
  const into = new Int32Array(2)
  sys.check(sys.socketPair(sys.AF_UNIX, sys.SOCK_STREAM | sys.SOCK_NONBLOCK, into), "socketpair")
  opened.push(...into)
  return [into[0] ?? -1, into[1] ?? -1]
}
afterEach(() => {
  for (const fd of opened.splice(0)) sys.close(fd)
})

describe("setU64()", () => {
  it("is what a BigInt of the same value writes", () => {
    fc.assert(
      fc.property(fc.nat({ max: Number.MAX_SAFE_INTEGER }), (value) => {
        const words = new Uint32Array(4)
        setU64(words, 2, value)
        expect(new BigUint64Array(words.buffer)[1]).toBe(BigInt(value))
        expect(getU64(words, 2)).toBe(value)
      }),
    )
  })
})

describe("Iovecs", () => {
  it("consume() leaves the same bytes as a model, in whatever steps", () => {
    const pieces = fc.array(fc.tuple(fc.nat({ max: 2 ** 47 }), fc.nat({ max: 40 })), { maxLength: 8 })
    fc.assert(
      fc.property(pieces, fc.array(fc.nat({ max: 60 }), { maxLength: 10 }), (given, steps) => {
        using scratch = new Scratch(4096)
        const iovecs = new Iovecs(scratch, "iovecs", 8)
        for (const [address, length] of given) expect(iovecs.push(address, length)).toBe(true)
        const model = given.flatMap(([address, length]) =>
          Array.from({ length }, (_, index) => address + index),
        )
        for (const step of steps) {
          iovecs.consume(step)
          model.splice(0, step)
          const left = Array.from({ length: iovecs.count }, (_, index) => index).flatMap((index) =>
            Array.from({ length: iovecs.lengthAt(index) }, (_, byte) => iovecs.addressAt(index) + byte),
          )
          expect(left).toEqual(model)
          expect(iovecs.bytes).toBe(model.length)
        }
      }),
    )
  })

  it("is bounded, and used again", () => {
    using scratch = new Scratch(2 ** 16)
    const iovecs = new Iovecs(scratch, "iovecs", 2)
    expect([iovecs.push(1, 1), iovecs.push(2, 1), iovecs.push(3, 1)]).toEqual([true, true, false])
    iovecs.clear()
    expect([iovecs.count, iovecs.bytes, iovecs.push(1, 1)]).toEqual([0, 0, true])
    expect(() => new Iovecs(scratch, "more", 1025)).toThrow(RangeError)
  })

  it("is what readv and writev take, with a partial write", () => {
    using scratch = new Scratch(2 ** 16)
    const iovecs = new Iovecs(scratch, "iovecs", 4)
    const { address, bytes } = scratch.region("bytes", 64)
    const [left, right] = socketPair()
    bytes.set([1, 2, 3, 4, 5, 6])
    iovecs.push(address + 3, 3)
    iovecs.push(address, 3)
    iovecs.consume(1)
    expect(sys.writev(left, iovecs.address, iovecs.count)).toBe(5)
    iovecs.clear()
    iovecs.push(address + 32, 2)
    iovecs.push(address + 40, 10)
    expect(sys.readv(right, iovecs.address, iovecs.count)).toBe(5)
    expect([...bytes.subarray(32, 34), ...bytes.subarray(40, 43)]).toEqual([5, 6, 1, 2, 3])
    expect(sys.readv(right, iovecs.address, iovecs.count)).toBe(-sys.EAGAIN)
    const file = sys.memfdCreate("test")
    opened.push(file)
    expect(sys.pwritev(file, iovecs.address, iovecs.count, 100)).toBe(12)
    expect(sys.preadv(file, iovecs.address, iovecs.count, 102)).toBe(10)
  })
})

describe("Message", () => {
  it("carries descriptors, which arrive close-on-exec and are the receiver's", () => {
    using scratch = new Scratch(2 ** 16)
    const iovecs = new Iovecs(scratch, "iovecs", 4)
    const message = new Message(scratch, "message", 8)
    const { address, bytes } = scratch.region("bytes", 64)
    const [left, right] = socketPair()
    const events = [sys.eventfd(5), sys.eventfd(6), sys.eventfd(7)]
    opened.push(...events)
    for (const count of [0, 1, 2, 3]) {
      iovecs.clear()
      iovecs.push(address, 3)
      message.prepareSend(iovecs, events.slice(0, count))
      expect(sys.sendMessage(left, message.header)).toBe(3)
      message.prepareReceive(iovecs)
      expect(sys.receiveMessage(right, message.header)).toBe(3)
      expect(message.truncated).toBe(false)
      const fds: number[] = []
      expect(message.takeFds(fds)).toBe(count)
      expect(message.takeFds(fds)).toBe(0)
      opened.push(...fds)
      expect(fds).toHaveLength(count)
      for (const [index, fd] of fds.entries()) {
        expect(events).not.toContain(fd)
        expect(sys.fcntl(fd, sys.F_GETFD)).toBe(sys.FD_CLOEXEC)
        expect(sys.read(fd, address, 8)).toBe(8)
        expect(bytes[0]).toBe(5 + index)
        sys.signal(fd, 5 + index)
      }
    }
  })

  it("says truncated for more descriptors than there is room for", () => {
    using scratch = new Scratch(2 ** 16)
    const iovecs = new Iovecs(scratch, "iovecs", 4)
    const { address } = scratch.region("bytes", 64)
    const big = new Message(scratch, "big", 4)
    const small = new Message(scratch, "small", 1)
    const none = new Message(scratch, "none", 0)
    const [left, right] = socketPair()
    const event = sys.eventfd()
    opened.push(event)
    iovecs.push(address, 1)
    const received = [small, none].map((message) => {
      big.prepareSend(iovecs, [event, event, event, event])
      expect(sys.sendMessage(left, big.header)).toBe(1)
      message.prepareReceive(iovecs)
      expect(sys.receiveMessage(right, message.header)).toBe(1)
      const fds: number[] = []
      message.takeFds(fds)
      opened.push(...fds)
      return [message.truncated, fds.length]
    })
    // Alignment gives the small one room for a second.
    expect(received).toEqual([
      [true, 2],
      [true, 0],
    ])
    expect(() => small.prepareSend(iovecs, [event, event])).toThrow(RangeError)
    expect(() => new Message(scratch, "huge", 254)).toThrow(RangeError)
  })
})
