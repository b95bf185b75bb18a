/**
 * A back end and a fake QEMU on one thread: each message of the front end is followed by steps of the back end's loop.
 *
 * @module
 */

import { DriverRing, type DriverRingOptions, FrontEnd, GuestRam, type GuestRamOptions } from "@skep/fake-qemu"
import { check, Loop } from "@skep/loop"
import * as sys from "@skep/loop/sys"
import { Connection, type Device } from "../src/index.ts"

export interface Rig extends Disposable {
  readonly loop: Loop
  readonly ram: GuestRam
  readonly front: FrontEnd
  readonly rings: readonly DriverRing[]
  readonly connection: Connection
  /** Why queues broke and how the connection ended, in order. */
  readonly events: string[]
  /** Lets the back end work until it has nothing more to do. */
  settle(): void
}

export interface RigOptions {
  readonly ram?: GuestRamOptions
  readonly ring?: DriverRingOptions
}

const STEPS = 4

export function openRig(device: Device, options: RigOptions = {}): Rig {
  const loop = new Loop()
  const ram = new GuestRam(options.ram)
  const rings = Array.from({ length: device.queueCount }, () => new DriverRing(ram, options.ring))
  const pair = new Int32Array(2)
  check(sys.socketPair(sys.AF_UNIX, sys.SOCK_STREAM, pair), "socketpair")
  const events: string[] = []
  const connection = new Connection({
    fd: pair[0] ?? -1,
    device,
    scope: loop.root,
    onEnd: (reason) => events.push(reason),
    onBroken: (queue, why) => events.push(`queue ${queue.index}: ${why}`),
  })
  const settle = (): void => {
    for (let step = 0; step < STEPS; step++) loop.step()
  }
  const front = new FrontEnd({ fd: pair[1] ?? -1, ram, turn: settle })
  return {
    loop,
    ram,
    front,
    rings,
    connection,
    events,
    settle,
    [Symbol.dispose]: () => {
      front[Symbol.dispose]()
      connection[Symbol.dispose]()
      for (const ring of rings) ring[Symbol.dispose]()
      loop[Symbol.dispose]()
      ram[Symbol.dispose]()
    },
  }
}

/** The one ring of a device that has one. */
export function only(rig: Rig): DriverRing {
  const [ring] = rig.rings
  if (ring === undefined) throw new Error("the device has no queue")
  return ring
}
