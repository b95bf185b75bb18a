import { type Clock, Loop, type LoopOptions } from "@skep/loop"
import * as sys from "@skep/loop/sys"
import { describe, expect, it } from "vitest"
import { FakePoller } from "./fake-poller.ts"

const { EPOLLIN, EPOLLOUT } = sys

function setUp(options: LoopOptions = {}) {
  const poller = new FakePoller()
  const time = { ms: 1000 }
  const clock: Clock = { now: () => time.ms }
  const loop = new Loop({ poller, clock, ...options })
  const seen: string[] = []
  const say = (text: string) => () => void seen.push(text)
  return { poller, loop, time, seen, say }
}

describe("a batch", () => {
  it("runs events, again, timers, deferred, hooks, in this order", () => {
    const { poller, loop, seen, say } = setUp()
    const one = loop.add(1, EPOLLIN, (events) => {
      seen.push(`event ${events}`)
      if (events === EPOLLIN) one.again(EPOLLOUT)
    })
    loop.onBatchEnd(say("hook"))
    loop.timer(say("timer")).after(0)
    loop.defer(say("deferred"))
    poller.next = [poller.event(1)]
    loop.step()
    expect(seen.splice(0)).toEqual(["event 1", "timer", "deferred", "hook"])
    poller.next = [poller.event(1, 8)]
    loop.step()
    expect(seen).toEqual(["event 8", "event 4", "hook"])
  })

  it("waits for ever, or exactly until the next timer, or not at all while work is left", () => {
    const { poller, loop, time } = setUp()
    const script = [
      () => loop.timer(() => loop.defer(() => undefined)).after(7.25),
      () => void (time.ms += 7.25),
      () => undefined,
      () => loop.stop(),
    ]
    poller.onWait = () => script.shift()?.()
    loop.run()
    expect(poller.waits).toEqual([
      Number.POSITIVE_INFINITY,
      7.25,
      Number.POSITIVE_INFINITY,
      Number.POSITIVE_INFINITY,
    ])
    const again = setUp({ maxWaitMs: 50 })
    const registration = again.loop.add(1, EPOLLIN, () => again.loop.stop())
    registration.again(EPOLLIN)
    again.loop.run()
    expect(again.poller.waits).toEqual([0])
    again.loop.step()
    const capped = setUp({ maxWaitMs: 50 })
    capped.poller.onWait = () => capped.loop.stop()
    capped.loop.run()
    expect(capped.poller.waits).toEqual([50])
  })

  it("leaves what is deferred while deferred work runs for the next one", () => {
    const { loop, seen, say } = setUp()
    loop.defer(() => {
      seen.push("one")
      loop.defer(say("two"))
    })
    loop.step()
    expect(seen).toEqual(["one"])
    loop.step()
    expect(seen).toEqual(["one", "two"])
  })

  it("bounds deferred work and keeps its order", () => {
    const { loop, seen } = setUp()
    for (let index = 0; index < 5000; index++) loop.defer(() => void seen.push(String(index)))
    loop.step()
    expect(seen).toHaveLength(4096)
    loop.defer(() => void seen.push("last"))
    loop.step()
    expect(seen.length).toBe(5001)
    expect(seen.slice(4095, 4098)).toEqual(["4095", "4096", "4097"])
    expect(seen.at(-1)).toBe("last")
  })

  it("counts", () => {
    const { poller, loop, time } = setUp()
    loop.add(1, EPOLLIN, () => void (time.ms += 5))
    loop.timer(() => void (time.ms += 1)).after(0)
    loop.defer(() => undefined)
    poller.next = [poller.event(1)]
    loop.step()
    loop.step()
    expect(loop.counters.read()).toEqual({
      wakeups: 0,
      sleeps: 0,
      askingMs: 0,
      batches: 2,
      events: 1,
      staleEvents: 0,
      timerFires: 1,
      deferred: 1,
      handlerErrors: 0,
      rebuilds: 0,
      longestBatchMs: 6,
      busyMs: 6,
      registrations: 1,
      calls: 0,
    })
  })
})

