/**
 * Machines on the stream that QEMU would speak: one that sends hostile frames, and one whose stream itself is wrong.
 *
 * @module
 */
import { once } from "node:events"
import { connect, type Socket } from "node:net"
import { setTimeout as delay } from "node:timers/promises"
import * as ethernet from "@skep/wire/ethernet"
import * as ip from "@skep/wire/ip"
import * as tcp from "@skep/wire/tcp"
import * as transport from "@skep/wire/transport"
import { HostileFrames, type Places, type Random, randomOf } from "./frames.ts"

const PREFIX = 4
const BURST = 200
const PAUSE_MS = 20
const STUCK_MS = 1000
/** Answers to tiny windows that wait to be sent. */
const ANSWERS_MOST = 1000

export interface HostileCounts {
  sent: number
  received: number
  connections: number
  /** Handshakes that were finished, with a window of one byte. */
  tinyWindows: number
}

/** Sends until `signal`, up to 10,000 frames a second, and answers a SYN of the gateway now and then so that windows of one byte stand. */
export async function sendHostileFrames(
  socket: string,
  options: { readonly seed: number; readonly places: Places; readonly signal: AbortSignal },
): Promise<HostileCounts> {
  const counts: HostileCounts = { sent: 0, received: 0, connections: 0, tinyWindows: 0 }
  const frames = new HostileFrames(options.seed, options.places)
  const answers: Uint8Array[] = []
  const isOver = (): boolean => options.signal.aborted
  while (!isOver()) {
    const stream = await opened(socket)
    counts.connections++
    read(stream, (frame) => {
      counts.received++
      const answer = answerOf(frame, options.places)
      if (answer !== undefined && answers.length < ANSWERS_MOST) answers.push(answer)
    })
    while (!isOver() && stream.writable) {
      counts.tinyWindows += answers.length
      const burst = [...answers.splice(0), ...Array.from({ length: BURST }, () => frames.next())]
      counts.sent += burst.length
      const has = stream.write(
        Buffer.concat(burst.filter(({ length }) => length >= ethernet.HEADER).map(framed)),
      )
      if (!has) await drained(stream)
      await delay(PAUSE_MS)
    }
    stream.destroy()
    await delay(PAUSE_MS)
  }
  return counts
}

/** Hangs up in the middle of a frame, gives lengths that cannot be, and comes back, until `signal`. */
export async function breakStream(socket: string, seed: number, signal: AbortSignal): Promise<number> {
  const random = randomOf(seed)
  let times = 0
  while (!signal.aborted) {
    const stream = await opened(socket)
    stream.resume()
    stream.write(brokenBytes(random))
    times++
    await delay(20 + random() * 100)
    if (random() < 0.5) stream.destroy()
    else stream.end()
    await delay(20)
    stream.destroy()
  }
  return times
}

function brokenBytes(random: Random): Uint8Array {
  const noise = Uint8Array.from({ length: Math.floor(random() * 3000) }, () => Math.floor(random() * 256))
  const prefix = Buffer.alloc(PREFIX)
  const how = random()
  if (how < 0.25) prefix.writeUInt32BE(0xffff_ffff)
  else if (how < 0.5) prefix.writeUInt32BE(70_000 + Math.floor(random() * 2 ** 30))
  else if (how < 0.75) prefix.writeUInt32BE(noise.length + 1 + Math.floor(random() * 1000))
  else return noise
  return Buffer.concat([prefix, noise])
}

function framed(frame: Uint8Array): Uint8Array {
  const bytes = Buffer.alloc(PREFIX + frame.length)
  bytes.writeUInt32BE(frame.length)
  bytes.set(frame, PREFIX)
  return bytes
}

/** A stream that stands, or has ended already: its backlog may be full of those before it, which is EAGAIN. */
async function opened(path: string): Promise<Socket> {
  const stream = connect(path)
  stream.on("error", () => stream.destroy())
  await new Promise<void>((resolve) => {
    stream.once("connect", () => resolve())
    stream.once("close", () => resolve())
  })
  return stream
}

/** Waits until the stream takes more, is gone, or has not moved for a second. */
async function drained(stream: Socket): Promise<void> {
  const over = new AbortController()
  const { signal } = over
  const event = async (name: string): Promise<unknown> =>
    await once(stream, name, { signal }).catch(() => undefined)
  await Promise.race([
    event("drain"),
    event("close"),
    delay(STUCK_MS, undefined, { signal }).catch(() => undefined),
  ])
  over.abort()
}

function read(stream: Socket, onFrame: (frame: Uint8Array) => void): void {
  let rest: Uint8Array = Buffer.alloc(0)
  stream.on("data", (chunk: Uint8Array) => {
    const bytes = rest.length === 0 ? Buffer.from(chunk) : Buffer.concat([rest, chunk])
    let at = 0
    while (at + PREFIX <= bytes.length) {
      const end = at + PREFIX + bytes.readUInt32BE(at)
      if (end > bytes.length) break
      onFrame(bytes.subarray(at + PREFIX, end))
      at = end
    }
    rest = bytes.subarray(at)
  })
}

/** Finishes the handshake with the port that sends for ever, with a window of one byte. */
function answerOf(frame: Uint8Array, places: Places): Uint8Array | undefined {
  const packet = ip.parse(frame, ethernet.HEADER, frame.length, frame.length, ip.ipView())
  if (typeof packet === "string" || packet.protocol !== ip.PROTOCOL_TCP || packet.version !== 4)
    return undefined
  const segment = tcp.parse(frame, packet.payloadAt, frame.length, packet.payloadEnd, tcp.view())
  if (typeof segment === "string" || segment.flags !== (tcp.SYN | tcp.ACK)) return undefined
  if (segment.source !== places.endlessPort) return undefined
  const bytes = new Uint8Array(ethernet.HEADER + 40)
  ethernet.emit(bytes, 0, places.gatewayMac, places.foeMac, ethernet.TYPE_IPV4)
  ip.emit(bytes, ethernet.HEADER, {
    source: frame.slice(packet.destinationAt, packet.destinationAt + 4),
    destination: frame.slice(packet.sourceAt, packet.sourceAt + 4),
    protocol: ip.PROTOCOL_TCP,
    payloadLength: 20,
    hopLimit: 64,
  })
  tcp.emit(bytes, ethernet.HEADER + 20, {
    ...tcp.view(),
    source: segment.destination,
    destination: segment.source,
    sequence: segment.acknowledgement,
    acknowledgement: (segment.sequence + 1) >>> 0,
    flags: tcp.ACK,
    window: 1,
  })
  transport.finish(bytes, ethernet.HEADER, ethernet.HEADER + 40, 0)
  return bytes
}
