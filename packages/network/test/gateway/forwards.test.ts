// Clients of the host that are led to machines: by a machine's name, by an address, to the guest's own loopback, and when nobody answers.

import * as sys from "@skep/loop/sys"
import { describe, expect, it } from "vitest"
import { ACK, ARP, arp, datagram, hear, IPV4, SYN, segment } from "./packets.ts"
import { type Machine, PLAN, type Rig, rig } from "./rig.ts"
import { closedPort, HostSocket } from "./sockets.ts"

const GUEST = "192.168.64.5"
const BROADCAST = 0xffff_ffff_ffff

const rule = (hostPort: number, more: object = {}) =>
  ({ transport: "tcp", hostAddress: "127.0.0.1", hostPort, guestPort: 80, ...more }) as const

const lease = (machine: string, address = GUEST) => ({
  address,
  mac: "02:00:00:00:00:01",
  machine,
  granted: Date.now(),
  renewed: Date.now(),
  expires: Date.now() + 3_600_000,
})

/** Says at which address a machine is, so that nobody has to ask. */
function introduce(it: Rig, machine: Machine, address: string): void {
  machine.send(ARP, arp(1, { mac: machine.mac, address }, PLAN.gateway), BROADCAST)
  it.settle()
  machine.take()
}

const calls = (machine: Machine) =>
  machine
    .take()
    .map(hear)
    .filter(({ flags }) => flags === SYN)

