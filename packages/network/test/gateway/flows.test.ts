// Flows of machines to the host: where each may go, what it hears when it may not, and what a change of policy does to it.

import { join } from "node:path"
import * as sys from "@skep/loop/sys"
import { describe, expect, it } from "vitest"
import { ACK, datagram, type Ends, hear, IPV4, RST, SYN, segment } from "./packets.ts"
import { type Machine, PLAN, type Rig, rig } from "./rig.ts"
import { closedPort, HostSocket } from "./sockets.ts"

const GUEST = "192.168.64.5"
const ELSEWHERE = "198.51.100.7"
const UNREACHABLE = 3
const PROHIBITED = 13

const ends = (toPort: number, to: string = PLAN.gateway, fromPort = 40_000): Ends => ({
  from: GUEST,
  to,
  fromPort,
  toPort,
})

const heardBy = (machine: Machine) => machine.take().map(hear)

/** A connection that stands. */
function connect(it: Rig, machine: Machine, to: Ends): { readonly sequence: number } {
  machine.send(IPV4, segment(to, { flags: SYN, sequence: 100 }))
  const heard: ReturnType<typeof heardBy>[number][] = []
  it.until(() => {
    heard.push(...heardBy(machine).filter(({ flags }) => (flags & SYN) !== 0))
    return heard.length > 0
  })
  const [answer] = heard
  expect(answer).toMatchObject({ flags: SYN | ACK, from: to.to, acknowledgement: 101 })
  const acknowledgement = (answer?.sequence ?? 0) + 1
  machine.send(IPV4, segment(to, { flags: ACK, sequence: 101, acknowledgement }))
  it.settle()
  return { sequence: acknowledgement }
}

describe("a TCP connection", () => {
  it("to the gateway's address goes to the host's loopback", () => {
    using it = rig()
    using server = HostSocket.listen()
    const machine = it.machine("web")
    const to = ends(server.port)
    const { sequence } = connect(it, machine, to)
    using client = server.accept()
    const payload = Buffer.from("hello")
    machine.send(IPV4, segment(to, { flags: ACK, sequence: 101, acknowledgement: sequence, payload }))
    it.settle()
    expect(client?.read()).toBe("hello")
    client?.write("and back")
    it.settle()
    const back = heardBy(machine).filter((heard) => heard.payload.length > 0)
    expect(back.map((heard) => Buffer.from(heard.payload).toString())).toEqual(["and back"])
    expect(it.network.flows.tcp.table.size).toBe(1)
  })

  it("to a closed port is reset", () => {
    using it = rig()
    const machine = it.machine("web")
    machine.send(IPV4, segment(ends(closedPort()), { flags: SYN, sequence: 7 }))
    it.settle()
    const answers = heardBy(machine).filter(({ protocol }) => protocol === 6)
    expect(answers).toMatchObject([{ flags: RST | ACK, acknowledgement: 8 }])
    expect(it.network.flows.tcp.table.size).toBe(0)
  })

  it("that the policy refuses is told by ICMP and a reset, and counted", () => {
    using it = rig()
    const machine = it.machine("web")
    machine.send(IPV4, segment(ends(443, ELSEWHERE), { flags: SYN, sequence: 7 }))
    it.settle()
    const answers = heardBy(machine)
    const told = answers.filter(({ protocol }) => protocol === 1)
    expect(told.map(({ payload }) => [payload[0], payload[1]])).toEqual([[UNREACHABLE, PROHIBITED]])
    expect(answers.filter(({ protocol }) => protocol === 6)).toMatchObject([{ flags: RST | ACK }])
    expect(it.told("refused")).toMatchObject([
      { machine: "web", protocol: "tcp", destination: ELSEWHERE, port: 443, reason: "policy" },
    ])
  })

  it("is answered from the gateway's own MAC, whatever group its frame was for", () => {
    using it = rig()
    using server = HostSocket.listen()
    const machine = it.machine("web")
    machine.send(IPV4, segment(ends(server.port), { flags: SYN, sequence: 7 }), 0xffff_ffff_ffff)
    it.settle()
    const [answer] = machine.take().filter((frame) => hear(frame).protocol === 6)
    expect(Buffer.from(answer ?? []).toString("hex", 6, 12)).toBe(PLAN.gatewayMac.replaceAll(":", ""))
  })

  it("to many is dropped, and nobody is refused anything", () => {
    using it = rig({ policy: { mode: "open", closedPorts: [] } })
    const machine = it.machine("web")
    for (const to of ["224.0.0.251", "255.255.255.255", "192.168.64.255"]) {
      machine.send(IPV4, segment(ends(80, to), { flags: SYN, sequence: 7 }))
      machine.send(IPV4, datagram(ends(5353, to), Buffer.from("who is there")))
    }
    it.settle()
    expect(it.network.gateway.reasons.snapshot()).toMatchObject({ "for-many": 6 })
    expect(heardBy(machine).filter(({ protocol }) => protocol !== 0 && protocol !== 58)).toEqual([])
    expect(it.told("refused")).toEqual([])
  })
})

