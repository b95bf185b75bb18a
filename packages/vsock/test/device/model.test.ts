import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { Bridge, type BridgeOptions, type HostSocket } from "./model/bridge.ts"
import { type GuestOptions, type GuestSocket, LinuxGuest } from "./model/linux-guest.ts"

const CID = 3
const SERVICE = 7
const CLOSED_PORT = 8
const LISTENING = 9
const VIOLATIONS = [
  "wrong-source",
  "wrong-destination",
  "unknown-op",
  "empty-data",
  "unknown-type",
  "duplicate-request",
  "unasked-response",
  "out-of-state",
  "after-shutdown",
  "over-credit",
  "false-credit",
  "short-payload",
  "over-budget",
  "reset-lost",
] as const

interface Scale {
  readonly ours: number
  readonly theirs: number
  readonly packet: number
  readonly socket: number
  readonly rxBuffer: number
}

/** A guest and a bridge, with all that can happen to them as numbered steps. */
class World {
  now = 0
  readonly guest: LinuxGuest
  readonly bridge: Bridge
  readonly scale: Scale
  readonly toBridge: LinuxGuest["out"]

  constructor(scale: Scale, guest: Pick<GuestOptions, "capsBySelf" | "tellsWhenLow">, limits = {}) {
    this.scale = scale
    this.guest = new LinuxGuest(
      { cid: CID, bufferBytes: scale.theirs, packetBytes: scale.packet, ...guest },
      () => this.now,
    )
    this.guest.listening.add(LISTENING)
    const options: BridgeOptions = {
      guestCid: CID,
      now: () => this.now,
      limits: { bufferBytes: scale.ours, maxHeldBytes: scale.ours * 64, ...limits },
      socketBytes: scale.socket,
      bufferBytes: scale.rxBuffer,
      refuses: (port) => port !== SERVICE,
    }
    this.bridge = new Bridge(options)
    this.toBridge = this.guest.out
  }

  step(choice: number): void {
    const random = Math.floor(choice / 64)
    const amount = 1 + (Math.floor(random / 64) % (this.scale.packet * 2))
    const inGuest = pick(this.guest.all, random)
    const inHost = pick(this.bridge.sockets, random)
    switch (choice % 24) {
      case 0:
        this.guest.connect(random % 8 === 0 ? CLOSED_PORT : SERVICE)
        break
      case 1:
        this.bridge.connect(random % 8 === 0 ? CLOSED_PORT : LISTENING)
        break
      case 2:
        if (inGuest !== undefined && random % 4 === 0) this.guest.shutdown(inGuest, 1 + (random % 3))
        break
      case 3:
        if (inGuest !== undefined && random % 4 === 0) this.guest.close(inGuest)
        break
      case 4:
        if (inHost !== undefined && random % 4 === 0) this.bridge.endWrites(inHost)
        break
      case 5:
        if (inHost !== undefined && random % 4 === 0) this.bridge.close(inHost)
        break
      case 6:
        if (random % 4 === 0) this.pass(100 + (random % 9000))
        break
      case 7:
      case 8:
        if (inGuest !== undefined) this.guest.send(inGuest, amount)
        break
      case 9:
      case 10:
        if (inGuest !== undefined) this.guest.receive(inGuest, amount)
        break
      case 11:
      case 12:
        if (inHost !== undefined) this.bridge.write(inHost, amount)
        break
      case 13:
      case 14:
        if (inHost !== undefined) this.bridge.read(inHost, amount)
        break
      case 15:
      case 16:
      case 17:
        this.bridge.give()
        break
      case 18:
      case 19:
      case 20:
        this.carryOut()
        break
      default:
        this.carryIn()
    }
    this.check()
  }

  /** The next packet of the guest arrives. */
  carryOut(): boolean {
    if (this.bridge.streams.congested) return false
    const parcel = this.toBridge.shift()
    if (parcel !== undefined) this.bridge.take(parcel)
    return parcel !== undefined
  }

  carryIn(): boolean {
    const parcel = this.bridge.toGuest.shift()
    if (parcel !== undefined) this.guest.deliver(parcel)
    return parcel !== undefined
  }

  pass(ms: number): void {
    this.now += ms
    this.bridge.streams.onTimer()
    this.guest.onTimer()
  }

  /** Everybody who can sends a good deal more, reads to the end and closes; then all must be over. */
  finish(): void {
    const more = 3 * Math.max(this.scale.ours, this.scale.theirs)
    const goals = new Map<GuestSocket | HostSocket, number>()
    for (const socket of this.bridge.sockets) goals.set(socket, socket.written + more)
    for (const socket of this.guest.all) goals.set(socket, socket.sent + more)
    for (let idle = 0; idle < 3; ) {
      let busy = false
      while (this.bridge.give()) busy = true
      while (this.carryOut()) busy = true
      while (this.carryIn()) busy = true
      for (const socket of this.bridge.sockets)
        busy = this.#finishInHost(socket, goals.get(socket) ?? 0) || busy
      for (const socket of this.guest.all) busy = this.#finishInGuest(socket, goals.get(socket) ?? 0) || busy
      this.check()
      if (busy) continue
      const at = Math.min(this.bridge.streams.pollAt(), this.guest.pollAt())
      if (at === Number.POSITIVE_INFINITY) idle += 1
      else this.pass(Math.max(0, at - this.now))
    }
  }

