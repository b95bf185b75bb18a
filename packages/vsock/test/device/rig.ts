/**
 * A `Streams` with a host side that notes what it is asked for, and hands for packets.
 *
 * @module
 */
import type { Connection } from "../../src/device/connection.ts"
import type { HostSide } from "../../src/device/host-side.ts"
import { HEADER, type Packet, packetView } from "../../src/device/packet.ts"
import { type StreamLimits, Streams, type StreamsOptions } from "../../src/device/streams.ts"
import { packetAt } from "./model/wire.ts"

export const CID = 3
export const GUEST_PORT = 1024
export const HOST_PORT = 7

const OPS = ["invalid", "request", "response", "rst", "shutdown", "rw", "credit-update", "credit-request"]

export class Rig {
  now = 1000
  /** `connect 7`, `close 7 reset` and so on, since last asked for. */
  readonly #host: string[] = []
  readonly streams: Streams
  /** Answers requests of the guest as they come. */
  answer: "accept" | "refuse" | "later" = "accept"
  last: Connection | undefined
  readonly #bytes = new Uint8Array(HEADER)

  constructor(limits: Partial<StreamLimits> = {}, options: Partial<StreamsOptions> = {}) {
    const note = (what: string) => (connection: Connection) => {
      this.#host.push(what)
      this.last = connection
    }
    const host: HostSide = {
      connect: (connection) => {
        note(`connect ${connection.hostPort}`)(connection)
        if (this.answer === "accept") connection.accept()
        if (this.answer === "refuse") connection.refuse()
      },
      opened: note("opened"),
      endWrites: note("endWrites"),
      endReads: note("endReads"),
      close: (_, end) => this.#host.push(`close ${end}`),
    }
    this.streams = new Streams({ guestCid: CID, host, now: () => this.now, limits, ...options })
  }

  /** What the host side was asked for since the last call. */
  host(): string {
    return this.#host.splice(0).join(", ")
  }

  /** A packet of the guest, from its GUEST_PORT to HOST_PORT unless told. */
  send(op: string, fields: Partial<Packet> = {}, carried = fields.len ?? 0): Connection | undefined {
    return this.streams.onPacket(
      {
        ...packetView(),
        srcCid: CID,
        dstCid: 2,
        srcPort: GUEST_PORT,
        dstPort: HOST_PORT,
        bufAlloc: 1000,
        op: OPS.indexOf(op),
        ...fields,
      },
      carried,
    )
  }

  /** The next packet for the guest, or what else there is to do. */
  take(): Packet | Connection | undefined {
    const turn = this.streams.next(this.#bytes, 0)
    return turn === "sent" ? packetAt(this.#bytes) : turn
  }

  /** All control packets that are due, by name; `shutdown` with its flags. */
  taken(): string {
    const names: string[] = []
    for (let turn = this.take(); turn !== undefined; turn = this.take()) {
      if (!("op" in turn)) {
        names.push(`data ${turn.writable}`)
        turn.onHostDrained()
      } else {
        names.push(turn.op === 4 ? `shutdown ${turn.flags}` : (OPS[turn.op] ?? "?"))
      }
    }
    return names.join(", ")
  }

  /** Reads `count` bytes of the host into a buffer of the guest. */
  read(connection: Connection, count: number): Packet {
    connection.onHostRead(count, this.#bytes, 0)
    return packetAt(this.#bytes)
  }

  /** A stream that the guest asked for, RESPONSE sent. */
  established(): Connection {
    this.send("request")
    this.taken()
    this.host()
    const connection = this.streams.connections().at(-1)
    if (connection === undefined) throw new Error("no stream")
    return connection
  }

  /** One that the host asks for. */
  connect(guestPort: number = GUEST_PORT): Connection {
    const connection = this.streams.connect(guestPort)
    if (connection === "over-limit") throw new Error(connection)
    return connection
  }

  /** A packet of the guest for `connection`. */
  reply(connection: Connection, op: string, fields: Partial<Packet> = {}): Connection | undefined {
    return this.send(op, { srcPort: connection.guestPort, dstPort: connection.hostPort, ...fields })
  }

  count(name: keyof ReturnType<Streams["counts"]>): number {
    return this.streams.counts()[name]
  }
}
