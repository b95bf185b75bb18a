// Who gets which address, and keeps it: clients of Debian, the kernel's own IPv6, and neighbours that are asked for.

import { writeFile } from "node:fs/promises"
import { afterAll, beforeAll, describe, expect, inject, it } from "vitest"
import { missing } from "./requirements.ts"
import { addressesOf, autoconfigured, DEVICE, type Rig, rig, until } from "./rig.ts"

const reason = missing("addresses", "ping")
const cable = inject("cable")
if (cable === "") process.stderr.write("skipped: addresses over QEMU's stream (needs gcc)\n")
const noDhclient = missing("dhclient", "dhclient")
const noDhcpcd = missing("dhcpcd", "dhcpcd", "mount")
const noRdisc6 = missing("router advertisements", "rdisc6")

describe.skipIf(reason !== undefined)("a network", () => {
  let net: Rig

  beforeAll(async () => {
    net = await rig({ machines: { box: "tap", ...(cable === "" ? {} : { cell: "qemu" }) } })
  })
  afterAll(() => net[Symbol.asyncDispose]())

  it("gives each machine an address of each family, and knows it", async () => {
    const { guests, plan } = net
    const status = await until("every machine's address", async () => {
      const known = await net.network().status()
      return known.machines.every(({ address6 }) => address6 !== undefined) ? known : undefined
    })
    for (const { machine, address, address6 } of guests) {
      expect(address).toMatch(/^192\.168\.64\.\d+$/)
      expect(address6.startsWith(plan.subnet6.replace(/::\/64$/, ":"))).toBe(true)
      expect(status.machines.find(({ name }) => name === machine)).toMatchObject({
        address,
        address6,
        connected: true,
      })
    }
    const all = [plan.gateway, plan.host, ...guests.map(({ address }) => address)]
    expect(new Set(all).size).toBe(all.length)
  })

  it("answers for itself: echo, ARP and neighbour discovery, with the one MAC address", async () => {
    const { plan } = net
    for (const guest of net.guests) {
      for (const address of [plan.gateway, plan.host, plan.gateway6, plan.host6])
        expect(await guest.run("ping", "-n", "-c", "2", "-i", "0.2", "-W", "5", address)).toContain(
          " 0% packet loss",
        )
      // Larger than a frame: fragments both ways.
      for (const address of [plan.gateway, plan.gateway6])
        expect(await guest.run("ping", "-n", "-c", "1", "-s", "8000", "-W", "5", address)).toContain(
          "8008 bytes",
        )
      const neighbours = await guest.run("ip", "neigh", "show", "dev", DEVICE)
      for (const address of [plan.gateway, plan.host, plan.gateway6, plan.host6])
        expect(neighbours).toContain(`${address} lladdr ${plan.gatewayMac}`)
    }
  })

  it("is the first hop to anywhere, as traceroute sees it", async () => {
    const { plan } = net
    for (const guest of net.guests) {
      for (const [to, from, told] of [
        ["203.0.113.9", plan.gateway, "Time to live exceeded"],
        ["2001:db8::9", plan.gateway6, "Time exceeded: Hop limit"],
      ] as const) {
        const { code, text } = await guest.try("ping", "-n", "-c", "1", "-t", "1", "-W", "5", to)
        expect([code, text]).toEqual([
          1,
          expect.stringMatching(new RegExp(`From ${from}\\S* icmp_seq=1 ${told}`)),
        ])
      }
    }
  })

  it.skipIf(noRdisc6 !== undefined)(
    "advertises its prefix, itself and its MTU as a router does",
    async () => {
      const { plan } = net
      for (const guest of net.guests) {
        const said = await guest.run("rdisc6", "-1", DEVICE)
        expect(said).toContain(`Prefix                   : ${plan.subnet6}`)
        expect(said).toContain("MTU                      :         1500 bytes")
        expect(said).toContain(`Recursive DNS server     : ${plan.gateway6}`)
        expect(said.toLowerCase()).toContain(plan.gatewayMac)
      }
    },
  )

  it.skipIf(noDhclient !== undefined)("gives dhclient the same address", async () => {
    for (const guest of net.guests) {
      const { directory } = net
      const script = directory.at("dhclient.sh")
      await writeFile(script, '#!/bin/sh\necho "event=$reason $new_ip_address $new_routers"\n', {
        mode: 0o755,
      })
      const files = [
        "-lf",
        directory.at(`${guest.machine}.leases`),
        "-pf",
        directory.at(`${guest.machine}.pid`),
      ]
      await using client = guest.start("dhclient", "-4", "-d", ...files, "-sf", script, DEVICE)
      expect(await client.line((line) => line.startsWith("event=BOUND"))).toBe(
        `event=BOUND ${guest.address} ${net.plan.gateway}`,
      )
    }
  })

  it.skipIf(noDhcpcd !== undefined)("gives dhcpcd the same address", async () => {
    for (const guest of net.guests) {
      const { directory } = net
      const [script, config] = [directory.at("dhcpcd.sh"), directory.at("dhcpcd.conf")]
      await writeFile(script, '#!/bin/sh\necho "event=$reason $new_ip_address"\n', { mode: 0o755 })
      await writeFile(config, "noarp\nclientid\noption routers\n")
      // Its files are at fixed places: it gets places of its own.
      const mounts = "mount -t tmpfs tmpfs /run && mount -t tmpfs tmpfs /var/lib/dhcpcd"
      const client = `dhcpcd -4 -B -1 -t 10 -f ${config} -c ${script} ${DEVICE}`
      const said = await guest.run("unshare", "-m", "sh", "-c", `${mounts} && ${client}`)
      expect(said).toContain(`event=BOUND ${guest.address}`)
    }
  })

  it("comes back with the same addresses when its process is killed", async () => {
    const guest = net.guest("box")
    const { plan } = net
    await net.killAndStart()
    expect((await net.network().status()).plan).toEqual(plan)
    // Of the kernel's, that nobody told.
    expect(await addressesOf(guest, "-4")).toEqual([guest.address])
    expect(await autoconfigured(guest)).toBe(guest.address6)
    for (const address of [plan.gateway, plan.gateway6])
      expect(await guest.run("ping", "-n", "-c", "1", "-W", "5", address)).toContain(" 0% packet loss")
    const leases = await net.network().leases()
    expect(leases.map(({ machine, address }) => `${machine} ${address}`).toSorted()).toEqual(
      net.guests.map((each) => `${each.machine} ${each.address}`),
    )
    const script = net.directory.at("udhcpc.sh")
    const said = await guest
      .run("udhcpc", "-i", DEVICE, "-f", "-q", "-n", "-T", "1", "-s", script)
      .catch(String)
    expect(said).toContain(`lease of ${guest.address} obtained`)
  })
})
