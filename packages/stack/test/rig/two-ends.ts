/**
 * Two cores that talk to each other over an impaired cable: "a" answers as the gateway does, "b" calls in a machine's place.
 *
 * @module
 */
import { createHash } from "node:crypto"
import type { Frame, Outlet } from "@skep/link"
import * as ethernet from "@skep/wire/ethernet"
import * as ip from "@skep/wire/ip"
import type { Ends } from "../../src/flow/ends.ts"
import { TcpFlows } from "../../src/flow/tcp-flows.ts"
import type { StreamEvents } from "../../src/host/host.ts"
import { FlatMemory } from "./flat-memory.ts"
import { type CableEnd, type Impairment, impairedCable } from "./impaired-cable.ts"
import { MemoryStream } from "./memory-stream.ts"
import { VirtualClock } from "./virtual-clock.ts"

const MAC_A = 0x5a94ef000001
const MAC_B = 0x5a94ef000002

export interface TwoEndsOptions {
  readonly seed?: number
  readonly mtu?: number
  readonly v6?: boolean
  readonly impairment?: Impairment
  readonly queue?: number
  /** What each end says to the other. */
  readonly fromA?: Uint8Array
  readonly fromB?: Uint8Array
  readonly roomA?: number
  readonly capacity?: number
  readonly offload?: boolean
}

/** A small generator (mulberry32): the same seed, the same run. */
export function randomOf(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

export function noise(length: number, seed: number): Uint8Array {
  const random = randomOf(seed)
  const bytes = new Uint8Array(length)
  for (let at = 0; at < length; at++) bytes[at] = random() * 256
  return bytes
}

export class TwoEnds {
  readonly clock = new VirtualClock()
  readonly memory = new FlatMemory(96 << 20)
  readonly cable: readonly [CableEnd, CableEnd]
  readonly a: TcpFlows
  readonly b: TcpFlows
  readonly streamA: MemoryStream
  readonly streamB: MemoryStream
  readonly trace: string[] = []
  readonly frames: Uint8Array[] = []
  /** What the other end's ICMP would have said. */
  readonly unreachable: number[] = []

  constructor(options: TwoEndsOptions = {}) {
    const random = randomOf(options.seed ?? 1)
    const { clock, memory } = this
    const offloads = {
      checksum: options.offload === true,
      tcp4: options.offload === true,
      tcp6: options.offload === true,
    }
    this.cable = impairedCable({
      clock,
      memory,
      random,
      mtu: options.mtu ?? 1500,
      offloads,
      ...(options.impairment === undefined ? {} : { impairment: options.impairment }),
      ...(options.queue === undefined ? {} : { queue: options.queue }),
    })
    const later = (callback: () => void): void => clock.after(0.001, callback)
    this.streamA = new MemoryStream({
      memory,
      later,
      says: options.fromA ?? new Uint8Array(0),
      ...(options.roomA === undefined ? {} : { room: options.roomA }),
    })
    this.streamB = new MemoryStream({ memory, later, says: options.fromB ?? new Uint8Array(0) })
    this.a = this.#flows(this.cable[0], MAC_A, random, options.capacity)
    this.b = this.#flows(this.cable[1], MAC_B, random, options.capacity)
    const guest = addressOf(1, options.v6 === true)
    const other = addressOf(2, options.v6 === true)
    const ends: Ends = { guestMac: MAC_A, gatewayMac: MAC_B, guest, guestPort: 80, other, otherPort: 40_000 }
    this.b.call(this.cable[1], ends, (flow) => this.#attach(this.streamB, flow))
    this.b.settle()
  }

  /** Runs until nothing is due, or until so much virtual time has gone by. Returns the time. */
  run(untilMs = 600_000): number {
    for (let steps = 0; steps < 2_000_000; steps++) {
      if (!this.clock.step(untilMs)) break
      this.a.settle()
      this.b.settle()
      if (this.a.table.size === 0 && this.b.table.size === 0) break
    }
    return this.clock.now()
  }

  #attach(stream: MemoryStream, events: StreamEvents): MemoryStream {
    stream.events = events
    stream.onMore()
    return stream
  }

  #flows(link: CableEnd, mac: number, random: () => number, capacity?: number): TcpFlows {
    const flows = new TcpFlows({
      host: { connect: (_to, events) => this.#attach(this.streamA, events) },
      clock: this.clock,
      random32: () => Math.floor(random() * 2 ** 32),
      route: () => ({ address: Uint8Array.of(127, 0, 0, 1), port: 80 }),
      unreachable: (_link: Outlet, _packet: Uint8Array, errno: number) => this.unreachable.push(errno),
      trace: (text) => this.trace.push(`${link.name} ${text}`),
      ...(capacity === undefined ? {} : { capacity }),
    })
    const ethernetView = ethernet.view()
    const view = ip.ipView()
    link.receiver = {
      onFrame: (frame: Frame) => {
        const header = ethernet.parse(frame.bytes, 0, frame.head, frame.length, ethernetView)
        if (typeof header === "string" || header.destination !== mac) return
        const packet = ip.parse(frame.bytes, ethernet.HEADER, frame.head, frame.length, view)
        if (typeof packet === "string" || packet.protocol !== ip.PROTOCOL_TCP) return
        flows.onPacket(link, frame, packet, header.source, header.destination)
      },
      onSettle: () => void flows.settle(),
      onRoom: () => flows.onRoom(link),
      onCarrier: () => undefined,
    }
    return flows
  }
}

export function digest(parts: readonly Uint8Array[]): string {
  const hash = createHash("sha256")
  for (const part of parts) hash.update(part)
  return hash.digest("hex")
}

function addressOf(last: number, v6: boolean): Uint8Array {
  if (!v6) return Uint8Array.of(192, 168, 64, last)
  const address = new Uint8Array(16)
  address[0] = 0xfd
  address[15] = last
  return address
}
