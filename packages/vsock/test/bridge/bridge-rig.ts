/**
 * A bridge with all its sockets, a fake QEMU and a guest, on one thread and a clock of the test. Clients are plain descriptors.
 *
 * @module
 */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { DriverRing, FrontEnd, GuestRam } from "@skep/fake-qemu"
import { check, Loop } from "@skep/loop"
import { Scratch } from "@skep/loop/memory"
import * as sys from "@skep/loop/sys"
import { connectUnix, listenUnix, Server } from "@skep/vhost-user"
import { connectPath, hyperkitGreeting, servicePath } from "@skep/vsock-host/dialect"
import { Bridge } from "../../src/bridge/bridge.ts"
import { parseVsockOptions } from "../../src/options.ts"
import { CID, RingGuest } from "./ring-guest.ts"

const ROUNDS = 6
const ROOM = 65_536

export interface Machine extends Disposable {
  readonly guest: RingGuest
  /** Writes garbage where the rings are. */
  breakRings(): void
  /** Another connection for the same guest and the same rings, which go on, as a keeper makes it. */
  reconnect(): void
}

export function openBridge(options: object = {}) {
  let now = 0
  const directory = mkdtempSync(join(tmpdir(), "skep-bridge-"))
  const parsed = parseVsockOptions(
    { guestCid: CID, socket: join(directory, "s"), directory: join(directory, "v"), ...options },
    "linux",
  )
  const loop = new Loop({ clock: { now: () => now } })
  const bridge = new Bridge(loop.scope("vsock"), parsed)
  const server = new Server(loop, { device: bridge.device, fd: listenUnix(parsed.socket) })
  const scratch = new Scratch(ROOM)
  const room = scratch.region("room", ROOM)
  const machines: Machine[] = []
  const clients = new Set<number>()

  const settle = (rounds = ROUNDS): void => {
    for (let round = 0; round < rounds; round++) {
      for (let step = 0; step < 4; step++) loop.step()
      for (const { guest } of machines) guest.poll()
    }
  }
  const rig = {
    bridge,
    server,
    settle,
    wait: (ms: number): void => {
      now += ms
      settle()
    },
    /** A QEMU with its guest, started. */
    machine: (): Machine => {
      const ram = new GuestRam({ sizes: [1 << 20, 8 << 20] })
      const rings = [new DriverRing(ram, { size: 256 }), new DriverRing(ram, { size: 256 })] as const
      const connect = (): FrontEnd => {
        const fd = check(connectUnix(parsed.socket), "connect")
        return new FrontEnd({ fd, ram, turn: () => loop.step() })
      }
      let front = connect()
      const machine: Machine = {
        guest: new RingGuest(ram, rings),
        breakRings: () => {
          for (const ring of rings) {
            ring.setAvailableIndex(12_345)
            ring.kickAnyway()
          }
        },
        reconnect: () => {
          front[Symbol.dispose]()
          settle()
          front = connect()
          front.start(rings, { bases: rings.map((ring) => ram.view(ring.used, 4).getUint16(2, true)) })
          settle()
        },
        [Symbol.dispose]: () => {
          if (!machines.includes(machine)) return
          machines.splice(machines.indexOf(machine), 1)
          front[Symbol.dispose]()
          for (const ring of rings) ring[Symbol.dispose]()
          ram[Symbol.dispose]()
        },
      }
      machines.push(machine)
      front.start(rings)
      settle()
      return machine
    },
    /** A client of the HyperKit socket; says what it is told to say first. */
    dial: (greeting = ""): number => {
      const fd = check(connectUnix(connectPath(join(directory, "v"))), "connect")
      clients.add(fd)
      if (greeting !== "") rig.write(fd, Buffer.from(greeting))
      return fd
    },
    /** One who greets, settled. */
    reach: (port: number): number => {
      const fd = rig.dial(hyperkitGreeting(CID, port))
      settle()
      return fd
    },
    /** A service of the host that listens on a port. */
    serve: (port: number): number => {
      const fd = listenUnix(servicePath(join(directory, "v"), port))
      clients.add(fd)
      return fd
    },
    accept: (fd: number): number => {
      const client = check(sys.accept(fd, sys.SOCK_NONBLOCK), "accept4")
      clients.add(client)
      return client
    },
    /** Everybody who waits for a service. */
    acceptAll: (fd: number): readonly number[] => {
      const came: number[] = []
      for (
        let next = sys.accept(fd, sys.SOCK_NONBLOCK);
        next >= 0;
        next = sys.accept(fd, sys.SOCK_NONBLOCK)
      ) {
        came.push(next)
        clients.add(next)
      }
      return came
    },
    /** How many bytes it took. */
    write: (fd: number, data: Uint8Array): number => {
      room.bytes.set(data)
      const sent = sys.send(fd, room.address, data.length, sys.MSG_DONTWAIT)
      return sent === -sys.EAGAIN ? 0 : sent
    },
    /** What there is, "" where there is nothing yet, undefined at the end. */
    read: (fd: number): string | undefined => {
      const got = sys.receive(fd, room.address, ROOM, sys.MSG_DONTWAIT)
      if (got === -sys.EAGAIN) return ""
      return got <= 0 ? undefined : Buffer.from(room.bytes.subarray(0, got)).toString("latin1")
    },
    /** Says something and expects it back. */
    echo: (fd: number, text: string): string | undefined => {
      rig.write(fd, Buffer.from(text))
      settle()
      return rig.read(fd)
    },
    hangUp: (fd: number): void => {
      clients.delete(fd)
      sys.close(fd)
    },
    [Symbol.dispose]: () => {
      for (const machine of machines.toReversed()) machine[Symbol.dispose]()
      for (const fd of clients) sys.close(fd)
      loop[Symbol.dispose]()
      scratch[Symbol.dispose]()
      rmSync(directory, { recursive: true, force: true })
    },
  }
  return rig
}
