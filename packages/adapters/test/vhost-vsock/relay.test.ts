// One relay on socket pairs: what is kept, what is passed on, what ends.
import { randomBytes } from "node:crypto"
import { readSync } from "node:fs"
import { check, Loop } from "@skep/loop"
import { Scratch } from "@skep/loop/memory"
import * as sys from "@skep/loop/sys"
import { describe, expect, it } from "vitest"
import { Relay } from "../../src/vhost-vsock/relay.ts"

const BOUNCE = 64 * 1024

function socketPair(): readonly [number, number] {
  const pair = new Int32Array(2)
  check(sys.socketPair(sys.AF_UNIX, sys.SOCK_STREAM | sys.SOCK_NONBLOCK, pair), "socketpair")
  return [pair[0] ?? -1, pair[1] ?? -1]
}

function open() {
  const loop = new Loop()
  const scratch = new Scratch(2 * BOUNCE)
  const own = scratch.region("own", BOUNCE)
  const [guest, inGuest] = socketPair()
  const [host, inHost] = socketPair()
  const moved = { toGuest: 0, toHost: 0 }
  const left = new Set([inGuest, inHost])
  let ended = false
  const relay = new Relay({
    scope: loop.root,
    guest,
    host,
    bounce: scratch.region("bounce", BOUNCE),
    onBytes: (direction, bytes) => {
      moved[direction] += bytes
    },
    onEnd: () => {
      ended = true
    },
  })
  const settle = (): void => {
    for (let step = 0; step < 8; step++) loop.step()
  }
  return {
    relay,
    moved,
    inGuest,
    inHost,
    settle,
    get ended() {
      return ended
    },
    /** As much as the socket takes. */
    fill: (fd: number, bytes: Buffer): number => {
      let sent = 0
      while (sent < bytes.length) {
        const part = bytes.subarray(sent, sent + BOUNCE)
        own.bytes.set(part)
        const n = sys.send(fd, own.address, part.length, sys.MSG_DONTWAIT)
        if (n < 0) break
        sent += n
      }
      return sent
    },
    /** All there is now; undefined at the end. */
    take: (fd: number): Buffer | undefined => {
      const parts: Buffer[] = []
      for (;;) {
        const part = Buffer.alloc(BOUNCE)
        const n = sys.receive(fd, own.address, BOUNCE, sys.MSG_DONTWAIT)
        if (n <= 0) return n === 0 && parts.length === 0 ? undefined : Buffer.concat(parts)
        part.set(own.bytes.subarray(0, n))
        parts.push(part.subarray(0, n))
      }
    },
    close: (fd: number): void => {
      left.delete(fd)
      sys.close(fd)
    },
    [Symbol.dispose]: () => {
      for (const fd of left) sys.close(fd)
      loop[Symbol.dispose]()
      scratch[Symbol.dispose]()
    },
  }
}

describe("Relay", () => {
  it("keeps one buffer full at most for a reader that does not read, and nothing is lost", () => {
    using rig = open()
    const all = randomBytes(4 << 20)
    let sent = 0
    for (let round = 0; round < 50; round++) {
      sent += rig.fill(rig.inGuest, all.subarray(sent))
      rig.settle()
    }
    expect(sent).toBeLessThan(all.length)
    expect(rig.relay.toHost.held).toBeGreaterThan(0)
    expect(rig.relay.toHost.held).toBeLessThanOrEqual(BOUNCE)
    const got: Buffer[] = []
    for (let bytes = 0; bytes < all.length; ) {
      const part = rig.take(rig.inHost) ?? Buffer.alloc(0)
      got.push(part)
      bytes += part.length
      sent += rig.fill(rig.inGuest, all.subarray(sent))
      rig.settle()
    }
    expect(Buffer.concat(got).equals(all)).toBe(true)
    expect(rig.relay.toHost.held).toBe(0)
    expect(rig.moved).toEqual({ toGuest: 0, toHost: all.length })
  })

  it("passes on an end only behind the last byte that it keeps", () => {
    using rig = open()
    let sent = 0
    const all = randomBytes(1 << 20)
    for (let round = 0; round < 20; round++) {
      sent += rig.fill(rig.inHost, all.subarray(sent))
      rig.settle()
    }
    sys.shutdown(rig.inHost, sys.SHUT_WR)
    rig.settle()
    expect(rig.relay.toGuest.held).toBeGreaterThan(0)
    const got: Buffer[] = []
    for (let part = rig.take(rig.inGuest); part !== undefined; part = rig.take(rig.inGuest)) {
      got.push(part)
      rig.settle()
    }
    expect(Buffer.concat(got).equals(all.subarray(0, sent))).toBe(true)
    expect(rig.relay.toGuest.state).toBe("over")
    expect(rig.relay.toHost.state).toBe("open")
    expect(rig.ended).toBe(false)
  })

  it("ends when both ways are over, and closes both sockets", () => {
    using rig = open()
    sys.shutdown(rig.inHost, sys.SHUT_WR)
    rig.settle()
    expect(rig.take(rig.inGuest)).toBeUndefined()
    sys.shutdown(rig.inGuest, sys.SHUT_WR)
    rig.settle()
    expect(rig.ended).toBe(true)
    expect(readSync(rig.inHost, Buffer.alloc(1))).toBe(0)
  })

  it("closes the client of a guest that closed, without a byte from the client", () => {
    using rig = open()
    rig.fill(rig.inGuest, Buffer.from("last words"))
    rig.close(rig.inGuest)
    rig.settle()
    expect(String(rig.take(rig.inHost))).toBe("last words")
    expect(rig.take(rig.inHost)).toBeUndefined()
    expect(rig.ended).toBe(true)
  })

  it("tells the guest of a client that takes no more, and still carries what the client says", () => {
    using rig = open()
    sys.shutdown(rig.inHost, sys.SHUT_RD)
    rig.fill(rig.inGuest, Buffer.from("to nobody"))
    rig.settle()
    expect(rig.relay.toHost.state).toBe("over")
    expect(rig.fill(rig.inGuest, Buffer.from("again"))).toBe(0)
    rig.fill(rig.inHost, Buffer.from("an order"))
    rig.settle()
    expect(String(rig.take(rig.inGuest))).toBe("an order")
    expect(rig.ended).toBe(false)
  })

  it("tells the guest of a client that closed and left bytes unread", () => {
    using rig = open()
    rig.fill(rig.inGuest, Buffer.from("unread"))
    rig.settle()
    rig.close(rig.inHost)
    rig.settle()
    expect(rig.take(rig.inGuest)).toBeUndefined()
    expect(rig.ended).toBe(true)
  })
})
