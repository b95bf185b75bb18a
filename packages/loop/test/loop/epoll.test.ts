import { Loop } from "@skep/loop"
import { Scratch } from "@skep/loop/memory"
import * as sys from "@skep/loop/sys"
import { afterEach, describe, expect, it } from "vitest"
import { Epoll } from "../../src/loop/epoll.ts"
import { type Abi, abiOf } from "../../src/sys/abi.ts"

const opened: number[] = []
const own = (fd: number): number => {
  opened.push(fd)
  return fd
}
afterEach(() => {
  for (const fd of opened.splice(0)) sys.close(fd)
})

describe("Epoll", () => {
  it("brings back tokens and generations of all 32 bits, in batches of its capacity", () => {
    const epoll = new Epoll(2)
    const fds = [own(sys.eventfd(1)), own(sys.eventfd(1)), own(sys.eventfd(1))]
    const seen = new Set<string>()
    for (const [index, fd] of fds.entries())
      expect(epoll.add(fd, sys.EPOLLIN, index, 0xfffffffe + index)).toBe(0)
    // Level-triggered: the kernel hands them out in turn.
    for (let round = 0; round < 2; round++) {
      expect(epoll.wait(Number.POSITIVE_INFINITY)).toBe(2)
      for (let index = 0; index < 2; index++) {
        expect(epoll.eventsAt(index)).toBe(sys.EPOLLIN)
        seen.add(`${epoll.tokenAt(index)}:${epoll.generationAt(index)}`)
      }
    }
    expect([...seen].toSorted()).toEqual(["0:4294967294", "1:4294967295", "2:0"])
    expect(epoll.remove(fds[0] ?? -1)).toBe(0)
    expect(epoll.remove(fds[0] ?? -1)).toBe(-sys.ENOENT)
    epoll.reset()
    expect(epoll.wait(0)).toBe(0)
    epoll.close()
    epoll.close()
  })

  it("takes fractions of a millisecond, and more than an int holds", () => {
    const epoll = new Epoll(4)
    const event = own(sys.eventfd())
    expect([epoll.wait(0), epoll.wait(0.0001), epoll.wait(1.5)]).toEqual([0, 0, 0])
    sys.signal(event)
    epoll.add(event, sys.EPOLLIN, 0, 0)
    expect([epoll.wait(1e12), epoll.wait(Number.POSITIVE_INFINITY)]).toEqual([1, 1])
    epoll.close()
  })

  it("does without epoll_pwait2", () => {
    const epoll = new Epoll(4, { exact: false })
    const event = own(sys.eventfd(1))
    expect(epoll.wait(0.5)).toBe(0)
    epoll.add(event, sys.EPOLLIN, 0, 0)
    expect(epoll.wait(1e12)).toBe(1)
    epoll.close()
  })

  it("lays its events out as the processor at hand wants it, for both", () => {
    for (const arch of ["x64", "arm64"]) {
      const abi: Abi | undefined = abiOf(arch)
      expect((abi?.epollEvent.size ?? 0) % 4).toBe(0)
      expect((abi?.epollEvent.data ?? 0) % 4).toBe(0)
      new Epoll(4, { abi }).close()
    }
  })
})

