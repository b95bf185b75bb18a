// Anything, for long: front ends and guests that do what they like, with a back end or a keeper before it. Seeded, so that it can be repeated:
// SKEP_FUZZ_STEPS=1000000 SKEP_FUZZ_SEED=7 npx vitest run --project unit packages/vhost-user/test/fuzz.test.ts
import { mkdtempSync, readdirSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import {
  DriverRing,
  FrontEnd,
  fuzzing,
  GuestRam,
  memoryTable,
  type Random,
  seeded,
  words,
} from "@skep/fake-qemu"
import { check, Loop } from "@skep/loop"
import { expect, test } from "vitest"
import { connectUnix, Keeper, listenUnix, request, Server } from "../src/index.ts"
import { EchoDevice } from "./echo-device.ts"

const STEPS_PER_TURN = 6
const STEP_MS = 3

/** A QEMU that came, with its guest; it may be of any health. */
interface Machine {
  readonly front: FrontEnd
  readonly ram: GuestRam
  readonly ring: DriverRing
}

class World implements Disposable {
  readonly device = new EchoDevice()
  readonly random: Random
  /** Front ends that came. */
  came = 0
  readonly #loop: Loop
  readonly #directory = mkdtempSync(join(tmpdir(), "skep-fuzz-"))
  readonly #back = join(this.#directory, "back.sock")
  readonly #path: string
  #now = 0
  #server: Server | undefined
  #machine: Machine | undefined

  constructor(random: Random, kept: boolean) {
    this.random = random
    this.#loop = new Loop({ clock: { now: () => this.#now } })
    this.#path = kept ? join(this.#directory, "front.sock") : this.#back
    this.startBackEnd()
    if (kept) {
      new Keeper(this.#loop, {
        name: "fuzz",
        front: { listen: listenUnix(this.#path) },
        connect: () => connectUnix(this.#back),
      })
    }
  }

  startBackEnd(): void {
    this.#server = new Server(this.#loop, { device: this.device, fd: listenUnix(this.#back) })
  }

  killBackEnd(): void {
    this.#server?.[Symbol.dispose]()
    rmSync(this.#back)
  }

  turn(ms = 0): void {
    this.#now += ms
    for (let step = 0; step < STEPS_PER_TURN; step++) {
      this.#now += STEP_MS
      this.#loop.step()
    }
  }

  machine(): Machine {
    if (this.#machine === undefined) {
      this.came++
      const ram = new GuestRam({ sizes: [1 << 16, 1 << 18] })
      const fd = check(connectUnix(this.#path), "connect")
      const front = new FrontEnd({ fd, ram, turn: () => this.turn() })
      this.#machine = { front, ram, ring: new DriverRing(ram, { size: 16 }) }
    }
    return this.#machine
  }

  hangUp(): void {
    if (this.#machine === undefined) return
    const { front, ram, ring } = this.#machine
    this.#machine = undefined
    front[Symbol.dispose]()
    ring[Symbol.dispose]()
    ram[Symbol.dispose]()
    this.turn()
  }

  [Symbol.dispose](): void {
    this.hangUp()
    this.#loop[Symbol.dispose]()
    this.device[Symbol.dispose]()
    rmSync(this.#directory, { recursive: true, force: true })
  }
}

const NEXT = 1
const REQUESTS = Object.values(request).filter((value) => typeof value === "number")

/** A number that matters, or any. */
function number(random: Random): bigint {
  const edge = [0, 1, 2, 15, 16, 17, 255, 256, 4096, 2 ** 16, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 52, 2 ** 53]
  if (random.oneIn(3)) return BigInt(random.int(20))
  return random.oneIn(4)
    ? (BigInt(random.int(2 ** 32)) << 32n) | BigInt(random.int(2 ** 32))
    : BigInt(random.pick(edge))
}

type Act = (world: World, random: Random) => void

const start: Act = (world) => {
  const { front, ring } = world.machine()
  front.drop()
  front.start([ring])
}
const anyMessage: Act = (world, random) => {
  const { front, ring, ram } = world.machine()
  const body = words(...Array.from({ length: random.int(6) }, () => number(random))).subarray(
    0,
    random.pick([8, 40, 48]),
  )
  const handed = [ring.kickFd, ring.callFd, ram.regions[0]?.fd ?? -1, ram.regions[1]?.fd ?? -1]
  const fds = Array.from({ length: random.oneIn(3) ? random.int(9) : random.int(2) }, () =>
    random.pick(handed),
  )
  front.send(random.oneIn(8) ? random.int(50) : random.pick(REQUESTS), {
    body,
    fds,
    needReply: random.oneIn(2),
  })
}
const anyMemory: Act = (world, random) => {
  const { front, ram } = world.machine()
  const regions = ram.regions.map((region) =>
    random.oneIn(2) ? region : { ...region, size: Number(number(random)) },
  )
  const body = memoryTable(regions.slice(0, 1 + random.int(2)))
  front.send(request.SET_MEM_TABLE, {
    body,
    fds: ram.regions.map(({ fd }) => fd).slice(0, 1 + random.int(2)),
  })
}
const bytes: Act = (world, random) => world.machine().front.sendRaw(random.bytes(1 + random.int(60)))
const descriptors: Act = (world, random) => {
  const { ring, ram } = world.machine()
  for (let i = 0; i < ring.size; i++) {
    const mine = ram.regions[random.int(2)]
    const address = random.oneIn(4)
      ? Number(number(random) % 2n ** 53n)
      : (mine?.guestAddress ?? 0) + random.int(1 << 16)
    // The device of this test moves bytes through a pipe, whose room is not what is tried here.
    const length = random.oneIn(8) ? random.int(2 ** 32) : random.int(200)
    ring.setDescriptor(
      i,
      { address, length },
      random.oneIn(3) ? random.int(8) : random.pick([0, NEXT, 2, 4]),
      random.int(18),
    )
  }
}
const heads: Act = (world, random) => {
  const { ring } = world.machine()
  for (let i = random.int(5); i >= 0; i--)
    ring.offerHead(random.oneIn(4) ? random.int(2 ** 16) : random.int(16))
  if (random.oneIn(6)) ring.setAvailableIndex(random.int(2 ** 16))
  ring.kickAnyway()
  world.turn()
}
const restart: Act = (world) => {
  world.killBackEnd()
  world.startBackEnd()
  world.turn(1000)
}
const ACTS: readonly Act[] = [
  start,
  start,
  anyMessage,
  anyMessage,
  anyMessage,
  anyMessage,
  anyMemory,
  bytes,
  descriptors,
  heads,
  heads,
]

test.each([
  ["a back end", false],
  ["a keeper and a back end", true],
])("whatever comes, %s serves the next machine and keeps nothing of the last", (_who, kept) => {
  const { steps, seed } = fuzzing(4000)
  const random = seeded(seed)
  const before = readdirSync("/proc/self/fd").length
  {
    using world = new World(random, kept)
    // What a device copies is checked elsewhere; a hostile chain of any length would only block its pipe.
    world.device.hold = true
    for (let step = 0; step < steps; step++) {
      try {
        if (random.oneIn(25)) world.hangUp()
        else if (random.oneIn(60)) restart(world, random)
        else random.pick(ACTS)(world, random)
        world.turn(random.oneIn(20) ? random.int(6000) : 0)
      } catch (error) {
        // The other side refused, hung up, or answers what was asked before: this machine is done for.
        expect(String(error)).toMatch(/EPIPE|ECONNRESET|hung up|did not answer|no answer to|refused|EAGAIN/)
        world.hangUp()
      }
    }
    expect(world.came).toBeGreaterThan(steps / 100)
    expect(world.device.told.filter((each) => each === "start 0").length).toBeGreaterThan(steps / 100)
    world.hangUp()
    world.turn(2000)
    world.device.hold = false
    const { front, ram, ring } = world.machine()
    front.start([ring])
    const [from, to] = [ram.allocate(5), ram.allocate(5)]
    ram.bytes(from, 5).set(Buffer.from("hello"))
    ring.offer([
      { address: from, length: 5 },
      { address: to, length: 5, writable: true },
    ])
    ring.kick()
    world.turn()
    expect(ring.collect()).toHaveLength(1)
    expect(Buffer.from(ram.bytes(to, 5)).toString()).toBe("hello")
  }
  expect(readdirSync("/proc/self/fd").length).toBe(before)
})
