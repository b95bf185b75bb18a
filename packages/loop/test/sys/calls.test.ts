import { closeSync, mkdtempSync, openSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Scratch } from "@skep/loop/memory"
import * as sys from "@skep/loop/sys"
import { afterEach, describe, expect, it } from "vitest"

const opened: number[] = []
const own = (fd: number): number => {
  opened.push(sys.check(fd, "test"))
  return fd
}
const pair = (call: (into: Int32Array) => number): readonly [number, number] => {
  const into = new Int32Array(2)
  sys.check(call(into), "test")
  const [one = -1, two = -1] = into
  opened.push(one, two)
  return [one, two]
}

afterEach(() => {
  for (const fd of opened.splice(0)) sys.close(fd)
})

describe("read and write", () => {
  it("say what they did, -EAGAIN, -EBADF, -EFAULT", () => {
    using scratch = new Scratch(4096)
    const { address, bytes } = scratch.region("bytes", 64)
    const [from, to] = pair((into) => sys.pipe(into, sys.O_NONBLOCK))
    expect(sys.read(from, address, 8)).toBe(-sys.EAGAIN)
    bytes.set([1, 2, 3])
    expect(sys.write(to, address, 3)).toBe(3)
    bytes.fill(0)
    expect(sys.read(from, address + 8, 8)).toBe(3)
    expect([...bytes.subarray(8, 11)]).toEqual([1, 2, 3])
    expect(sys.read(-1, address, 1)).toBe(-sys.EBADF)
    expect(sys.write(to, 16, 1)).toBe(-sys.EFAULT)
    expect(sys.read(from, address, 0)).toBe(0)
  })

  it("see the end of a pipe and the want of a reader", () => {
    using scratch = new Scratch(4096)
    const { address } = scratch.region("bytes", 64)
    const [from, to] = pair((into) => sys.pipe(into, sys.O_NONBLOCK))
    sys.close(from)
    expect(sys.write(to, address, 1)).toBe(-sys.EPIPE)
    const [other, end] = pair((into) => sys.pipe(into, sys.O_NONBLOCK))
    sys.close(end)
    expect(sys.read(other, address, 1)).toBe(0)
  })

  it("take offsets beyond 4 GiB", () => {
    using scratch = new Scratch(4096)
    const { address, bytes } = scratch.region("bytes", 64)
    const file = own(sys.memfdCreate("test"))
    bytes[0] = 42
    expect(sys.pwrite(file, address, 1, 5 * 2 ** 30)).toBe(1)
    expect(sys.fileSize(file)).toBe(5 * 2 ** 30 + 1)
    bytes[0] = 0
    expect(sys.pread(file, address, 1, 5 * 2 ** 30)).toBe(1)
    expect(bytes[0]).toBe(42)
    expect(sys.ftruncate(file, 10)).toBe(0)
    expect(sys.fileSize(file)).toBe(10)
  })

  it("make descriptors that children do not get", () => {
    const event = own(sys.eventfd())
    const [from, to] = pair((into) => sys.pipe(into))
    const [left, right] = pair((into) => sys.socketPair(sys.AF_UNIX, sys.SOCK_STREAM, into))
    const more = [
      sys.dup(event),
      sys.epollCreate(),
      sys.memfdCreate("x"),
      sys.socket(sys.AF_INET, sys.SOCK_STREAM),
    ]
    for (const fd of [event, from, to, left, right, ...more.map(own)])
      expect(sys.fcntl(fd, sys.F_GETFD)).toBe(sys.FD_CLOEXEC)
  })

  it("setNonblocking() sets and clears", () => {
    const [from] = pair((into) => sys.pipe(into))
    const nonblocking = (): boolean => (sys.fcntl(from, sys.F_GETFL) & sys.O_NONBLOCK) !== 0
    expect(nonblocking()).toBe(false)
    expect(sys.setNonblocking(from, true)).toBe(0)
    expect(nonblocking()).toBe(true)
    expect(sys.setNonblocking(from, false)).toBe(0)
    expect(nonblocking()).toBe(false)
    expect(sys.setNonblocking(-1, true)).toBe(-sys.EBADF)
  })

  it("splice() moves from socket to pipe", () => {
    using scratch = new Scratch(4096)
    const { address, bytes } = scratch.region("bytes", 64)
    const [left, right] = pair((into) => sys.socketPair(sys.AF_UNIX, sys.SOCK_STREAM, into))
    const [from, to] = pair((into) => sys.pipe(into))
    bytes.set([7, 8])
    sys.write(left, address, 2)
    expect(sys.splice(right, to, 10, sys.SPLICE_F_NONBLOCK)).toBe(2)
    expect(sys.read(from, address + 8, 8)).toBe(2)
    expect([...bytes.subarray(8, 10)]).toEqual([7, 8])
  })
})

