// Guests that do what they like, for long, with a receiver that does all it may. Seeded, so that it can be repeated:
// SKEP_FUZZ_STEPS=1000000 SKEP_FUZZ_SEED=7 npx vitest run --project unit packages/link/test/vhost-net/fuzz.test.ts
import { readdirSync } from "node:fs"
import { FrontEnd, fuzzing, GuestRam, type Random, seeded } from "@skep/fake-qemu"
import { check, Loop } from "@skep/loop"
import * as sys from "@skep/loop/sys"
import { Connection, features } from "@skep/vhost-user"
import { expect, test } from "vitest"
import { type Frame, HEAD, type Link, type Receiver } from "../../src/index.ts"
import { VhostNetLink } from "../../src/vhost-net/index.ts"
import { Driver } from "./driver.ts"
import { FileMemory } from "./file-memory.ts"
import { pattern } from "./rig.ts"

const RAM = 1 << 18
const STEPS_PER_TURN = 3
const [NEXT, WRITE, INDIRECT] = [1, 2, 4]
const BITS = [0n, 1n, 7n, 8n, 11n, 12n, 15n, 28n, 29n, 32n]

/** Looks at every byte of each frame, and sends, lends and uses as it likes. */
class Careless implements Receiver {
  readonly #link: Link
  readonly #memory: FileMemory
  readonly #random: Random
  readonly #bytes = new Uint8Array(1 << 17)
  frames = 0
  sent = 0
  /** Frames that are not inside themselves. */
  readonly wrong: string[] = []

  constructor(link: Link, memory: FileMemory, random: Random) {
    this.#link = link
    this.#memory = memory
    this.#random = random
  }

