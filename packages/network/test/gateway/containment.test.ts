// Exceptions of ours, put where none are expected: what they cost, what is told of them, and when it is enough.

import * as sys from "@skep/loop/sys"
import { describe, expect, it } from "vitest"
import { FAULTS_MOST, FAULTS_OF_ONE } from "../../src/gateway/containment.ts"
import { statusOf } from "../../src/gateway/report.ts"
import { ACK, type Ends, type Heard, hear, IPV4, icmp, packet, RST, SYN, segment } from "./packets.ts"
import { type Machine, PLAN, type Rig, rig } from "./rig.ts"
import { closedPort, HostSocket } from "./sockets.ts"

const GUEST = "192.168.64.5"
const HELLO = Buffer.from("hello")

function bug(): never {
  throw new Error("found by a guest")
}

function ends(toPort: number, from = GUEST): Ends {
  return { from, to: PLAN.gateway, fromPort: 40_000, toPort }
}

/** A connection that stands. Returns what says something in it. */
function connect(it: Rig, machine: Machine, to: Ends): (payload: Uint8Array) => void {
  machine.send(IPV4, segment(to, { flags: SYN, sequence: 100 }))
  const answers: Heard[] = []
  it.until(() => {
    answers.push(
      ...machine
        .take()
        .map(hear)
        .filter(({ flags }) => (flags & SYN) !== 0),
    )
    return answers.length > 0
  })
  const first = answers[0]?.sequence ?? 0
  let sequence = 101
  return (payload) => {
    const acknowledgement = first + 1
    machine.send(IPV4, segment(to, { flags: ACK, sequence, acknowledgement, payload }))
    sequence += payload.length
    it.settle()
  }
}

function pings(it: Rig, machine: Machine): number {
  machine.send(IPV4, icmp(GUEST, PLAN.gateway, 8, 1))
  it.settle()
  return machine
    .take()
    .map(hear)
    .filter(({ protocol }) => protocol === 1).length
}

describe("an exception", () => {
  it("in a flow ends that flow, is counted and told once with its stack, and harms no other", () => {
    using it = rig()
    using server = HostSocket.listen()
    const [web, db] = [it.machine("web"), it.machine("db")]
    const say = connect(it, web, ends(server.port))
    say(HELLO)
    using first = server.accept()
    const sayToo = connect(it, db, ends(server.port, "192.168.64.6"))
    sayToo(HELLO)
    using second = server.accept()
    expect([first?.read(), second?.read()]).toEqual(["hello", "hello"])
    const flow = it.network.flows.tcp.table.all().find(({ link }) => link.name === "web")
    Object.assign(flow ?? {}, { deliver: bug })
    say(HELLO)
    const heard = web.take().map(hear)
    expect(heard.some(({ flags }) => (flags & RST) !== 0)).toBe(true)
    expect(first?.read()).toBe("ECONNRESET")
    sayToo(HELLO)
    expect(second?.read()).toBe("hello")
    expect([pings(it, web), pings(it, db)]).toEqual([1, 1])
    expect(statusOf(it.network).counters).toMatchObject({ faults: 1, "tcp-faults": 1 })
    expect(it.told("link-broken")).toEqual([])
    expect(it.told("fault")).toMatchObject([
      { where: "flow", machine: "web", reason: "Error: found by a guest" },
    ])
    expect(it.told("fault")[0]?.stack).toContain("containment.test.ts")
  })

  it("where a client of the host is led costs that client, and the listener goes on", () => {
    using it = rig({ policy: { mode: "loopback", closedPorts: [] } })
    const port = closedPort()
    it.machine("web")
    it.network.forwards.add({
      transport: "tcp",
      hostAddress: "127.0.0.1",
      hostPort: port,
      guestPort: 80,
      guestAddress: GUEST,
    })
    it.network.neighbours.lookup = bug
    using lost = HostSocket.connected(sys.SOCK_STREAM, port)
    it.until(() => lost.read() === "")
    expect(it.told("fault")).toMatchObject([{ where: "listener" }])
    Reflect.deleteProperty(it.network.neighbours, "lookup")
    using waits = HostSocket.connected(sys.SOCK_STREAM, port)
    it.settle()
    expect(waits.read()).toBe(undefined)
    expect(it.network.containment.count).toBe(1)
  })

  it("in what is done now and then harms nothing, until there are too many", () => {
    let now = 1000
    using it = rig({}, { now: () => now })
    const web = it.machine("web")
    it.network.neighbours.dispatch = bug
    it.network.neighbours.pollAt = () => now
    for (let count = 0; count < 10; count++) it.loop.step()
    expect(it.network.containment.count).toBeGreaterThan(0)
    expect(pings(it, web)).toBe(1)
    now += 60_001
    // They are forgotten after a minute, and it begins anew.
    const before = it.network.containment.count
    Reflect.deleteProperty(it.network.neighbours, "dispatch")
    it.settle()
    it.network.neighbours.dispatch = bug
    expect(() => {
      for (let count = 0; count < 3 * FAULTS_MOST; count++) it.loop.step()
    }).toThrow(`${FAULTS_MOST} exceptions within a minute, the last in a timer: found by a guest`)
    expect(it.network.containment.count).toBe(before + FAULTS_MOST)
    expect(it.loop.stopped).toBe(true)
    // Nothing of all that fills the log.
    expect(it.told("fault").length).toBeLessThan(12)
  })
})

