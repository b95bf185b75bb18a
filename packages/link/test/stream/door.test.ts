import { mkdtempSync, readdirSync, rmSync, statSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as sys from "@skep/loop/sys"
import { describe, expect, it } from "vitest"
import { LoopStreamIo, StreamLink } from "../../src/index.ts"
import { framed, frameOf, Peer, rig } from "./peer.ts"

function temporaryDirectory() {
  const path = mkdtempSync(join(tmpdir(), "skep-link-"))
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true }) }
}

function dial(path: string): Peer {
  const fd = sys.check(sys.socket(sys.AF_UNIX, sys.SOCK_STREAM), "socket")
  sys.check(sys.connect(fd, { family: "unix", path }), "connect")
  return new Peer(fd)
}

describe("a socket that we listen on", () => {
  it("is for its owner alone, takes one machine at a time, and the next when that has gone", () => {
    using directory = temporaryDirectory()
    const path = join(directory.path, "net.sock")
    using all = rig({ listen: path })
    const { loop, link, recorder } = all
    expect(statSync(path).mode & 0o777).toBe(0o600)
    expect(link.carrier).toBe(false)
    using one = dial(path)
    all.until(() => link.carrier)
    using two = dial(path)
    one.write(framed(frameOf(60, 1)))
    two.write(framed(frameOf(61, 2)))
    for (let step = 0; step < 10; step++) loop.step()
    expect(recorder.frames.map(({ bytes }) => bytes.length)).toEqual([60])
    // Dies in the midst of a frame.
    one.write(framed(frameOf(5000, 3)).subarray(0, 2000))
    one.hangUp()
    all.until(() => recorder.frames.length === 2)
    expect(recorder.frames[1]?.bytes.length).toBe(61)
    expect(recorder.carriers).toEqual([true, false, true])
    expect(link.counters.peers).toBe(2)
    link[Symbol.dispose]()
    expect(statSync(path, { throwIfNoEntry: false })).toBeUndefined()
    expect(two.read()).toBe(false)
  })

  it("is welcoming again after a stream that made no sense", () => {
    using directory = temporaryDirectory()
    const path = join(directory.path, "net.sock")
    using all = rig({ listen: path })
    for (let time = 0; time < 3; time++) {
      using peer = dial(path)
      all.until(() => all.link.carrier)
      peer.write(Buffer.from("GET / HTTP/1.1\r\n\r\n"))
      all.until(() => !all.link.carrier)
    }
    expect(all.link.counters).toMatchObject({ peers: 3, broken: 3 })
    using peer = dial(path)
    peer.write(framed(frameOf(60, 1)))
    all.until(() => all.recorder.frames.length === 1)
  })

  it("is refused where the path is taken, and another's file is left alone", () => {
    using directory = temporaryDirectory()
    const path = join(directory.path, "net.sock")
    using all = rig({ listen: path })
    const { link, loop, memory } = all
    const other = () =>
      new StreamLink({
        name: "other",
        memory,
        mtu: 1500,
        io: new LoopStreamIo({ scope: loop.root, memory, end: { listen: path } }),
      })
    using second = other()
    expect(() => second.start()).toThrow(/bind: EADDRINUSE/)
    second[Symbol.dispose]()
    expect(statSync(path).isSocket()).toBe(true)
    rmSync(path)
    using third = other()
    third.start()
    link[Symbol.dispose]()
    expect(statSync(path).isSocket()).toBe(true)
    third[Symbol.dispose]()
    expect(readdirSync(directory.path)).toEqual([])
  })
})

describe("a socket that we connect to", () => {
  it("is tried until somebody is there, and again when that has gone", () => {
    using directory = temporaryDirectory()
    const path = join(directory.path, "net.sock")
    let now = 0
    using all = rig({ connect: path }, 1500, { now: () => now })
    const { loop, link, recorder } = all
    const pass = (ms: number): void => {
      for (const end = now + ms; now < end; now++) loop.step()
    }
    pass(100)
    expect(link.carrier).toBe(false)
    const server = sys.check(sys.socket(sys.AF_UNIX, sys.SOCK_STREAM | sys.SOCK_NONBLOCK), "socket")
    try {
      sys.check(sys.bind(server, { family: "unix", path }), "bind")
      sys.check(sys.listen(server, 4), "listen")
      pass(1000)
      expect(link.carrier).toBe(true)
      using peer = new Peer(sys.check(sys.accept(server), "accept"))
      peer.hangUp()
      pass(1100)
      expect(recorder.carriers).toEqual([true, false, true])
      expect(link.counters.peers).toBe(2)
    } finally {
      sys.close(server)
    }
  })
})
