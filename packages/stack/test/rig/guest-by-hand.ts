/**
 * A machine whose segments are written one by one, before the flows of a gateway: what is said, what is heard, in virtual time.
 *
 * @module
 */
import { type Frame, type Outlet, Parts } from "@skep/link"
import * as ethernet from "@skep/wire/ethernet"
import * as ip from "@skep/wire/ip"
import * as tcp from "@skep/wire/tcp"
import type { Ends } from "../../src/flow/ends.ts"
import { TcpFlows, type TcpFlowsOptions } from "../../src/flow/tcp-flows.ts"
import { TcpHeaders } from "../../src/flow/tcp-headers.ts"
import { ACK, FIN, PSH, RST, SYN } from "../../src/tcp/connection.ts"
import type { Range } from "../../src/tcp/ranges.ts"
import { FlatMemory } from "./flat-memory.ts"
import { type CableEnd, impairedCable } from "./impaired-cable.ts"
import { MemoryStream } from "./memory-stream.ts"
import { randomOf } from "./two-ends.ts"
import { VirtualClock } from "./virtual-clock.ts"

const GATEWAY_MAC = 0x5a94ef000001
const GUEST_MAC = 0x5a94ef000002
const PAYLOAD_MOST = 65_536
/** Longer than an acknowledgement waits for data. */
const ANSWER_MS = 2

export interface Said {
  readonly flags: number
  /** Relative to the guest's first sequence number. */
  readonly sequence?: number
  /** Relative to the gateway's. */
  readonly acknowledgement?: number
  readonly window?: number
  readonly data?: Uint8Array
  readonly sacks?: readonly Range[]
  readonly mss?: number
  readonly port?: number
}

/** A segment of the gateway; numbers are relative as above. */
export interface Heard {
  readonly atMs: number
  readonly flags: string
  readonly sequence: number
  readonly acknowledgement: number
  readonly window: number
  readonly length: number
  readonly sacks: readonly (readonly [number, number])[]
}

/** The guest's first sequence number: so near the end that it wraps soon. */
export const FIRST = 0xffff_fff0

export class GuestByHand {
  readonly clock = new VirtualClock()
  readonly memory = new FlatMemory(32 << 20)
  readonly flows: TcpFlows
  readonly stream: MemoryStream
  /** What was heard since the last `take`. */
  readonly heard: Heard[] = []
  readonly unreachable: number[] = []
  readonly states: string[] = []
  /** The gateway's first sequence number, known from its SYN. */
  first = 0
  readonly #cable: readonly [CableEnd, CableEnd]
  readonly #payload: number

  constructor(
    options: Partial<TcpFlowsOptions> & { says?: Uint8Array; stays?: boolean; room?: number } = {},
  ) {
    const { says = new Uint8Array(0), stays = true, room, ...rest } = options
    const { clock, memory } = this
    this.#cable = impairedCable({ clock, memory, random: randomOf(1), mtu: 1500 })
    this.#payload = memory.allocate(PAYLOAD_MOST)
    this.stream = new MemoryStream({
      memory,
      says,
      stays,
      later: (callback) => clock.after(0.001, callback),
      ...(room === undefined ? {} : { room }),
    })
    this.flows = new TcpFlows({
      host: {
        connect: (_to, events) => {
          this.stream.events = events
          this.stream.onMore()
          return this.stream
        },
      },
      clock,
      random32: () => 0x7fff_fff0,
      route: () => ({ address: Uint8Array.of(127, 0, 0, 1), port: 80 }),
      unreachable: (_link: Outlet, _packet: Uint8Array, errno: number) => this.unreachable.push(errno),
      trace: (text) => this.states.push(text.split(" ").slice(2).join(" ")),
      ...rest,
    })
    this.#listen()
  }

  get link(): Outlet {
    return this.#cable[0]
  }

