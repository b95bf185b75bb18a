// A machine whose link takes less, or more, than the network's packets is told so by each way of telling it.

import { code, decode, parse } from "@skep/wire/dhcp"
import * as ndp from "@skep/wire/ndp"
import { expect, it } from "vitest"
import { message } from "../dhcp/client.ts"
import { datagram, hear, IPV4, IPV6, neighbourly } from "./packets.ts"
import { type Machine, rig } from "./rig.ts"

const ALL_ROUTERS = 0x3333_0000_0002
const EVERYBODY = { from: "0.0.0.0", to: "255.255.255.255", fromPort: 68, toPort: 67 }

/** What the gateway said of the MTU as router, to one or to all. */
function routerMtus(machine: Machine): readonly unknown[] {
  return machine
    .take()
    .map(hear)
    .filter(({ payload }) => payload[0] === ndp.ROUTER_ADVERTISEMENT)
    .map(({ payload, to }) => {
      const said = ndp.parseRouterAdvertisement(payload, 0, payload.length)
      return [to, typeof said === "string" ? said : said.mtu]
    })
}

/** What DHCP offers. */
function offeredMtus(machine: Machine): readonly unknown[] {
  return machine
    .take()
    .map(hear)
    .filter(({ fromPort }) => fromPort === 67)
    .map(({ payload }) => {
      const read = parse(payload, 0, payload.length)
      const bytes = typeof read === "string" ? undefined : read.options.get(code.INTERFACE_MTU)
      return bytes === undefined ? read : decode(code.INTERFACE_MTU, bytes)
    })
}

it("is that of its own link, in router advertisements and in DHCP", () => {
  let now = 1000
  using here = rig({}, { now: () => now })
  const machines = [
    here.machine("web"),
    here.machine("narrow", { mtu: 1280 }),
    here.machine("wide", { mtu: 9000 }),
  ]
  const mtus = [1500, 1280, 9000]
  now += 400_000
  here.settle()
  expect(machines.map(routerMtus)).toEqual(mtus.map((mtu) => [["ff02::1", mtu]]))
  for (const [index, machine] of machines.entries()) {
    const asked = new Uint8Array(16)
    const size = ndp.emitRouterSolicitation(asked, 0, machine.mac)
    machine.send(IPV6, neighbourly(`fe80::${index + 1}`, "ff02::2", asked.subarray(0, size)), ALL_ROUTERS)
  }
  here.settle()
  expect(machines.map(routerMtus)).toEqual(mtus.map((mtu, index) => [[`fe80::${index + 1}`, mtu]]))
  for (const machine of machines)
    machine.send(
      IPV4,
      datagram(EVERYBODY, message({ type: "discover", mac: machine.mac, wants: [code.INTERFACE_MTU] })),
    )
  here.settle()
  expect(machines.map(offeredMtus)).toEqual(mtus.map((mtu) => [mtu]))
})