describe("a forward", () => {
  it("leads a client to the machine of its name, both ways", () => {
    using it = rig({ leases: [lease("web")] })
    const machine = it.machine("web")
    introduce(it, machine, GUEST)
    const port = closedPort()
    it.network.forwards.add(rule(port, { machine: "web" }))
    using client = HostSocket.connected(sys.SOCK_STREAM, port)
    it.settle()
    const [call] = calls(machine)
    expect(call).toMatchObject({ from: PLAN.gateway, to: GUEST, toPort: 80 })
    const ends = { from: GUEST, to: PLAN.gateway, fromPort: 80, toPort: call?.fromPort ?? 0 }
    const acknowledgement = (call?.sequence ?? 0) + 1
    machine.send(IPV4, segment(ends, { flags: SYN | ACK, sequence: 500, acknowledgement }))
    it.settle()
    const payload = Buffer.from("welcome")
    machine.send(IPV4, segment(ends, { flags: ACK, sequence: 501, acknowledgement, payload }))
    it.settle()
    expect(client.read()).toBe("welcome")
  })

  it("asks for a machine that is not known yet, and its client waits", () => {
    using it = rig()
    const machine = it.machine("web")
    const port = closedPort()
    it.network.forwards.add(rule(port, { guestAddress: GUEST }))
    using client = HostSocket.connected(sys.SOCK_STREAM, port)
    it.settle()
    const asked = machine.take().filter((frame) => hear(frame).type === ARP)
    expect(asked.length).toBeGreaterThan(0)
    expect(client.read()).toBeUndefined()
    machine.send(ARP, arp(2, { mac: machine.mac, address: GUEST }, PLAN.gateway))
    it.settle()
    expect(calls(machine)).toMatchObject([{ to: GUEST, toPort: 80 }])
  })

  it("gives its client up when no machine answers in time", () => {
    let now = 1000
    using it = rig({}, { now: () => now })
    it.machine("web")
    const port = closedPort()
    it.network.forwards.add(rule(port, { guestAddress: GUEST }))
    using client = HostSocket.connected(sys.SOCK_STREAM, port)
    for (let second = 0; second < 3; second++) {
      it.settle()
      expect(client.read()).toBeUndefined()
      now += 1000
    }
    it.settle()
    expect(client.read()).toBe("")
    expect(it.network.listeners.unanswered).toBe(1)
  })

  it("does not let the next client wait for what nobody has answered just now", () => {
    let now = 1000
    using it = rig({}, { now: () => now })
    const machine = it.machine("web")
    const port = closedPort()
    it.network.forwards.add(rule(port, { guestAddress: GUEST }))
    using _first = HostSocket.connected(sys.SOCK_STREAM, port)
    for (let second = 0; second < 4; second++) {
      it.settle()
      now += 1000
    }
    using second = HostSocket.connected(sys.SOCK_STREAM, port)
    it.settle()
    expect(second.read()).toBe("")
    expect(it.network.listeners.unanswered).toBe(2)
    // A machine that is heard of is there, and one that was not for a while is asked for again.
    now += 10_000
    using third = HostSocket.connected(sys.SOCK_STREAM, port)
    it.settle()
    expect(third.read()).toBeUndefined()
    machine.take()
    introduce(it, machine, GUEST)
    now += 1000
    using _fourth = HostSocket.connected(sys.SOCK_STREAM, port)
    it.settle()
    expect(it.network.listeners.unanswered).toBe(2)
    expect(it.network.flows.tcp.table.size).toBe(2)
  })

  it("reaches the guest's own loopback, which answers from there", () => {
    using it = rig({ leases: [lease("web")] })
    const machine = it.machine("web")
    introduce(it, machine, GUEST)
    const port = closedPort()
    it.network.forwards.add(rule(port, { machine: "web", guestAddress: "127.0.0.1" }))
    using client = HostSocket.connected(sys.SOCK_STREAM, port)
    it.settle()
    const [call] = calls(machine)
    expect(call).toMatchObject({ to: "127.0.0.1", from: PLAN.gateway })
    const ends = { from: "127.0.0.1", to: PLAN.gateway, fromPort: 80, toPort: call?.fromPort ?? 0 }
    const acknowledgement = (call?.sequence ?? 0) + 1
    machine.send(IPV4, segment(ends, { flags: SYN | ACK, sequence: 1, acknowledgement }))
    it.settle()
    const payload = Buffer.from("from within")
    machine.send(IPV4, segment(ends, { flags: ACK, sequence: 2, acknowledgement, payload }))
    it.settle()
    expect(client.read()).toBe("from within")
    // Anybody else's loopback stays where it is.
    machine.send(IPV4, segment({ ...ends, toPort: 1 }, { flags: SYN, sequence: 1 }))
    it.settle()
    expect(it.network.gateway.reasons.snapshot()).toMatchObject({ "source-loopback": 1 })
  })

  it("is not led astray by a machine that takes another's address", () => {
    using it = rig({ leases: [lease("web")] })
    const [web, thief] = [it.machine("web"), it.machine("thief")]
    introduce(it, web, GUEST)
    introduce(it, thief, GUEST)
    expect(it.network.neighbours.counts.snapshot()).toMatchObject({ "not-theirs": 1, moved: 0 })
    // Not by its MAC address either.
    thief.send(ARP, arp(1, { mac: web.mac, address: "192.168.64.9" }, PLAN.gateway), BROADCAST, web.mac)
    it.settle()
    const port = closedPort()
    it.network.forwards.add(rule(port, { machine: "web" }))
    using _client = HostSocket.connected(sys.SOCK_STREAM, port)
    it.settle()
    expect([calls(web).length, calls(thief).length]).toEqual([1, 0])
  })

  it("leads datagrams, and their answers back to each client", () => {
    using it = rig({ leases: [lease("web")] })
    const machine = it.machine("web")
    introduce(it, machine, GUEST)
    const port = closedPort()
    it.network.forwards.add({ ...rule(port, { machine: "web" }), transport: "udp" })
    using one = HostSocket.connected(sys.SOCK_DGRAM, port)
    using two = HostSocket.connected(sys.SOCK_DGRAM, port)
    one.write("from one")
    two.write("from two")
    it.settle()
    const heard = machine
      .take()
      .map(hear)
      .filter(({ protocol }) => protocol === 17)
    expect(heard.map(({ payload }) => Buffer.from(payload).toString())).toEqual(["from one", "from two"])
    for (const { fromPort, payload } of heard) {
      const ends = { from: GUEST, to: PLAN.gateway, fromPort: 80, toPort: fromPort }
      machine.send(IPV4, datagram(ends, Buffer.concat([Buffer.from("re: "), payload])))
    }
    it.settle()
    expect([one.read(), two.read()]).toEqual(["re: from one", "re: from two"])
  })

  it("gives back what it took when it goes", () => {
    using it = rig({ leases: [lease("web")] })
    const machine = it.machine("web")
    introduce(it, machine, GUEST)
    const port = closedPort()
    const { id } = it.network.forwards.add({ ...rule(port, { machine: "web" }), transport: "udp" })
    using client = HostSocket.connected(sys.SOCK_DGRAM, port)
    client.write("hello")
    it.settle()
    expect(it.network.forwards.remove({ id })).toBe(true)
    const [heard] = machine
      .take()
      .map(hear)
      .filter(({ protocol }) => protocol === 17)
    const ends = { from: GUEST, to: PLAN.gateway, fromPort: 80, toPort: heard?.fromPort ?? 0 }
    machine.send(IPV4, datagram(ends, Buffer.from("too late")))
    it.settle()
    expect(client.read()).toBeUndefined()
    it.network.forwards.add({ ...rule(port), transport: "udp" })
  })
})