  #finishInHost(socket: HostSocket, goal: number): boolean {
    if (socket.closed) return false
    if (this.bridge.read(socket, this.scale.packet) > 0) return true
    if (this.bridge.mayWrite(socket) && socket.accepted) {
      const before = socket.written
      this.bridge.write(socket, goal - before)
      if (socket.written === goal) this.bridge.endWrites(socket)
      return socket.written > before
    }
    if (!socket.sawEnd) return false
    this.bridge.close(socket)
    return true
  }

  #finishInGuest(socket: GuestSocket, goal: number): boolean {
    if (socket.released) return false
    if (this.guest.receive(socket, this.scale.packet) > 0) return true
    if (this.guest.maySend(socket)) {
      const sent = this.guest.send(socket, goal - socket.sent)
      if (socket.sent === goal) this.guest.shutdown(socket, 2)
      return sent > 0
    }
    if (!socket.sawEnd) return false
    this.guest.close(socket)
    return true
  }

  check(): void {
    expect(this.guest.complaints).toEqual([])
    expect(this.bridge.complaints).toEqual([])
    const { streams } = this.bridge
    const waiting = streams.connections().map((connection) => connection.undelivered)
    expect(Math.max(0, ...waiting)).toBeLessThanOrEqual(this.scale.ours)
    expect(streams.heldBytes).toBe(waiting.reduce((sum, bytes) => sum + bytes, 0))
  }

  checkEnd(): void {
    const { streams, sockets, trace } = this.bridge
    expect(streams.connections().map(String)).toEqual([])
    expect(this.guest.live).toEqual([])
    expect(streams.heldBytes).toBe(0)
    expect(streams.wantsBuffer).toBe(false)
    expect(streams.pollAt()).toBe(Number.POSITIVE_INFINITY)
    const counts = streams.counts()
    for (const name of VIOLATIONS) expect(`${name} ${counts[name]}`).toBe(`${name} 0`)
    for (const host of sockets) {
      expect(host.end).toBeDefined()
      const guest = this.guest.all.find(
        (socket) => socket.port === host.connection.guestPort && socket.hostPort === host.connection.hostPort,
      )
      if (guest === undefined || host.end !== "closed") continue
      const story = trace.join("\n")
      // Whoever read to the end got everything; and nobody ever gets more than was sent.
      if (!host.closedEarly) expect(host.received, story).toBe(guest.sent)
      if (!guest.closedEarly && guest.ownShutdown !== 3 && (guest.ownShutdown & 1) === 0) {
        expect(guest.received, story).toBe(host.written)
      }
    }
  }
}

function pick<T>(items: readonly T[], random: number): T | undefined {
  // The newest few, most of the time: the others are over.
  return items.at(-1 - (random % Math.min(items.length, 6)))
}

const small: fc.Arbitrary<Scale> = fc.record({
  ours: fc.integer({ min: 1, max: 64 }),
  theirs: fc.integer({ min: 1, max: 64 }),
  packet: fc.integer({ min: 1, max: 16 }),
  socket: fc.integer({ min: 1, max: 32 }),
  rxBuffer: fc.integer({ min: 45, max: 70 }),
})
/** So large that a few packets wrap the counters around. */
const large: fc.Arbitrary<Scale> = fc.record({
  ours: fc.integer({ min: 2 ** 29, max: 2 ** 32 - 1 }),
  theirs: fc.integer({ min: 2 ** 29, max: 2 ** 32 - 1 }),
  packet: fc.integer({ min: 2 ** 28, max: 2 ** 31 }),
  socket: fc.integer({ min: 2 ** 28, max: 2 ** 32 }),
  rxBuffer: fc.integer({ min: 2 ** 28, max: 2 ** 31 }),
})
const kernel = fc.record({ capsBySelf: fc.boolean(), tellsWhenLow: fc.boolean() })
const choices = fc.array(fc.nat(2 ** 31 - 1), { minLength: 100, maxLength: 600, size: "max" })

describe("Streams against a guest like Linux", () => {
  for (const [name, scale, numRuns] of [
    ["", small, 150],
    [", counters wrapping around", large, 100],
  ] as const) {
    it(`loses nothing, doubles nothing, keeps to the credit and ends every stream${name}`, () => {
      fc.assert(
        fc.property(scale, kernel, choices, (sizes, guest, steps) => {
          const world = new World(sizes, guest)
          for (const choice of steps) world.step(choice)
          world.finish()
          world.checkEnd()
        }),
        { numRuns },
      )
    })
  }
})