describe("timers", () => {
  it("fire in order of deadline, then of setting, once each", () => {
    const { loop, time, seen, say } = setUp()
    const [a, b, c] = [loop.timer(say("a")), loop.timer(say("b")), loop.timer(say("c"))]
    c.after(5)
    a.after(10)
    b.at(loop.now + 10)
    time.ms += 4.999
    loop.step()
    expect(seen).toEqual([])
    time.ms += 6
    loop.step()
    loop.step()
    expect(seen).toEqual(["c", "a", "b"])
    expect(a.deadline).toBe(Number.POSITIVE_INFINITY)
  })

  it("obey one another within a batch: cancelled ones stay silent, set ones wait for the next", () => {
    const { loop, seen, say } = setUp()
    const victim = loop.timer(say("victim"))
    const moved = loop.timer(say("moved"))
    const first = loop.timer(() => {
      seen.push("first")
      victim.cancel()
      moved.after(0)
      first.after(0)
    })
    first.after(0)
    victim.after(0)
    moved.after(0)
    loop.step()
    expect(seen).toEqual(["first"])
    first.cancel()
    loop.step()
    expect(seen).toEqual(["first", "moved"])
  })

  it("refuse NaN, take Infinity for cancel, and are dead after their scope", () => {
    const { poller, loop, seen, say, time } = setUp()
    const timer = loop.timer(say("x"))
    expect(() => timer.after(Number.NaN)).toThrow(RangeError)
    timer.after(1)
    timer.at(Number.POSITIVE_INFINITY)
    const scope = loop.scope("device")
    const inside = scope.timer(say("inside"))
    inside.after(1)
    scope[Symbol.dispose]()
    inside.after(2)
    time.ms += 10
    loop.step()
    expect(seen).toEqual([])
    poller.onWait = () => loop.stop()
    loop.run()
    expect(poller.waits.at(-1)).toBe(Number.POSITIVE_INFINITY)
  })
})

describe("registrations", () => {
  it("never hear an event of the descriptor's former life, even in the same batch", () => {
    const { poller, loop, seen, say } = setUp()
    const second = loop.add(2, EPOLLIN, say("old"))
    loop.add(1, EPOLLIN, () => {
      // As accept() or open() would: the number is closed and given out again.
      second.remove()
      loop.add(2, EPOLLIN, say("new"))
    })
    poller.next = [poller.event(1), poller.event(2)]
    loop.step()
    expect(seen).toEqual([])
    expect(loop.counters.read()).toMatchObject({ staleEvents: 1, rebuilds: 0, registrations: 2 })
    poller.next = [poller.event(2)]
    loop.step()
    expect(seen).toEqual(["new"])
  })

  it("modify, are removed once, and refuse doubles", () => {
    const { poller, loop } = setUp()
    const registration = loop.add(1, EPOLLIN, () => undefined)
    expect(() => loop.add(1, EPOLLIN, () => undefined)).toThrow(
      "epoll_ctl: EEXIST, descriptor 1 is registered already",
    )
    expect(() => loop.add(-1, EPOLLIN, () => undefined)).toThrow("epoll_ctl: EBADF")
    registration.modify(EPOLLIN | EPOLLOUT)
    expect(poller.interests.get(1)?.events).toBe(EPOLLIN | EPOLLOUT)
    registration.remove()
    registration.remove()
    registration.modify(EPOLLIN)
    registration.again(EPOLLIN)
    expect(poller.interests.size).toBe(0)
    expect(loop.counters.read().registrations).toBe(0)
  })

  it("drop what they asked for again when they are removed", () => {
    const { loop, seen, say } = setUp()
    const registration = loop.add(1, EPOLLIN, say("event"))
    registration.again(EPOLLIN)
    registration.remove()
    loop.step()
    expect(seen).toEqual([])
  })

  it("give way to a descriptor of the same number, which the kernel has just handed out", () => {
    const { poller, loop, seen, say } = setUp()
    const old = loop.add(1, EPOLLIN, say("old"))
    poller.interests.delete(1)
    loop.add(1, EPOLLIN, say("new"))
    expect(old.active).toBe(false)
    old.close()
    poller.next = [poller.event(1)]
    loop.step()
    expect(seen).toEqual(["new"])
  })

  it("begin again on a new poller when a closed descriptor goes on reporting", () => {
    const { poller, loop, seen, say } = setUp()
    const closed = loop.add(1, EPOLLIN, say("closed"))
    loop.add(2, EPOLLIN, say("alive"))
    const zombie = poller.event(1)
    poller.interests.delete(1)
    closed.remove()
    poller.next = [zombie, poller.event(2)]
    loop.step()
    expect(poller.resets).toBe(1)
    expect([...poller.interests.keys()]).toEqual([2])
    poller.next = [poller.event(2)]
    loop.step()
    expect(seen).toEqual(["alive", "alive"])
    expect(loop.counters.read()).toMatchObject({ rebuilds: 1, staleEvents: 1 })
  })
})