describe("sockets", () => {
  it("connect, accept, name and half-close over a path", () => {
    using scratch = new Scratch(4096)
    const { address } = scratch.region("bytes", 64)
    const directory = mkdtempSync(join(tmpdir(), "skep-loop-"))
    try {
      const path = join(directory, "s")
      const server = own(sys.socket(sys.AF_UNIX, sys.SOCK_STREAM | sys.SOCK_NONBLOCK))
      expect(sys.bind(server, { family: "unix", path })).toBe(0)
      const early = own(sys.socket(sys.AF_UNIX, sys.SOCK_STREAM))
      expect(sys.connect(early, { family: "unix", path })).toBe(-sys.ECONNREFUSED)
      expect(sys.listen(server, 8)).toBe(0)
      expect(sys.accept(server, sys.SOCK_NONBLOCK)).toBe(-sys.EAGAIN)
      expect(sys.socketName(server)).toEqual({ family: "unix", path })
      const client = own(sys.socket(sys.AF_UNIX, sys.SOCK_STREAM | sys.SOCK_NONBLOCK))
      expect(sys.connect(client, { family: "unix", path })).toBe(0)
      const accepted = own(sys.accept(server, sys.SOCK_NONBLOCK))
      expect(sys.fcntl(accepted, sys.F_GETFD)).toBe(sys.FD_CLOEXEC)
      expect(sys.peerName(client)).toEqual({ family: "unix", path })
      expect(sys.peerName(accepted)).toEqual({ family: "unix", path: "" })
      expect(sys.receive(accepted, address, 1)).toBe(-sys.EAGAIN)
      expect(sys.shutdown(client, sys.SHUT_WR)).toBe(0)
      expect(sys.receive(accepted, address, 1)).toBe(0)
      expect(sys.send(client, address, 1)).toBe(-sys.EPIPE)
      expect(sys.bind(early, { family: "unix", path })).toBe(-sys.EADDRINUSE)
    } finally {
      rmSync(directory, { recursive: true })
    }
  })

  it("do the same over loopback, v4 and v6, not blocking", () => {
    for (const [family, number, address] of [
      ["inet", sys.AF_INET, "127.0.0.1"],
      ["inet6", sys.AF_INET6, "::1"],
    ] as const) {
      const server = own(sys.socket(number, sys.SOCK_STREAM))
      sys.check(sys.bind(server, { family, address, port: 0 }), "bind")
      sys.check(sys.listen(server, 8), "listen")
      const name = sys.socketName(server)
      if (typeof name === "number" || name.family === "unix") throw new Error("no name")
      expect(name).toMatchObject({ family, address })
      const client = own(sys.socket(number, sys.SOCK_STREAM | sys.SOCK_NONBLOCK))
      expect([0, -sys.EINPROGRESS]).toContain(sys.connect(client, name))
      own(sys.accept(server))
      expect(sys.peerName(client)).toEqual(name)
      expect(sys.socketError(client)).toBe(0)
      expect(sys.getOption(client, sys.IPPROTO_TCP, sys.TCP_NODELAY)).toBe(0)
      expect(sys.setOption(client, sys.IPPROTO_TCP, sys.TCP_NODELAY, 1)).toBe(0)
      expect(sys.getOption(client, sys.IPPROTO_TCP, sys.TCP_NODELAY)).toBe(1)
      expect(sys.getOption(client, sys.SOL_SOCKET, 9999)).toBe(-sys.errnoOf("ENOPROTOOPT")!)
    }
  })

  it("bind() and connect() refuse a path that is too long, by throwing", () => {
    const fd = own(sys.socket(sys.AF_UNIX, sys.SOCK_STREAM))
    const path = `/tmp/${"x".repeat(103)}`
    const message = `the path of a Unix socket has at most 107 bytes: "${path}"`
    expect(() => sys.bind(fd, { family: "unix", path })).toThrow(`bind: ENAMETOOLONG, ${message}`)
    expect(() => sys.connect(fd, { family: "unix", path })).toThrow(`connect: ENAMETOOLONG, ${message}`)
    expect(() => sys.connect(fd, { family: "inet", address: "localhost", port: 1 })).toThrow(
      "connect: EINVAL",
    )
    expect(sys.connect(fd, { family: "unix", path: path.slice(0, 107) })).toBe(-sys.ENOENT)
  })
})

describe("fileSize()", () => {
  it("is for regular files", () => {
    const [from] = pair((into) => sys.pipe(into))
    expect(sys.fileSize(from)).toBe(-sys.EINVAL)
    expect(sys.fileSize(-1)).toBe(-sys.EBADF)
    const file = openSync(import.meta.filename, "r")
    expect(sys.fileSize(file)).toBeGreaterThan(1000)
    closeSync(file)
  })
})

describe("AF_VSOCK", () => {
  const probe = sys.socket(sys.AF_VSOCK, sys.SOCK_STREAM)
  if (probe >= 0) sys.close(probe)
  const ANY = 0xffff_ffff

  it.skipIf(probe < 0)(
    "takes our address, and says the one it gave: the kernel reads the layout alike",
    () => {
      const first = own(sys.socket(sys.AF_VSOCK, sys.SOCK_STREAM))
      expect(sys.bind(first, { family: "vsock", cid: ANY, port: ANY })).toBe(0)
      const given = sys.socketName(first)
      if (typeof given === "number" || given.family !== "vsock") throw new Error(JSON.stringify(given))
      expect(given.cid).toBe(ANY)
      const second = own(sys.socket(sys.AF_VSOCK, sys.SOCK_STREAM))
      expect(sys.bind(second, given)).toBe(-sys.EADDRINUSE)
    },
  )
})
