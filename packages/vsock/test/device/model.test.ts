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
    STEPS[choice % STEPS.length]?.(this, random, amount)
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

  /** Notes what must never be. */
  check(): void {
    const { streams, complaints } = this.bridge
    let held = 0
    for (const connection of streams.connections()) {
      held += connection.undelivered
      if (connection.undelivered > this.scale.ours) complaints.push(`${String(connection)}: too much is held`)
    }
    if (streams.heldBytes !== held) complaints.push(`${streams.heldBytes} bytes held instead of ${held}`)
  }

  /** Notes what must not be once all is over. */
  checkEnd(): void {
    const { streams, sockets, complaints } = this.bridge
    complaints.push(...streams.connections().map((connection) => `left: ${String(connection)}`))
    complaints.push(...this.guest.live.map(({ port, state }) => `left in the guest: ${port} ${state}`))
    if (streams.wantsBuffer) complaints.push("still wants a buffer")
    if (streams.pollAt() !== Number.POSITIVE_INFINITY) complaints.push("still waits for something")
    const counts = streams.counts()
    complaints.push(...VIOLATIONS.filter((name) => counts[name] > 0))
    for (const socket of sockets) this.#checkBytes(socket)
  }

  #checkBytes(host: HostSocket): void {
    const { connection } = host
    const guest = this.guest.all.find(
      ({ port, hostPort }) => port === connection.guestPort && hostPort === connection.hostPort,
    )
    if (host.end === undefined) this.bridge.complaints.push(`never closed: ${String(connection)}`)
    if (guest === undefined || host.end !== "closed") return
    // Whoever read to the end got everything; that nobody got more is checked byte by byte.
    if (!host.closedEarly && host.received !== guest.sent) {
      this.bridge.complaints.push(
        `${host.received} of ${guest.sent} bytes to the host: ${String(connection)}`,
      )
    }
    if (!guest.closedEarly && (guest.ownShutdown & 1) === 0 && guest.received !== host.written) {
      this.bridge.complaints.push(
        `${guest.received} of ${host.written} bytes to the guest: ${String(connection)}`,
      )
    }
  }

  get complaints(): readonly string[] {
    const all = [...this.guest.complaints, ...this.bridge.complaints]
    return all.length === 0 ? all : [...all, "after:", ...this.bridge.trace]
  }
}

type Step = (world: World, random: number, amount: number) => void

/** What can happen. An entry that stands there twice happens twice as often. */
const carryOut: Step = (world) => world.carryOut()
const carryIn: Step = (world) => world.carryIn()
const give: Step = (world) => world.bridge.give()
const guestSends = inGuest((world, socket, amount) => world.guest.send(socket, amount))
const guestReceives = inGuest((world, socket, amount) => world.guest.receive(socket, amount))
const hostWrites = inHost((world, socket, amount) => world.bridge.write(socket, amount))
const hostReads = inHost((world, socket, amount) => world.bridge.read(socket, amount))
const RARE: readonly Step[] = [
  (world, random) => world.guest.connect(random % 8 === 0 ? CLOSED_PORT : SERVICE),
  (world, random) => world.bridge.connect(random % 8 === 0 ? CLOSED_PORT : LISTENING),
  seldom(inGuest((world, socket, amount) => world.guest.shutdown(socket, 1 + (amount % 3)))),
  seldom(inGuest((world, socket) => world.guest.close(socket))),
  seldom(inHost((world, socket) => world.bridge.endWrites(socket))),
  seldom(inHost((world, socket) => world.bridge.close(socket))),
  seldom((world, random) => world.pass(100 + (random % 9000))),
]
const STEPS: readonly Step[] = RARE.concat([guestSends, guestSends, guestReceives, guestReceives])
  .concat([hostWrites, hostWrites, hostReads, hostReads])
  .concat([give, give, give, carryOut, carryOut, carryOut, carryIn, carryIn, carryIn])

function seldom(step: Step): Step {
  return (world, random, amount) => {
    if (random % 4 === 0) step(world, Math.floor(random / 4), amount)
  }
}

function inGuest(act: (world: World, socket: GuestSocket, amount: number) => void): Step {
  return (world, random, amount) => {
    const socket = pick(world.guest.all, random)
    if (socket !== undefined) act(world, socket, amount)
  }
}

function inHost(act: (world: World, socket: HostSocket, amount: number) => void): Step {
  return (world, random, amount) => {
    const socket = pick(world.bridge.sockets, random)
    if (socket !== undefined) act(world, socket, amount)
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
          expect(world.complaints).toEqual([])
        }),
        { numRuns },
      )
    })
  }
})