  onFrame(frame: Frame): void {
    const { parts, length, head, offload } = frame
    this.frames++
    if (
      parts.bytes !== length ||
      head !== Math.min(length, HEAD) ||
      frame.at + head > frame.bytes.length ||
      offload.checksumStart + offload.checksumOffset + 2 > length ||
      offload.headerLength > length
    )
      this.wrong.push(JSON.stringify({ length, head, offload }))
    for (let index = 0, done = 0; index < parts.count; index++) {
      this.#memory.read(parts.addressAt(index), parts.lengthAt(index), this.#bytes, done)
      done += parts.lengthAt(index)
    }
    if (this.#random.oneIn(4)) this.send()
  }

  onSettle(): void {
    if (this.#random.oneIn(2)) this.stream()
  }

  onRoom(): void {
    this.stream()
  }

  onCarrier(): void {
    this.send()
  }

  send(): void {
    const length = this.#random.oneIn(10) ? this.#random.int(65_000) : this.#random.int(200)
    if (this.#link.send(this.#bytes, 0, 14 + length)) this.sent++
  }

  stream(): void {
    const random = this.#random
    const lent: number[] = []
    for (let left = random.int(5); left > 0; left--) {
      const payload = random.oneIn(5) ? random.int(60_000) : random.int(3000)
      if (this.#link.lend(54, payload)) lent.push(payload)
    }
    const { lent: places } = this.#link
    for (let index = 0; index < places.count; index++)
      this.#memory.write(this.#bytes, 0, places.lengthAt(index), places.addressAt(index))
    if (random.oneIn(5)) this.send()
    for (const payload of lent.slice(0, random.int(lent.length + 1))) {
      this.#link.use(this.#bytes, 0, 54, random.oneIn(2) ? payload : random.int(payload + 1))
      this.sent++
    }
    this.#link.unlend()
    if (random.oneIn(3)) this.#link.flush()
  }
}

class World implements Disposable {
  readonly random: Random
  readonly receiver: Careless
  readonly link: VhostNetLink
  readonly ended: string[] = []
  readonly #loop = new Loop()
  readonly #memory = new FileMemory()
  #machine: { readonly front: FrontEnd; readonly ram: GuestRam; readonly driver: Driver } | undefined
  machines = 0

  constructor(random: Random) {
    this.random = random
    this.link = new VhostNetLink({ name: "net", scope: this.#loop.root, memory: this.#memory })
    this.receiver = new Careless(this.link, this.#memory, random)
    this.link.receiver = this.receiver
    this.link.start()
  }

  turn(): void {
    for (let step = 0; step < STEPS_PER_TURN; step++) this.#loop.step()
  }

  machine(without: () => bigint = () => 0n) {
    if (this.#machine !== undefined) return this.#machine
    this.machines++
    const ram = new GuestRam({ sizes: [RAM, 1 << 20] })
    const pair = new Int32Array(2)
    check(sys.socketPair(sys.AF_UNIX, sys.SOCK_STREAM, pair), "socketpair")
    new Connection({
      fd: pair[0] ?? -1,
      device: this.link,
      scope: this.#loop.root,
      onEnd: (reason) => this.ended.push(reason),
    })
    const front = new FrontEnd({ fd: pair[1] ?? -1, ram, turn: () => this.turn() })
    const left = without()
    const eventIndex = (left & features.VIRTIO_RING_F_EVENT_IDX) === 0n
    const driver = new Driver(ram, { size: 32, eventIndex })
    front.start(driver.rings, { without: left })
    this.#machine = { front, ram, driver }
    return this.#machine
  }

  hangUp(): void {
    const machine = this.#machine
    this.#machine = undefined
    if (machine === undefined) return
    machine.front[Symbol.dispose]()
    this.turn()
    machine.driver[Symbol.dispose]()
    machine.ram[Symbol.dispose]()
  }

  [Symbol.dispose](): void {
    this.hangUp()
    this.#loop[Symbol.dispose]()
    this.#memory[Symbol.dispose]()
  }
}

const choose = (random: Random): bigint =>
  BITS.reduce((all, bit) => (random.oneIn(4) ? all | (1n << bit) : all), 0n)

/** Any descriptors, mostly such as could be; headers that could be, and others. */
function scribble(world: World): void {
  const { random } = world
  const { ram, driver } = world.machine(() => choose(random))
  const ring = random.pick(driver.rings)
  for (let index = 0; index < ring.size; index++) {
    const offset = random.int(RAM - 4096)
    const length = random.oneIn(60)
      ? random.int(2 ** 32)
      : random.oneIn(10)
        ? random.int(70_000)
        : random.int(2000)
    const bytes = ram.bytes(offset, 14)
    bytes.set([
      random.int(3),
      random.pick([0, 0, 1, 4, 3, 0x81]),
      66,
      0,
      random.int(16),
      random.pick([5, 0]),
      34,
      0,
      16,
      0,
      0,
      0,
      1,
      2,
    ])
    if (random.oneIn(4)) bytes.set(random.bytes(12))
    ram.bytes(offset + 12 + 46, 1)[0] = random.pick([0x50, 0x80, 0xf0, 0x10])
    const usual = ring === driver.tx ? random.pick([0, 0, NEXT]) : random.pick([WRITE, WRITE, WRITE | NEXT])
    const odd = random.oneIn(1000) ? random.pick([INDIRECT, NEXT, WRITE, 7]) : usual
    const flags = index + 1 < ring.size ? odd : odd & ~NEXT
    ring.setDescriptor(
      index,
      { address: random.oneIn(3000) ? random.int(2 ** 32) : offset, length: Math.min(length, RAM - offset) },
      flags,
      random.oneIn(1000) ? random.int(40) : Math.min(index + 1, ring.size - 1),
    )
  }
}

function offerHeads(world: World): void {
  const { random } = world
  const { driver } = world.machine(() => choose(random))
  const ring = random.pick(driver.rings)
  // More than a ring holds breaks it, and then nothing else is tried.
  const room = ring === driver.rx ? ring.size - world.link.spareBuffers : ring.size
  for (let left = random.int(Math.min(room, 16) + 1); left > 0; left--)
    ring.offerHead(random.oneIn(500) ? random.int(2 ** 16) : random.int(ring.size))
  if (random.oneIn(500)) ring.setAvailableIndex(random.int(2 ** 16))
  ring.kickAnyway()
}

/** Stops a queue and starts it again, as after a reset, or moves the memory. */
function disturb(world: World): void {
  const { random } = world
  const { front, driver } = world.machine()
  const index = random.int(2)
  if (random.oneIn(3)) front.setMemory()
  else if (random.oneIn(2)) front.enable(index, random.oneIn(2))
  else {
    const base = front.stopRing(index)
    front.startRing(index, driver.rings[index] ?? driver.rx, base)
    front.enable(index, true)
  }
}

test("whatever a guest does, the link serves the next one and keeps nothing of the last", () => {
  const { steps, seed } = fuzzing(3000)
  const random = seeded(seed)
  const before = readdirSync("/proc/self/fd").length
  {
    using world = new World(random)
    for (let step = 0; step < steps; step++) {
      if (random.oneIn(30) || (!world.link.carrier && random.oneIn(3))) world.hangUp()
      else if (random.oneIn(10)) disturb(world)
      else if (random.oneIn(6)) world.receiver.stream()
      else random.pick([scribble, offerHeads, offerHeads])(world)
      world.turn()
    }
    expect(world.ended.filter((reason) => !/hung up/.test(reason))).toEqual([])
    expect(world.receiver.wrong).toEqual([])
    expect(world.machines).toBeGreaterThan(steps / 200)
    expect(world.receiver.frames).toBeGreaterThan(steps / 4)
    expect(world.receiver.sent).toBeGreaterThan(steps / 10)
    const { malformed, counters } = world.link
    expect(Object.values(malformed).reduce((sum, each) => sum + each)).toBe(counters.malformed)
    expect(Object.entries(malformed).filter(([, count]) => count === 0)).toEqual([])
    world.hangUp()
    const { driver } = world.machine()
    world.receiver.stream = () => undefined
    driver.offer(1536)
    driver.send(pattern(100))
    driver.tx.kick()
    world.turn()
    expect(driver.tx.collect()).toHaveLength(1)
    driver.rx.collect()
    driver.offer(1536)
    expect(world.link.send(pattern(60), 0, 60)).toBe(true)
    world.turn()
    expect(driver.rx.collect().length).toBeGreaterThan(0)
  }
  expect(readdirSync("/proc/self/fd").length).toBe(before)
})