  /** Sends a segment and lets the gateway answer within so much time. */
  say(said: Said, ms = ANSWER_MS): void {
    const {
      flags,
      sequence = 1,
      acknowledgement = 1,
      window = 65_535,
      data,
      sacks,
      mss,
      port = 40_000,
    } = said
    const headers = new TcpHeaders(endsOf(port))
    const acks = (flags & ACK) !== 0
    const fields = {
      sequence: (FIRST + sequence) >>> 0,
      acknowledgement: acks ? (this.first + acknowledgement) >>> 0 : 0,
      flags,
      window,
    }
    if ((flags & SYN) === 0)
      headers.put(
        fields,
        sacks?.map((range) => this.#absolute(range)),
      )
    else headers.putSyn(fields, { mss: mss ?? 1460, scale: -1, sack: true })
    const payload = new Parts()
    if (data !== undefined) {
      this.memory.write(data, 0, data.length, this.#payload)
      payload.push(this.#payload, data.length)
    }
    const link = this.#cable[1]
    headers.finish(link, PAYLOAD_MOST, payload.bytes, payload)
    link.send(headers.bytes, 0, headers.length, payload)
    this.pass(ms)
  }

  /** The three segments of a handshake. Returns what was heard after them. */
  handshake(window = 65_535): Heard[] {
    this.say({ flags: SYN, sequence: 0 })
    this.take()
    this.say({ flags: ACK, window })
    return this.take()
  }

  /** Lets so much time go by. */
  pass(ms: number): void {
    const until = this.clock.now() + ms
    this.flows.settle()
    while (this.clock.step(until)) this.flows.settle()
    this.clock.rest(until)
  }

  take(): Heard[] {
    return this.heard.splice(0)
  }

  /** Ends everything. Returns what was not given back. */
  close(): number {
    this.flows.stop()
    this.memory.free(this.#payload, PAYLOAD_MOST)
    for (const end of this.#cable) end[Symbol.dispose]()
    return this.memory.inUse
  }

  #absolute({ start, end }: Range): Range {
    return { start: (this.first + start) >>> 0, end: (this.first + end) >>> 0 }
  }

  #listen(): void {
    const [a, b] = this.#cable
    const view = ip.ipView()
    const nothing = { onSettle: () => {}, onRoom: () => {}, onCarrier: () => {} }
    const parsed = (frame: Frame): boolean =>
      typeof ip.parse(frame.bytes, ethernet.HEADER, frame.head, frame.length, view) !== "string"
    a.receiver = {
      ...nothing,
      onFrame: (frame) => {
        if (parsed(frame)) this.flows.onPacket(a, frame, view, GUEST_MAC, GATEWAY_MAC)
      },
      onSettle: () => void this.flows.settle(),
      onRoom: () => this.flows.onRoom(a),
    }
    b.receiver = {
      ...nothing,
      onFrame: (frame) => {
        if (!parsed(frame)) throw new Error("the gateway has sent no packet")
        this.#hear(frame, view)
      },
    }
  }

  #hear(frame: Frame, view: ip.IpView): void {
    const segment = tcp.parse(frame.bytes, view.payloadAt, frame.head, view.payloadEnd, tcp.view())
    if (typeof segment === "string") throw new Error(`the gateway has sent a segment that is ${segment}`)
    const { flags, sequence, acknowledgement, window, sackCount, sackLeft, sackRight } = segment
    if ((flags & SYN) !== 0) this.first = sequence
    const toGuest = (number: number) => (number - FIRST) | 0
    this.heard.push({
      atMs: Math.round(this.clock.now()),
      flags: nameOf(flags),
      sequence: (sequence - this.first) | 0,
      acknowledgement: (flags & ACK) === 0 ? 0 : toGuest(acknowledgement),
      window,
      length: segment.payloadEnd - segment.payloadAt,
      sacks: Array.from({ length: sackCount }, (_, index) => [
        toGuest(sackLeft[index] ?? 0),
        toGuest(sackRight[index] ?? 0),
      ]),
    })
  }
}

const NAMES = [
  [SYN, "syn"],
  [FIN, "fin"],
  [RST, "rst"],
  [PSH, "psh"],
  [ACK, "ack"],
] as const

function nameOf(flags: number): string {
  return NAMES.filter(([flag]) => (flags & flag) !== 0)
    .map(([, name]) => name)
    .join(" ")
}

/** As `TcpHeaders` wants them, from the guest's side: it sends in the name of `other`. */
function endsOf(port: number): Ends {
  return {
    guestMac: GATEWAY_MAC,
    gatewayMac: GUEST_MAC,
    guest: Uint8Array.of(10, 9, 8, 7),
    guestPort: 80,
    other: Uint8Array.of(192, 168, 64, 2),
    otherPort: port,
  }
}
