import { check, Loop } from "@skep/loop"
import * as sys from "@skep/loop/sys"
import { describe, expect, test } from "vitest"
import { FrontDoor } from "../src/keeper/front-door.ts"

/** A door that connects, on a clock of the test; `answers` are what each connect brings. */
function open(answers: readonly number[] = []) {
  let now = 0
  const loop = new Loop({ clock: { now: () => now } })
  const attempts: number[] = []
  const found: number[] = []
  const told: string[] = []
  const door = new FrontDoor({
    scope: loop.scope("door"),
    front: { connect: () => answers[attempts.push(now) - 1] ?? -sys.ECONNREFUSED },
    onFront: (fd) => found.push(fd),
    onNone: (reason) => told.push(reason),
  })
  return {
    door,
    attempts,
    found,
    told,
    pass: (ms: number): void => {
      for (const end = now + ms; now < end; now++) loop.step()
      loop.step()
    },
    [Symbol.dispose]: () => loop[Symbol.dispose](),
  }
}

const gaps = (times: readonly number[]): readonly number[] =>
  times.slice(1).map((time, i) => time - (times[i] ?? 0))

describe("a door that connects", () => {
  test("tries ever less often while nobody is there, and says so once", () => {
    using rig = open()
    rig.pass(5000)
    expect(gaps(rig.attempts)).toEqual([10, 20, 40, 80, 160, 320, 640, 1000, 1000, 1000])
    expect(rig.told).toEqual(["no front end: ECONNREFUSED"])
  })

  test("tells another reason", () => {
    using rig = open([-sys.ENOENT, -sys.ENOENT, -sys.ECONNREFUSED])
    rig.pass(40)
    expect(rig.told).toEqual(["no front end: ENOENT", "no front end: ECONNREFUSED"])
  })

  test("asks no more while a front end is there, and goes on as before where that said nothing", () => {
    using rig = open([-sys.ENOENT, -sys.ENOENT, 90, 91, 92])
    rig.pass(5000)
    expect([rig.attempts, rig.found]).toEqual([[0, 10, 30], [90]])
    rig.door.lost(false)
    rig.pass(40)
    rig.door.lost(false)
    rig.pass(80)
    expect(gaps(rig.attempts.slice(2))).toEqual([5000 - 30 + 40, 80])
    expect(rig.found).toEqual([90, 91, 92])
  })

  test("begins anew after a front end that spoke", () => {
    using rig = open([-sys.ENOENT, -sys.ENOENT, -sys.ENOENT, 90, 91])
    rig.pass(200)
    rig.door.lost(true)
    rig.pass(10)
    expect(rig.attempts.at(-1)).toBe(210)
    expect(rig.found).toEqual([90, 91])
  })
})

describe("a door that listens", () => {
  test("hands over each client, the second one too", () => {
    using loop = new Loop()
    const path = `\0skep-door-${process.pid}`
    const fd = check(sys.socket(sys.AF_UNIX, sys.SOCK_STREAM | sys.SOCK_NONBLOCK), "socket")
    check(sys.bind(fd, { family: "unix", path }), "bind")
    check(sys.listen(fd, 5), "listen")
    const found: number[] = []
    const door = new FrontDoor({
      scope: loop.scope("door"),
      front: { listen: fd },
      onFront: (client) => found.push(client),
      onNone: () => undefined,
    })
    const clients = [0, 1].map(() => {
      const client = check(sys.socket(sys.AF_UNIX, sys.SOCK_STREAM), "socket")
      check(sys.connect(client, { family: "unix", path }), "connect")
      return client
    })
    for (let step = 0; step < 4; step++) loop.step()
    expect(found).toHaveLength(2)
    door.lost(true)
    for (const each of [...found, ...clients]) sys.close(each)
  })
})
