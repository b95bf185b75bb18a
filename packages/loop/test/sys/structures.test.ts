import { mapAnonymous, Scratch } from "@skep/loop/memory"
import * as sys from "@skep/loop/sys"
import { afterEach, describe, expect, it } from "vitest"

const opened: number[] = []
const own = (fd: number): number => {
  opened.push(sys.check(fd, "test"))
  return fd
}
afterEach(() => {
  for (const fd of opened.splice(0)) sys.close(fd)
})

describe("options that are structures", () => {
  it("are read and set: struct linger, struct tcp_info", () => {
    const fd = own(sys.socket(sys.AF_INET, sys.SOCK_STREAM))
    const linger = new Uint8Array(new Int32Array([1, 7]).buffer)
    expect(sys.setOptionBytes(fd, sys.SOL_SOCKET, sys.SO_LINGER, linger)).toBe(0)
    const back = new Uint8Array(8)
    expect(sys.getOptionBytes(fd, sys.SOL_SOCKET, sys.SO_LINGER, back)).toBe(8)
    expect(back).toEqual(linger)
    const info = new Uint8Array(512)
    const length = sys.getOptionBytes(fd, sys.IPPROTO_TCP, sys.TCP_INFO, info)
    expect(length).toBeGreaterThan(100)
    // tcpi_state: TCP_CLOSE.
    expect(info[0]).toBe(7)
    expect(sys.getOptionBytes(-1, sys.SOL_SOCKET, sys.SO_LINGER, back)).toBe(-sys.EBADF)
  })
})

describe("ioctl", () => {
  const FIONREAD = 0x541b

  it("reads by an address and into a view", () => {
    using scratch = new Scratch(4096)
    const { address, u32 } = scratch.region("int", 16)
    const pair = new Int32Array(2)
    sys.check(sys.pipe(pair), "pipe")
    const [from = -1, to = -1] = pair
    own(from)
    own(to)
    expect(sys.write(to, address, 5)).toBe(5)
    expect(sys.ioctl(from, FIONREAD, address)).toBe(0)
    expect(u32[0]).toBe(5)
    const view = new Uint8Array(4)
    expect(sys.ioctlInto(from, FIONREAD, view)).toBe(0)
    expect([...view]).toEqual([5, 0, 0, 0])
    expect(sys.ioctl(-1, FIONREAD, address)).toBe(-sys.EBADF)
  })
})

describe("waitsOfThread()", () => {
  it("counts what this thread waited for, and not what it did", () => {
    const before = sys.waitsOfThread()
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5)
    expect(sys.waitsOfThread()).toBeGreaterThan(before)
  })
})

describe("open", () => {
  it("is close-on-exec, and says why not", () => {
    const fd = own(sys.open("/dev/null", sys.O_RDWR))
    expect(sys.fcntl(fd, sys.F_GETFD)).toBe(sys.FD_CLOEXEC)
    expect(sys.open("/nowhere/at/all", sys.O_RDONLY)).toBe(-sys.ENOENT)
  })
})

describe("memory by address", () => {
  it("is copied there, back, and between", () => {
    using scratch = new Scratch(2 ** 16)
    const one = scratch.region("one", 64)
    const two = scratch.region("two", 64)
    sys.copyToMemory(one.address + 3, Uint8Array.of(1, 2, 3))
    expect([...one.bytes.subarray(2, 7)]).toEqual([0, 1, 2, 3, 0])
    sys.copyMemory(two.address, one.address, 6)
    const back = new Uint8Array(10)
    sys.copyFromMemory(back.subarray(2, 8), two.address)
    expect([...back]).toEqual([0, 0, 0, 0, 0, 1, 2, 3, 0, 0])
  })

  it("is found for a buffer of our own", () => {
    const bytes = new Uint8Array(64)
    sys.copyToMemory(sys.addressOf(bytes.buffer) + 60, Uint8Array.of(7))
    expect(bytes[60]).toBe(7)
  })

  it("is given back page by page", () => {
    using mapping = mapAnonymous(8192)
    const bytes = new Uint8Array(mapping.view(0, 8192))
    bytes[0] = 1
    bytes[4096] = 2
    expect(sys.madvise(mapping.address + 4096, 4096, sys.MADV_DONTNEED)).toBe(0)
    expect([bytes[0], bytes[4096]]).toEqual([1, 0])
    expect(sys.madvise(mapping.address + 1, 1, sys.MADV_DONTNEED)).toBe(-sys.EINVAL)
  })
})

describe("network namespaces", () => {
  it("are this thread's own, left and entered again", ({ skip }) => {
    const home = own(sys.currentNamespace())
    const entered = sys.unshare(sys.CLONE_NEWNET)
    if (entered === -sys.EPERM) skip("needs the right to make a network namespace (root)")
    expect(entered).toBe(0)
    const other = own(sys.currentNamespace())
    try {
      const fd = own(sys.socket(sys.AF_INET, sys.SOCK_DGRAM))
      // The loopback interface of a new namespace is down.
      expect(sys.connect(fd, { family: "inet", address: "127.0.0.1", port: 9 })).toBe(-sys.ENETUNREACH)
    } finally {
      sys.check(sys.setNamespace(home, sys.CLONE_NEWNET), "setns")
    }
    const fd = own(sys.socket(sys.AF_INET, sys.SOCK_DGRAM))
    expect(sys.connect(fd, { family: "inet", address: "127.0.0.1", port: 9 })).toBe(0)
    expect(sys.setNamespace(other, sys.CLONE_NEWUSER)).toBe(-sys.EINVAL)
  })
})