describe("a service of the gateway", () => {
  const PORT = 2049

  it("leads its machine to a Unix socket, under every policy", () => {
    using it = rig({ policy: { mode: "nothing", closedPorts: [] } })
    const path = join(it.directory, "service.sock")
    using server = HostSocket.listenAt(path)
    const machine = it.machine("web", { services: [{ port: PORT, socket: path }] })
    connect(it, machine, ends(PORT))
    using client = server.accept()
    client?.write("hello")
    it.settle()
    expect(heardBy(machine).map(({ payload }) => Buffer.from(payload).toString())).toContain("hello")
    it.network.setPolicy({ mode: "nothing", closedPorts: [] }, "web")
    expect(it.network.flows.tcp.table.size).toBe(1)
  })

  it("is not there for others, nor at other addresses", () => {
    using it = rig({ policy: { mode: "nothing", closedPorts: [] } })
    const path = join(it.directory, "service.sock")
    using server = HostSocket.listenAt(path)
    const machine = it.machine("web", { services: [{ port: PORT, socket: path }] })
    const other = it.machine("db")
    other.send(IPV4, segment({ ...ends(PORT), from: "192.168.64.6" }, { flags: SYN, sequence: 7 }))
    machine.send(IPV4, segment(ends(PORT, ELSEWHERE), { flags: SYN, sequence: 7 }))
    machine.send(IPV4, segment(ends(PORT + 1), { flags: SYN, sequence: 7 }))
    it.settle()
    for (const refused of [...heardBy(machine), ...heardBy(other)].filter(({ protocol }) => protocol === 6))
      expect(refused.flags).toBe(RST | ACK)
    expect(server.accept()).toBeUndefined()
  })
})

describe("an ICMP error", () => {
  it("goes to whom it is about, whatever other address the machine has used since", () => {
    using it = rig()
    const machine = it.machine("web")
    const bridged = machine.mac + 0x1000
    const to = ends(closedPort(sys.SOCK_DGRAM))
    // One turn brings both; what the host says of the first comes after it.
    machine.send(IPV4, datagram(to, Buffer.from("anybody there?")), undefined, bridged)
    machine.send(IPV4, datagram(ends(67, PLAN.gateway, 68), new Uint8Array(0)))
    const told: ReturnType<typeof heardBy>[number][] = []
    it.until(() => {
      told.push(...heardBy(machine).filter(({ protocol }) => protocol === 1))
      return told.length > 0
    })
    expect(it.network.machines.get("web")?.mac).toBe(machine.mac)
    expect(told.map(({ destinationMac }) => destinationMac)).toEqual([bridged])
  })
})

describe("setPolicy()", () => {
  it("ends flows that it forbids, of that machine only, and guests hear of it", () => {
    using it = rig()
    using server = HostSocket.listen()
    using other = HostSocket.listen()
    const [web, db] = [it.machine("web"), it.machine("db")]
    const fromDb = { ...ends(server.port), from: "192.168.64.6" }
    connect(it, web, ends(server.port))
    connect(it, web, ends(other.port))
    connect(it, db, fromDb)
    using clients = new DisposableSockets(server, other)
    clients.acceptAll()
    const closedPorts = [[server.port, server.port]] as const
    it.network.setPolicy({ mode: "loopback", closedPorts }, "web")
    it.settle()
    const resets = heardBy(web).filter(({ flags }) => (flags & RST) !== 0)
    expect(resets.map(({ fromPort }) => fromPort)).toEqual([server.port])
    expect(heardBy(db).filter(({ flags }) => (flags & RST) !== 0)).toEqual([])
    expect(it.network.flows.tcp.table.size).toBe(2)
    expect(clients.read().toSorted()).toEqual(["ECONNRESET", "nothing", "nothing"])
    it.network.setPolicy({ mode: "nothing", closedPorts: [] })
    it.settle()
    // The machine that has its own policy keeps what that allows.
    expect(it.network.flows.tcp.table.all().map(({ ends: { otherPort } }) => otherPort)).toEqual([other.port])
  })

  it("ends associations of datagrams that it forbids", () => {
    using it = rig()
    using server = HostSocket.bound(sys.SOCK_DGRAM)
    const machine = it.machine("web")
    machine.send(IPV4, datagram(ends(server.port), Buffer.from("ping")))
    it.settle()
    expect(server.read()).toBe("ping")
    expect(it.network.flows.datagrams.table.size).toBe(1)
    it.network.setPolicy({ mode: "loopback", closedPorts: [] })
    expect(it.network.flows.datagrams.table.size).toBe(1)
    it.network.setPolicy({ mode: "nothing", closedPorts: [] })
    expect(it.network.flows.datagrams.table.size).toBe(0)
  })
})

/** Those that have come to some listeners. */
class DisposableSockets implements Disposable {
  readonly #listeners: readonly HostSocket[]
  readonly #clients: HostSocket[] = []

  constructor(...listeners: readonly HostSocket[]) {
    this.#listeners = listeners
  }

  acceptAll(): void {
    for (const listener of this.#listeners) {
      for (let client = listener.accept(); client !== undefined; client = listener.accept())
        this.#clients.push(client)
    }
  }

  read(): readonly string[] {
    return this.#clients.map((client) => client.read() ?? "nothing")
  }

  [Symbol.dispose](): void {
    for (const client of this.#clients) client[Symbol.dispose]()
  }
}