describe("exceptions", () => {
  const boom = new Error("boom")
  const fail = () => {
    throw boom
  }

  it("outside every scope end run(), and step()", () => {
    for (const arrange of [
      (loop: Loop) => loop.defer(fail),
      (loop: Loop) => loop.timer(fail).after(0),
      (loop: Loop) => void loop.onBatchEnd(fail),
      (loop: Loop) => loop.add(1, EPOLLIN, fail).again(EPOLLIN),
    ]) {
      const one = setUp()
      arrange(one.loop)
      expect(() => one.loop.run()).toThrow(boom)
      expect(one.loop.stopped).toBe(true)
      const two = setUp()
      arrange(two.loop)
      expect(() => two.loop.step()).toThrow(boom)
    }
  })

  it("go to onError where there is one, and the loop goes on", () => {
    const told: unknown[] = []
    const { loop, seen, say } = setUp({ onError: (error, source) => told.push([error, source]) })
    loop.add(7, EPOLLIN, fail).again(EPOLLIN)
    loop.defer(fail)
    loop.defer(say("after"))
    loop.step()
    expect(told).toEqual([
      [boom, { scope: "loop", kind: "event", fd: 7 }],
      [boom, { scope: "loop", kind: "deferred" }],
    ])
    expect(seen).toEqual(["after"])
    expect(loop.counters.read().handlerErrors).toBe(2)
  })

  it("end their scope with all that is in it, and tell the nearest listener", () => {
    const told: unknown[] = []
    const { poller, loop, seen, say, time } = setUp()
    const device = loop.scope("device", (error, source) => {
      told.push([error, source])
      seen.push(`told, ${poller.interests.size} left`)
    })
    const flow = device.scope("flow")
    device.add(1, EPOLLIN, say("device"))
    flow.add(2, EPOLLIN, fail)
    flow.timer(say("timer")).after(0)
    flow.onBatchEnd(say("hook"))
    flow.onDispose(say("disposed"))
    flow.defer(say("deferred"))
    loop.add(3, EPOLLIN, say("other"))
    poller.next = [poller.event(2), poller.event(1), poller.event(3)]
    loop.step()
    time.ms += 5
    loop.step()
    expect(seen).toEqual(["disposed", "told, 2 left", "device", "other"])
    expect(told).toEqual([[boom, { scope: "device/flow", kind: "event", fd: 2 }]])
    expect([flow.disposed, device.disposed]).toEqual([true, false])
    expect(() => flow.add(9, EPOLLIN, fail)).toThrow('Cannot use scope "device/flow" after its end')
  })

  it("of a listener are for the next one outside, whose scope ends", () => {
    const told: string[] = []
    const { loop } = setUp()
    const outer = loop.scope("outer", (error) => void told.push(String(error)))
    const inner = outer.scope("inner", () => {
      throw new Error("second")
    })
    inner.defer(fail)
    loop.step()
    expect(told).toEqual(["Error: second"])
    expect([inner.disposed, outer.disposed]).toEqual([true, true])
  })

  it("that are no errors become some", () => {
    const { loop } = setUp()
    loop.defer(() => {
      // oxlint-disable-next-line typescript/only-throw-error -- what foreign code may do
      throw "text"
    })
    expect(() => loop.step()).toThrow("text")
  })

  it("of a disposer do not keep the others, and come out of dispose", () => {
    const { poller, loop, seen, say } = setUp()
    loop.onDispose(say("first made"))
    loop.onDispose(fail)
    loop.onDispose(say("last made"))
    expect(() => loop[Symbol.dispose]()).toThrow(boom)
    loop[Symbol.dispose]()
    expect(seen).toEqual(["last made", "first made"])
    expect(poller.closed).toBe(true)
  })
})

describe("the end", () => {
  it("undoes in reverse, children and descriptors among the disposers", () => {
    const { poller, loop, seen, say } = setUp()
    loop.onDispose(say("a"))
    const child = loop.scope("child")
    child.onDispose(say("child"))
    const undo = loop.onDispose(say("undone"))
    loop.onDispose(() => void seen.push(`interests ${poller.interests.size}`))
    loop.add(1, EPOLLIN, say("event"))
    loop.onDispose(() => void seen.push(`interests ${poller.interests.size}`))
    undo()
    loop[Symbol.dispose]()
    expect(seen).toEqual(["interests 1", "interests 0", "child", "a"])
  })

  it("may come from within a handler", () => {
    const { poller, loop, seen, say } = setUp()
    loop.add(1, EPOLLIN, () => loop[Symbol.dispose]())
    loop.add(2, EPOLLIN, say("too late"))
    loop.onBatchEnd(say("hook"))
    poller.next = [poller.event(1), poller.event(2)]
    loop.run()
    expect(seen).toEqual([])
    expect(poller.closed).toBe(true)
  })

  it("of a scope is told to its parent, so that long-lived loops do not grow", () => {
    const { loop, seen, say } = setUp()
    const scopes = Array.from({ length: 3 }, (_, index) => loop.scope(String(index)))
    for (const scope of scopes) scope.onDispose(say(scope.name))
    for (const scope of scopes) scope[Symbol.dispose]()
    loop[Symbol.dispose]()
    expect(seen).toEqual(["0", "1", "2"])
  })

  it("stops after the batch, and run() runs once at a time", () => {
    const { poller, loop, seen, say } = setUp()
    loop.add(1, EPOLLIN, () => {
      loop.stop()
      expect(() => loop.run()).toThrow(/Cannot run a loop that runs/)
    })
    loop.add(2, EPOLLIN, say("same batch"))
    poller.next = [poller.event(1), poller.event(2)]
    loop.run()
    expect(seen).toEqual(["same batch"])
  })
})
