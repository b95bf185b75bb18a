/**
 * A link over vhost-user and a fake machine on one thread: each message of the front end is followed by steps of the loop.
 *
 * @module
 */
import { FrontEnd, GuestRam, type GuestRamOptions } from "@skep/fake-qemu"
import { check, Loop } from "@skep/loop"
import * as sys from "@skep/loop/sys"
import { Connection, features } from "@skep/vhost-user"
import type { Frame, Offload, Receiver } from "../../src/index.ts"
import { VhostNetLink, type VhostNetOptions } from "../../src/vhost-net/index.ts"
import { Driver, type DriverOptions } from "./driver.ts"
import { FileMemory } from "./file-memory.ts"

const STEPS = 4

/** A frame as it came, with all that a view of it loses. */
export interface Seen {
  readonly bytes: Uint8Array
  /** What could be read in JavaScript. */
  readonly head: Uint8Array
  readonly offload: Offload
  readonly trusted: boolean
  readonly parts: number
}

export interface RigOptions {
  readonly driver?: DriverOptions
  readonly ram?: GuestRamOptions
  readonly link?: Partial<Pick<VhostNetOptions, "mtu" | "pairs" | "turn">>
  /** Features that the driver does not take. */
  readonly without?: bigint
  /** Leaves the rings as they are. */
  readonly idle?: boolean
}

/** Keeps what it is told, in order. */
export class Recorder implements Receiver {
  readonly frames: Seen[] = []
  readonly told: string[] = []
  /** What to do when there is room. */
  whenRoom: () => void = () => undefined
  whenFrame: (frame: Frame) => void = () => undefined
  readonly #memory: FileMemory

  constructor(memory: FileMemory) {
    this.#memory = memory
  }

  onFrame(frame: Frame): void {
    this.told.push("frame")
    const { parts, bytes, at, head, offload, trusted } = frame
    const whole = new Uint8Array(frame.length)
    let done = 0
    for (let index = 0; index < parts.count; index++) {
      this.#memory.read(parts.addressAt(index), parts.lengthAt(index), whole, done)
      done += parts.lengthAt(index)
    }
    if (done !== frame.length || parts.bytes !== done) throw new Error("the parts are not the frame")
    this.frames.push({
      bytes: whole,
      head: bytes.slice(at, at + head),
      offload: { ...offload },
      trusted,
      parts: parts.count,
    })
    this.whenFrame(frame)
  }

  onSettle(): void {
    this.told.push("settle")
  }

  onRoom(): void {
    this.told.push("room")
    this.whenRoom()
  }

  onCarrier(up: boolean): void {
    this.told.push(up ? "up" : "down")
  }
}

export function openNet(options: RigOptions = {}) {
  const loop = new Loop()
  const ram = new GuestRam({ sizes: [1 << 20, 48 << 20], ...options.ram })
  const without = options.without ?? 0n
  const driver = new Driver(ram, {
    eventIndex: (without & features.VIRTIO_RING_F_EVENT_IDX) === 0n,
    ...options.driver,
  })
  const memory = new FileMemory()
  const link = new VhostNetLink({ name: "net", scope: loop.root, memory, ...options.link })
  const receiver = new Recorder(memory)
  link.receiver = receiver
  link.start()
  const settle = (): void => {
    for (let step = 0; step < STEPS; step++) loop.step()
  }
  const events: string[] = []
  const connect = () => {
    const pair = new Int32Array(2)
    check(sys.socketPair(sys.AF_UNIX, sys.SOCK_STREAM, pair), "socketpair")
    const connection = new Connection({
      fd: pair[0] ?? -1,
      device: link,
      scope: loop.root,
      onEnd: (reason) => events.push(reason),
      onBroken: (queue, why) => events.push(`queue ${queue.index}: ${why}`),
    })
    return { connection, front: new FrontEnd({ fd: pair[1] ?? -1, ram, turn: settle }) }
  }
  const { connection, front } = connect()
  if (options.idle !== true) front.start(driver.rings, { without })
  return {
    loop,
    ram,
    driver,
    memory,
    link,
    receiver,
    connection,
    front,
    connect,
    events,
    settle,
    /** Kicks the transmit queue if the device wants that, and lets it work. */
    transmit: (): boolean => {
      const kicked = driver.tx.kick()
      settle()
      return kicked
    },
    /** The same for buffers to receive into. */
    refill: (): boolean => {
      const kicked = driver.rx.kick()
      settle()
      return kicked
    },
    [Symbol.dispose]: () => {
      front[Symbol.dispose]()
      connection[Symbol.dispose]()
      link[Symbol.dispose]()
      driver[Symbol.dispose]()
      loop[Symbol.dispose]()
      ram[Symbol.dispose]()
      memory[Symbol.dispose]()
    },
  }
}

export type NetRig = ReturnType<typeof openNet>

/** Bytes that differ by place, so that none is mistaken for another. */
export function pattern(length: number, seed = 1): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => (index * 7 + (index >> 8) * 13 + seed * 31) & 0xff)
}