describe("a loop on epoll", () => {
  it("hears a ring of an edge-triggered eventfd each time, without reading it", () => {
    using loop = new Loop()
    const event = own(sys.eventfd())
    let count = 0
    loop.add(event, sys.EPOLLIN | sys.EPOLLET, () => void count++)
    loop.step()
    expect(count).toBe(0)
    for (let round = 1; round <= 3; round++) {
      sys.signal(event)
      loop.step()
      loop.step()
      expect(count).toBe(round)
    }
  })

  it("gives everyone a turn while one is always ready", () => {
    using loop = new Loop({ maxEvents: 2 })
    const counts = [0, 0, 0, 0, 0]
    for (const index of counts.keys())
      loop.adopt(sys.eventfd(1), sys.EPOLLIN, () => {
        counts[index] = (counts[index] ?? 0) + 1
      })
    for (let round = 0; round < 50; round++) loop.step()
    expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1)
  })

  it("survives a descriptor that was closed but not removed, while a copy lives elsewhere", () => {
    using loop = new Loop()
    const event = sys.eventfd(1)
    const copy = own(sys.dup(event))
    const heard: string[] = []
    const registration = loop.add(event, sys.EPOLLIN, () => void heard.push("zombie"))
    loop.adopt(sys.eventfd(1), sys.EPOLLIN, () => void heard.push("alive"))
    sys.close(event)
    registration.remove()
    // The kernel still reports it, and cannot be told to stop by any number we have.
    for (let round = 0; round < 3; round++) loop.step()
    expect(heard).toEqual(["alive", "alive", "alive"])
    expect(loop.counters.read()).toMatchObject({ rebuilds: 1, staleEvents: 1, registrations: 1 })
    expect(sys.fcntl(copy, sys.F_GETFD)).toBe(sys.FD_CLOEXEC)
  })

  it("does not close a number that is somebody else's by now", () => {
    using loop = new Loop()
    const event = sys.eventfd()
    const registration = loop.adopt(event, sys.EPOLLIN, () => undefined)
    sys.close(event)
    const other = own(sys.eventfd())
    expect(other).toBe(event)
    registration.close()
    expect(sys.fcntl(other, sys.F_GETFD)).toBe(sys.FD_CLOEXEC)
  })

  it("forgets a descriptor that was only closed, and hears whoever has its number next", () => {
    using loop = new Loop()
    const heard: string[] = []
    const first = loop.adopt(sys.eventfd(1), sys.EPOLLIN, () => {
      heard.push("first")
      first.closeOnly()
      first.closeOnly()
    })
    loop.step()
    loop.step()
    const event = sys.eventfd(1)
    expect(event).toBe(first.fd)
    first.close()
    loop.adopt(event, sys.EPOLLIN, () => void heard.push("second"))
    loop.step()
    expect(heard).toEqual(["first", "second"])
    expect(loop.counters.read()).toMatchObject({ rebuilds: 0, staleEvents: 0, registrations: 1 })
  })

  it("serves a thousand connections after another with the same few descriptors", () => {
    using loop = new Loop()
    using scratch = new Scratch(4096)
    const { address } = scratch.region("bytes", 64)
    const path = `\0skep-loop-${process.pid}`
    const server = sys.check(sys.socket(sys.AF_UNIX, sys.SOCK_STREAM | sys.SOCK_NONBLOCK), "socket")
    sys.check(sys.bind(server, { family: "unix", path }), "bind")
    sys.check(sys.listen(server, 8), "listen")
    let served = 0
    loop.adopt(server, sys.EPOLLIN, () => {
      const fd = sys.accept(server, sys.SOCK_NONBLOCK)
      if (fd < 0) return
      const connection = loop.adopt(fd, sys.EPOLLIN | sys.EPOLLRDHUP, () => {
        const n = sys.read(fd, address, 64)
        if (n > 0) sys.write(fd, address, n)
        else connection.close()
        served += n > 0 ? 1 : 0
      })
    })
    const probe = (): number => {
      const fd = sys.eventfd()
      sys.close(fd)
      return fd
    }
    const lowest = probe()
    for (let round = 0; round < 1000; round++) {
      const client = sys.check(sys.socket(sys.AF_UNIX, sys.SOCK_STREAM), "socket")
      sys.check(sys.connect(client, { family: "unix", path }), "connect")
      sys.write(client, address, 5)
      loop.step()
      loop.step()
      expect(sys.receive(client, address, 64, sys.MSG_DONTWAIT)).toBe(5)
      sys.close(client)
      loop.step()
    }
    expect(served).toBe(1000)
    // The lowest free number is what it was: nothing leaked.
    expect(probe()).toBe(lowest)
    expect(loop.counters.read().registrations).toBe(1)
  })
})