describe("a machine behind too many exceptions", () => {
  it("of its flows is cut off for a minute, also if it connects again, and no other one is", () => {
    let now = 1000
    using it = rig({}, { now: () => now })
    using server = HostSocket.listen()
    const [web, db] = [it.machine("web"), it.machine("db")]
    for (let count = 0; count < FAULTS_OF_ONE; count++) {
      expect(it.network.machines.get("web")?.cutOffUntil).toBe(0)
      const say = connect(it, web, { ...ends(server.port), fromPort: 40_000 + count })
      Object.assign(it.network.flows.tcp.table.all()[0] ?? {}, { deliver: bug })
      say(HELLO)
      server.accept()?.[Symbol.dispose]()
    }
    expect(it.told("link-broken")).toEqual([
      { type: "link-broken", machine: "web", reason: "too many exceptions: it is cut off for a minute" },
    ])
    expect([pings(it, web), pings(it, db)]).toEqual([0, 1])
    now += 59_000
    it.network.setFaults({ partition: false }, "web")
    expect(pings(it, web)).toBe(0)
    web[Symbol.dispose]()
    it.until(() => it.network.machines.get("web")?.port.carrier === false)
    const again = it.join("web")
    expect(pings(it, again)).toBe(0)
    now += 1000
    it.settle()
    expect([pings(it, again), pings(it, db)]).toEqual([1, 1])
    expect(it.network.containment.count).toBe(FAULTS_OF_ONE)
    expect(it.loop.stopped).toBe(false)
  })

  it("of its link gets it back after a minute, and never ends the thread for all", () => {
    let now = 1000
    using it = rig({}, { now: () => now })
    let web = it.machine("web")
    const db = it.machine("db")
    it.network.reassembly.receive = bug
    for (let minute = 0; minute < 4; minute++) {
      for (let count = 1; count <= FAULTS_OF_ONE; count++) {
        web.send(IPV4, packet(GUEST, PLAN.gateway, 17, new Uint8Array(64), true))
        it.settle()
        now += count < FAULTS_OF_ONE ? 1000 : 59_999
        it.settle()
        if (count < FAULTS_OF_ONE) web = it.join("web")
      }
      expect(pings(it, db)).toBe(1)
      expect(it.network.machines.get("web")?.cutOffUntil).toBe(now + 1)
      now += 1
      it.settle()
      web = it.join("web")
      expect(pings(it, web)).toBe(1)
    }
    expect(it.network.containment.count).toBe(4 * FAULTS_OF_ONE)
    expect(it.loop.stopped).toBe(false)
  })

  it("is forgotten with its link, and so is what is long ago", () => {
    let now = 1000
    using it = rig({}, { now: () => now })
    it.machine("web")
    const faults = (count: number): boolean => {
      for (let index = 0; index < count; index++)
        it.network.containment.note({ where: "flow", machine: "web", error: new Error("found") })
      return (it.network.machines.get("web")?.cutOffUntil ?? 0) > 0
    }
    expect(faults(FAULTS_OF_ONE - 1)).toBe(false)
    it.network.removeLink("web")
    it.machine("web")
    expect(faults(FAULTS_OF_ONE - 1)).toBe(false)
    now += 60_001
    it.settle()
    expect(faults(FAULTS_OF_ONE - 1)).toBe(false)
    expect(faults(1)).toBe(true)
  })
})

describe("a link that flaps", () => {
  it("is told of a few times, then once in ten seconds, the last word last", () => {
    let now = 1000
    using it = rig({}, { now: () => now })
    it.machine("web")[Symbol.dispose]()
    it.until(() => it.network.machines.get("web")?.port.carrier === false)
    for (let round = 0; round < 20; round++) {
      it.join("web")[Symbol.dispose]()
      it.until(() => it.network.machines.get("web")?.port.carrier === false)
    }
    it.machine("db")
    const told = () => it.notices.filter(({ type }) => type.startsWith("machine-"))
    const ofWeb = () => told().filter((notice) => "machine" in notice && notice.machine === "web")
    expect(told()).toHaveLength(6)
    expect(ofWeb()).toHaveLength(5)
    now += 10_000
    it.settle()
    expect(ofWeb()).toHaveLength(6)
    expect(ofWeb().at(-1)).toMatchObject({ type: "machine-disconnected", more: 36 })
    now += 10_000
    it.settle()
    expect(ofWeb()).toHaveLength(6)
    const { length } = ofWeb()
    it.join("web")
    expect(ofWeb().slice(length)).toEqual([{ type: "machine-connected", machine: "web" }])
  })
})
