import { Iovecs, Message, Scratch } from "@skep/loop/memory"
import * as sys from "@skep/loop/sys"
import { afterEach, describe, expect, it } from "vitest"

const opened: number[] = []
function boundUdp(family: "inet" | "inet6", address: string) {
  const fd = sys.check(
    sys.socket(family === "inet" ? sys.AF_INET : sys.AF_INET6, sys.SOCK_DGRAM | sys.SOCK_NONBLOCK),
    "socket",
  )
  opened.push(fd)
  sys.check(sys.bind(fd, { family, address, port: 0 }), "bind")
  const name = sys.socketName(fd)
  if (typeof name === "number") throw new Error("no name")
  return { fd, name }
}
afterEach(() => {
  for (const fd of opened.splice(0)) sys.close(fd)
})

describe("Message in segments", () => {
  it.each([
    ["inet", "127.0.0.1"],
    ["inet6", "::1"],
  ] as const)(
    "is as many datagrams, to a name and to whom the socket is connected: %s",
    (family, address) => {
      using scratch = new Scratch(2 ** 16)
      const iovecs = new Iovecs(scratch, "iovecs", 4)
      const message = new Message(scratch, "message", 0)
      const { address: bytesAt, bytes } = scratch.region("bytes", 64)
      const one = boundUdp(family, address)
      const two = boundUdp(family, address)
      bytes.set([1, 2, 3, 4, 5, 6, 7])
      iovecs.push(bytesAt, 2)
      iovecs.push(bytesAt + 2, 5)
      const name = sys.encodeAddress(two.name)
      message.name.set(name)
      message.prepareSendSegments(iovecs, 3, name.length)
      expect(sys.sendMessage(one.fd, message.header)).toBe(7)
      expect(sys.connectTo(one.fd, name)).toBe(0)
      message.prepareSendSegments(iovecs, 4)
      expect(sys.sendMessage(one.fd, message.header)).toBe(7)
      const got: number[][] = []
      for (let length = 0; length >= 0; ) {
        length = sys.receive(two.fd, bytesAt + 32, 32, sys.MSG_DONTWAIT)
        if (length >= 0) got.push([...bytes.subarray(32, 32 + length)])
      }
      expect(got).toEqual([[1, 2, 3], [4, 5, 6], [7], [1, 2, 3, 4], [5, 6, 7]])
    },
  )
})

describe("Message with a name", () => {
  it.each([
    ["inet", "127.0.0.1", sys.IPPROTO_IP, sys.IP_RECVTTL, sys.IP_TTL],
    ["inet6", "::1", sys.IPPROTO_IPV6, sys.IPV6_RECVHOPLIMIT, sys.IPV6_HOPLIMIT],
  ] as const)(
    "sends to it and says who sent, and how far it came: %s",
    (family, address, level, ask, told) => {
      using scratch = new Scratch(2 ** 16)
      const iovecs = new Iovecs(scratch, "iovecs", 4)
      const message = new Message(scratch, "message", 16)
      const { address: bytesAt, bytes } = scratch.region("bytes", 64)
      const one = boundUdp(family, address)
      const two = boundUdp(family, address)
      expect(sys.setOption(two.fd, level, ask, 1)).toBe(0)
      bytes.set([1, 2, 3])
      iovecs.push(bytesAt, 3)
      const name = sys.encodeAddress(two.name)
      message.name.set(name)
      message.prepareSendTo(iovecs, name.length)
      expect(sys.sendMessage(one.fd, message.header)).toBe(3)
      message.prepareReceiveFrom(iovecs)
      expect(sys.receiveMessage(two.fd, message.header)).toBe(3)
      expect(sys.parseAddress(message.name, message.nameLength)).toEqual(one.name)
      const at = message.control(level, told)
      expect(at).toBeGreaterThan(0)
      expect(new DataView(message.controls.buffer, message.controls.byteOffset).getInt32(at, true)).toBe(64)
      expect(message.control(level, 9999)).toBe(-1)
    },
  )

  it("says what was refused, by the error queue", () => {
    using scratch = new Scratch(2 ** 16)
    const iovecs = new Iovecs(scratch, "iovecs", 4)
    const message = new Message(scratch, "message", 16)
    const { address, bytes } = scratch.region("bytes", 64)
    const gone = boundUdp("inet", "127.0.0.1")
    const one = boundUdp("inet", "127.0.0.1")
    sys.close(opened.shift() ?? -1)
    expect(sys.setOption(one.fd, sys.IPPROTO_IP, sys.IP_RECVERR, 1)).toBe(0)
    bytes[0] = 9
    iovecs.push(address, 1)
    const name = sys.encodeAddress(gone.name)
    message.name.set(name)
    message.prepareSendTo(iovecs, name.length)
    expect(sys.sendMessage(one.fd, message.header)).toBe(1)
    message.prepareReceiveFrom(iovecs)
    expect(sys.receiveMessage(one.fd, message.header)).toBe(-sys.ECONNREFUSED)
    message.prepareReceiveFrom(iovecs)
    expect(sys.receiveMessage(one.fd, message.header, sys.MSG_ERRQUEUE)).toBe(1)
    expect(sys.parseAddress(message.name, message.nameLength)).toEqual(gone.name)
    const at = message.control(sys.IPPROTO_IP, sys.IP_RECVERR)
    // struct sock_extended_err begins with the error number.
    expect(message.controls[at]).toBe(sys.ECONNREFUSED)
  })
})
