/**
 * A stream link on one end of a socket pair, and the machine on the other, byte by byte.
 *
 * @module
 */
import { Loop } from "@skep/loop"
import { Scratch } from "@skep/loop/memory"
import * as sys from "@skep/loop/sys"
import { expect } from "vitest"
import { LoopStreamIo, type StreamEnd, StreamLink, type StreamReason, SystemMemory } from "../../src/index.ts"
import { Recorder } from "../recorder.ts"

const MIB = 1024 * 1024
/** More than any test here takes; no step waits. */
const STEPS = 20_000

export class Peer {
  readonly fd: number
  readonly #scratch = new Scratch(MIB)
  readonly #region = this.#scratch.region("peer", MIB)
  #received = Buffer.alloc(0)

  constructor(fd: number) {
    this.fd = fd
  }

  write(bytes: Uint8Array): number {
    this.#region.bytes.set(bytes)
    return sys.send(this.fd, this.#region.address, bytes.length, sys.MSG_DONTWAIT)
  }

  /** Reads what is there, at most `most` bytes. False at the end. */
  read(most: number = MIB): boolean {
    const got = sys.receive(this.fd, this.#region.address, most, sys.MSG_DONTWAIT)
    if (got > 0) this.#received = Buffer.concat([this.#received, this.#region.bytes.subarray(0, got)])
    return got !== 0
  }

  /** The frames among the bytes that came. */
  get frames(): Buffer[] {
    const bytes = this.#received
    const frames: Buffer[] = []
    for (let at = 0; at + 4 <= bytes.length; at += 4 + bytes.readUInt32BE(at))
      frames.push(bytes.subarray(at + 4, at + 4 + bytes.readUInt32BE(at)))
    return frames
  }

  hangUp(): void {
    sys.shutdown(this.fd, sys.SHUT_RDWR)
  }

  [Symbol.dispose](): void {
    sys.close(this.fd)
    this.#scratch[Symbol.dispose]()
  }
}

export interface Rig extends Disposable {
  readonly loop: Loop
  readonly memory: SystemMemory
  readonly link: StreamLink
  readonly recorder: Recorder
  readonly reasons: readonly StreamReason[]
  until(done: () => boolean): void
}

export function rig(end: StreamEnd, mtu = 1500, clock?: { now: () => number }): Rig {
  const loop = new Loop(clock === undefined ? {} : { clock })
  const memory = new SystemMemory({ heapBytes: 8 * MIB })
  const reasons: StreamReason[] = []
  const onEnd = (reason: StreamReason): void => void reasons.push(reason)
  const link = new StreamLink({
    name: "stream",
    memory,
    mtu,
    onEnd,
    io: new LoopStreamIo({ scope: loop.root, memory, end }),
  })
  const recorder = new Recorder(link)
  link.start()
  return {
    loop,
    memory,
    link,
    recorder,
    reasons,
    until: (done) => {
      for (let step = 0; step < STEPS && !done(); step++) loop.step()
      expect(done()).toBe(true)
    },
    [Symbol.dispose]: () => {
      link[Symbol.dispose]()
      loop[Symbol.dispose]()
      memory[Symbol.dispose]()
    },
  }
}

export function connected(mtu?: number): Rig & { readonly peer: Peer } {
  const pair = new Int32Array(2)
  sys.check(sys.socketPair(sys.AF_UNIX, sys.SOCK_STREAM, pair), "socketpair")
  const [ours = -1, theirs = -1] = pair
  const peer = new Peer(theirs)
  const all = rig({ fd: ours }, mtu)
  return {
    ...all,
    peer,
    [Symbol.dispose]: () => {
      all[Symbol.dispose]()
      peer[Symbol.dispose]()
    },
  }
}

export function framed(frame: Uint8Array): Buffer {
  const length = Buffer.alloc(4)
  length.writeUInt32BE(frame.length)
  return Buffer.concat([length, frame])
}

export function frameOf(length: number, value: number): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => index * 7 + value)
}
