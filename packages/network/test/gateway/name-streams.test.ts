// DNS over TCP, led to the socket of the name service: whose connection it is comes first.

import { join } from "node:path"
import { Scratch } from "@skep/loop/memory"
import * as sys from "@skep/loop/sys"
import { listenUnix } from "@skep/vhost-user"
import { describe, expect, it } from "vitest"
import { Messages } from "../../src/dns/stream.ts"
import { ACK, hear, IPV4, SYN, segment } from "./packets.ts"
import { type Machine, PLAN, type Rig, rig } from "./rig.ts"

const ROOM = 4096

/** Speaks TCP to the gateway's port 53, up to a first message. */
function asks(it: Rig, machine: Machine, from: string, message: Uint8Array): void {
  const ends = { from, to: PLAN.gateway, fromPort: 4000, toPort: 53 }
  machine.send(IPV4, segment(ends, { flags: SYN, sequence: 100 }))
  it.settle()
  const [answer] = machine
    .take()
    .map(hear)
    .filter(({ flags }) => flags === (SYN | ACK))
  const acknowledgement = (answer?.sequence ?? 0) + 1
  machine.send(IPV4, segment(ends, { flags: ACK, sequence: 101, acknowledgement, payload: message }))
  it.settle()
}

describe("DNS over TCP", () => {
  it.each([
    ["web", "192.168.64.5"],
    ["db", "192.168.64.6"],
  ])("arrives under the name of %s, who cannot say another", (name, address) => {
    const scratch = new Scratch(ROOM)
    const region = scratch.region("name service", ROOM)
    using it = rig()
    const server = listenUnix(join(it.directory, "dns.sock"))
    const [web, db] = [it.machine("web"), it.machine("db")]
    // A message that looks like the name of the other.
    const question = Uint8Array.of(0, 3, ...Buffer.from(name === "web" ? "db " : "web"))
    asks(it, name === "web" ? web : db, address, question)
    const fd = sys.accept(server, sys.SOCK_NONBLOCK)
    const got = sys.receive(fd, region.address, ROOM, sys.MSG_DONTWAIT)
    const messages = new Messages(ROOM).read(Uint8Array.from(region.bytes.subarray(0, got)))
    expect(messages).toEqual([Uint8Array.from(Buffer.from(name)), question.subarray(2)])
    for (const each of [fd, server]) sys.close(each)
    scratch[Symbol.dispose]()
  })
})
