/**
 * A keeper between a fake QEMU and back ends that come and go, all on one loop whose clock the test moves.
 *
 * @module
 */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { DriverRing, FrontEnd, GuestRam, type GuestRamOptions } from "@skep/fake-qemu"
import { check, Loop } from "@skep/loop"
import * as sys from "@skep/loop/sys"
import { expect } from "vitest"
import { connectUnix, type Device, Keeper, listenUnix, Server } from "../src/index.ts"
import { EchoDevice } from "./echo-device.ts"

const STEPS = 16
/** A step takes so long. */
const STEP_MS = 5

export interface KeeperRigOptions {
  /** Who listens at the front: the keeper unless told. */
  readonly listens?: "keeper" | "qemu"
  readonly ram?: GuestRamOptions
}

export function openKeeper({ listens = "keeper", ram: ramOptions }: KeeperRigOptions = {}) {
  let now = 0
  const loop = new Loop({ clock: { now: () => now } })
  /** The back ends' own, so that they can be made to sleep. */
  const backLoop = new Loop({ clock: { now: () => now } })
  let asleep = false
  const directory = mkdtempSync(join(tmpdir(), "skep-keeper-"))
  const path = join(directory, "back.sock")
  const frontPath = join(directory, "front.sock")
  const ram = new GuestRam(ramOptions)
  const ring = new DriverRing(ram, { size: 16 })
  const device = new EchoDevice()
  const states: string[] = []
  const settle = (): void => {
    for (let step = 0; step < STEPS; step++) {
      now += STEP_MS
      loop.step()
      if (!asleep) backLoop.step()
    }
  }
  const listening = listens === "qemu" ? listenUnix(frontPath) : -1
  const keeper = new Keeper(loop, {
    name: "test",
    front: listens === "qemu" ? { connect: () => connectUnix(frontPath) } : { listen: listenUnix(frontPath) },
    connect: () => connectUnix(path),
    onState: (state, reason) => states.push(`${state}: ${reason}`),
  })
  /** Another QEMU: it connects, or takes the keeper's next connect. */
  const newFront = (): FrontEnd => {
    if (listens === "keeper") {
      return new FrontEnd({ fd: check(connectUnix(frontPath), "connect"), ram, turn: settle })
    }
    // The longest wait between two attempts.
    now += 1000
    settle()
    return new FrontEnd({ fd: check(sys.accept(listening, sys.SOCK_NONBLOCK), "accept4"), ram, turn: settle })
  }
  const fronts: FrontEnd[] = []
  const anotherFront = (): FrontEnd => {
    const front = newFront()
    fronts.push(front)
    return front
  }
  const front = anotherFront()
  let server: Server | undefined
  return {
    keeper,
    front,
    anotherFront,
    /** Closes a front end's socket, as the end of its process does. */
    hangUp: (one: FrontEnd): void => {
      fronts.splice(fronts.indexOf(one), 1)
      one[Symbol.dispose]()
      settle()
    },
    ram,
    ring,
    device,
    states,
    settle,
    now: () => now,
    listen: () => listenUnix(path),
    /** Later, as for timers. */
    wait: (ms: number): void => {
      now += ms
      settle()
    },
    startBackEnd: (other: Device = device): void => {
      server = new Server(backLoop, { device: other, fd: listenUnix(path) })
      settle()
    },
    /** Stops the back end as SIGSTOP does, or lets it go on. */
    sleepBackEnd: (on: boolean): void => {
      asleep = on
      settle()
    },
    killBackEnd: (): void => {
      server?.[Symbol.dispose]()
      server = undefined
      rmSync(path)
      settle()
    },
    [Symbol.dispose]: () => {
      for (const one of fronts) one[Symbol.dispose]()
      loop[Symbol.dispose]()
      backLoop[Symbol.dispose]()
      if (listening >= 0) sys.close(listening)
      ring[Symbol.dispose]()
      ram[Symbol.dispose]()
      device[Symbol.dispose]()
      rmSync(directory, { recursive: true, force: true })
    },
  }
}

export type KeeperRig = ReturnType<typeof openKeeper>

/** Offers a text to the device. Returns how to read what came back. */
export function offer({ ram, ring }: KeeperRig, text: string) {
  const from = ram.allocate(text.length)
  const to = ram.allocate(text.length)
  ram.bytes(from, text.length).set(Buffer.from(text))
  const head = ring.offer([
    { address: from, length: text.length },
    { address: to, length: text.length, writable: true },
  ])
  ring.kick()
  return { head, text: () => Buffer.from(ram.bytes(to, text.length)).toString() }
}

/** Sends a text through the device and returns what came back, once. */
export function echo(rig: KeeperRig, text: string): string {
  const offered = offer(rig, text)
  rig.settle()
  expect(rig.ring.collect().map(({ head }) => head)).toEqual([offered.head])
  return offered.text()
}
