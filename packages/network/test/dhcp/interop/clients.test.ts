/**
 * The server judged by the clients of others: busybox's udhcpc, ISC's dhclient, dhcpcd and Kea's perfdhcp; and what they said to each other by
 * tshark.
 *
 * @module
 */
import { execFileSync } from "node:child_process"
import { writeFile } from "node:fs/promises"
import type { Program } from "@skep/testkit"
import { leftoversOf } from "@skep/testkit"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import type { DhcpNetwork } from "../../../src/dhcp/index.ts"
import { type Guest, guest, missing } from "./guest.ts"

const NETWORK: DhcpNetwork = {
  subnet: "192.168.64.0/22",
  gateway: "192.168.64.1",
  domain: "skep.internal",
  search: ["skep.internal", "example.test"],
  timeServers: ["192.168.64.1"],
  mtu: 1400,
  routes: [{ destination: "10.88.0.0/16", router: "192.168.64.7" }],
  leaseSeconds: 600,
}

const CAPTURE = ["tcpdump", "tshark", "ethtool"]
const UDHCPC = missing(["udhcpc", ...CAPTURE])
const DHCLIENT = missing(["dhclient", ...CAPTURE])
const DHCPCD = missing(["dhcpcd", "mount", ...CAPTURE])
const PERFDHCP = missing(["perfdhcp", ...CAPTURE])
const NAMES = Object.entries({ UDHCPC, DHCLIENT, DHCPCD, PERFDHCP })
for (const [name, reason] of NAMES) {
  if (reason !== undefined) process.stderr.write(`skipped: ${name.toLowerCase()} ${reason}\n`)
}

describe.skipIf(NAMES.every(([, reason]) => reason !== undefined))("a lease is given to", () => {
  let net: Guest
  let capture: Program

  beforeAll(async () => {
    net = await guest()
    // Packets as they come, and a file that any user may write: tcpdump gives up being root.
    capture = net.start(
      "tcpdump",
      "-Z",
      "root",
      "-U",
      "-n",
      "-i",
      net.device,
      "-w",
      net.directory.at("capture.pcap"),
    )
    await capture.line((line) => line.includes("listening on"))
  })

  afterAll(async () => {
    await net[Symbol.asyncDispose]()
  })

  async function script(name: string, text: string): Promise<string> {
    const path = net.directory.at(name)
    await writeFile(path, `#!/bin/sh\n${text}`, { mode: 0o755 })
    return path
  }

  /** Prints `NAME=value` for each, as the client gave it. */
  function print(event: string, names: readonly string[]): string {
    return `printf 'event=%s;${names.map((name) => `${name}=%s`).join(";")}\\n' "$${event}" ${names.map((name) => `"$${name}"`).join(" ")}\n`
  }

  function fields(line: string): Readonly<Record<string, string>> {
    return Object.fromEntries(line.split(";").map((part) => part.split("=", 2)))
  }

  describe.skipIf(UDHCPC !== undefined)("udhcpc", () => {
    const names = [
      "ip",
      "subnet",
      "router",
      "dns",
      "domain",
      "search",
      "staticroutes",
      "mtu",
      "ntpsrv",
      "lease",
      "hostname",
      "serverid",
    ]
    const text = [
      'case "$1" in',
      '  deconfig) ip addr flush dev "$interface" scope global ;;',
      '  bound | renew) ip addr replace "$ip/$mask" dev "$interface" ;;',
      "esac",
      print("1", names),
    ].join("\n")

    async function udhcpc(...more: readonly string[]): Promise<Program> {
      const path = await script("udhcpc.sh", text)
      const wants = ["search", "staticroutes", "mtu", "ntpsrv"].flatMap((name) => ["-O", name])
      return net.start("udhcpc", "-i", net.device, "-f", "-s", path, "-t", "5", "-T", "1", ...wants, ...more)
    }

    it("with all it asks for, renewed by unicast, and released", async () => {
      await using server = await net.serve({ network: NETWORK })
      await using client = await udhcpc("-x", "hostname:bee")
      const bound = fields(await client.line((line) => line.startsWith("event=bound")))
      const address = bound["ip"] ?? ""
      expect(bound).toEqual({
        event: "bound",
        ip: expect.stringMatching(/^192\.168\.6[4-7]\.\d+$/),
        subnet: "255.255.252.0",
        router: "192.168.64.1",
        dns: "192.168.64.1",
        domain: "skep.internal",
        search: "skep.internal example.test",
        staticroutes: "0.0.0.0/0 192.168.64.1 10.88.0.0/16 192.168.64.7",
        mtu: "1400",
        ntpsrv: "192.168.64.1",
        lease: "600",
        hostname: "guest",
        serverid: "192.168.64.1",
      })
      client.child.kill("SIGUSR1")
      await server.message(({ way, type, peer }) => way === "in" && type === "request" && peer === address)
      await client.line((line) => line.startsWith("event=renew"))
      client.child.kill("SIGUSR2")
      await server.message(({ type }) => type === "release")
      const { leases, counters } = await server.result()
      expect(counters).toEqual({ discover: 1, offer: 1, request: 2, ack: 2, release: 1 })
      expect(leases).toMatchObject([{ address, machine: "guest", hostName: "bee" }])
      expect(leases[0]?.expires).toBeLessThan((leases[0]?.renewed ?? 0) + 600_000)
    })

    it("that finds the address in use and declines it, having asked to be told by broadcast", async () => {
      // The server's kernel answers for it: so it could not send there, but to all.
      net.addNeighbour("192.168.64.18")
      const range = { first: "192.168.64.18", last: "192.168.64.19" }
      await using server = await net.serve({ network: { ...NETWORK, range } })
      await using client = await udhcpc("-B", "-r", "192.168.64.18", "-a200", "-A", "1", "-q")
      const bound = fields(await client.line((line) => line.startsWith("event=bound")))
      expect(bound).toMatchObject({ ip: "192.168.64.19" })
      const { counters } = await server.result()
      expect(counters).toMatchObject({ decline: 1, ack: 2 })
    })
  })

  describe.skipIf(DHCLIENT !== undefined)("dhclient", () => {
    it("with all it asks for, after its address of another network was refused", async () => {
      const names = [
        "ip_address",
        "subnet_mask",
        "broadcast_address",
        "routers",
        "domain_name",
        "domain_search",
        "domain_name_servers",
        "host_name",
        "interface_mtu",
        "ntp_servers",
        "classless_routes",
        "dhcp_lease_time",
        "dhcp_renewal_time",
        "dhcp_rebinding_time",
      ]
      const path = await script(
        "dhclient.sh",
        print(
          "reason",
          names.map((name) => `new_${name}`),
        ),
      )
      await writeFile(
        net.directory.at("dhclient.conf"),
        [
          'send host-name "bee";',
          "option classless-routes code 121 = array of unsigned integer 8;",
          "request subnet-mask, broadcast-address, routers, domain-name, domain-search, domain-name-servers, host-name, interface-mtu, ntp-servers, classless-routes, dhcp-renewal-time, dhcp-rebinding-time;",
        ].join("\n"),
      )
      const never = "5 2037/01/02 00:00:00"
      await writeFile(
        net.directory.at("dhclient.leases"),
        [
          `lease { interface "${net.device}"; fixed-address 10.9.8.7; option subnet-mask 255.255.255.0;`,
          `option dhcp-lease-time 600; option dhcp-server-identifier 10.9.8.1; renew ${never}; rebind ${never}; expire ${never}; }`,
          "",
        ].join("\n"),
      )
      await using server = await net.serve({ network: NETWORK })
      const at = (name: string): string => net.directory.at(`dhclient.${name}`)
      const files = ["-cf", at("conf"), "-lf", at("leases"), "-pf", at("pid"), "-sf", path]
      await using client = net.start("dhclient", "-4", "-d", "-v", ...files, net.device)
      const bound = fields(await client.line((line) => line.startsWith("event=BOUND")))
      expect(bound).toEqual({
        event: "BOUND",
        new_ip_address: expect.stringMatching(/^192\.168\.6[4-7]\.\d+$/),
        new_subnet_mask: "255.255.252.0",
        new_broadcast_address: "192.168.67.255",
        new_routers: "192.168.64.1",
        new_domain_name: "skep.internal",
        new_domain_search: "skep.internal. example.test.",
        new_domain_name_servers: "192.168.64.1",
        new_host_name: "guest",
        new_interface_mtu: "1400",
        new_ntp_servers: "192.168.64.1",
        new_classless_routes: "0 192 168 64 1 16 10 88 192 168 64 7",
        new_dhcp_lease_time: "600",
        new_dhcp_renewal_time: "300",
        new_dhcp_rebinding_time: "525",
      })
      const { leases, counters } = await server.result()
      expect(counters).toEqual({ request: 2, nak: 1, discover: 1, offer: 1, ack: 1 })
      expect(leases).toMatchObject([{ address: bound["new_ip_address"], hostName: "bee" }])
    })
  })

  describe.skipIf(DHCPCD !== undefined)("dhcpcd", () => {
    it("with all it asks for, and again when it reboots", async () => {
      const names = [
        "ip_address",
        "subnet_cidr",
        "routers",
        "domain_search",
        "domain_name_servers",
        "interface_mtu",
        "classless_static_routes",
      ]
      const times = ["dhcp_lease_time", "dhcp_renewal_time", "dhcp_rebinding_time"]
      const path = await script(
        "dhcpcd.sh",
        print(
          "reason",
          [...names, ...times].map((name) => `new_${name}`),
        ),
      )
      const config = net.directory.at("dhcpcd.conf")
      const wants =
        "subnet_mask, routers, domain_search, domain_name_servers, interface_mtu, classless_static_routes"
      await writeFile(config, `noarp\nclientid\nhostname bee\noption ${wants}\n`)
      await using server = await net.serve({ network: NETWORK })
      // Its files are at fixed places: it gets places of its own. The second one finds the lease of the first.
      const once = `dhcpcd -4 -B -1 -t 10 -f ${config} -c ${path} ${net.device}`
      const mounts = "mount -t tmpfs tmpfs /run && mount -t tmpfs tmpfs /var/lib/dhcpcd"
      const output = await net.run(
        "unshare",
        "-m",
        "sh",
        "-c",
        `${mounts} && ${once} && ip addr flush dev ${net.device} scope global && ${once}`,
      )
      const events = output.split("\n").filter((line) => /^event=(BOUND|REBOOT)/.test(line))
      expect(events.map(fields)).toEqual(
        ["BOUND", "REBOOT"].map((event) => ({
          event,
          new_ip_address: expect.stringMatching(/^192\.168\.6[4-7]\.\d+$/),
          new_subnet_cidr: "22",
          new_routers: "192.168.64.1",
          new_domain_search: "skep.internal example.test",
          new_domain_name_servers: "192.168.64.1",
          new_interface_mtu: "1400",
          new_classless_static_routes: "0.0.0.0/0 192.168.64.1 10.88.0.0/16 192.168.64.7",
          new_dhcp_lease_time: "600",
          new_dhcp_renewal_time: "300",
          new_dhcp_rebinding_time: "525",
        })),
      )
      const { leases, counters } = await server.result()
      expect(counters).toEqual({ discover: 1, offer: 1, request: 2, ack: 2 })
      expect(leases).toMatchObject([{ address: fields(events[1] ?? "")["new_ip_address"], hostName: "bee" }])
    })
  })

  describe.skipIf(PERFDHCP !== undefined)("perfdhcp", () => {
    it("at 40 exchanges a second as a relay, every one of them", async () => {
      await net.run("ip", "addr", "flush", "dev", net.device, "scope", "global")
      await net.run("ip", "addr", "add", "192.168.64.9/22", "dev", net.device)
      const network = { ...NETWORK, exclude: ["192.168.64.9"] }
      await using server = await net.serve({ network, bounds: { leasesPerLink: 1000, offersPerLink: 1000 } })
      const output = await net.run(
        "perfdhcp",
        "-4",
        "-r",
        "40",
        "-p",
        "4",
        "-R",
        "1000",
        // An answer that is late on a busy host is not lost, nor is what was offered.
        "-d",
        "10",
        "-W",
        "4000000",
        "-l",
        "192.168.64.9",
        "192.168.64.1",
      )
      const counts = (what: string): number[] =>
        [...output.matchAll(new RegExp(`^${what}: (\\d+)$`, "gm"))].map((match) => Number(match[1]))
      const [discovers = 0, requests = 0] = counts("sent packets")
      expect(discovers).toBeGreaterThan(100)
      expect(requests).toBe(discovers)
      expect(counts("received packets")).toEqual([discovers, requests])
      expect(counts("drops")).toEqual([0, 0])
      expect(counts("non unique addresses")).toEqual([0, 0])
      expect(output).toContain("Malformed packets: 0")
      const { leases } = await server.result()
      expect(leases).toHaveLength(discovers)
    })
  })

  it("whoever asks, in messages that tshark finds nothing wrong with", async () => {
    await capture[Symbol.asyncDispose]()
    const checked = ["ip.check_checksum:TRUE", "udp.check_checksum:TRUE"].flatMap((preference) => [
      "-o",
      preference,
    ])
    const tshark = (filter: string): readonly string[] => {
      const args = ["-n", "-r", net.directory.at("capture.pcap"), ...checked, "-Y", filter]
      return execFileSync("tshark", args, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] })
        .split("\n")
        .filter(Boolean)
    }
    expect(tshark("dhcp && udp.srcport == 67").length).toBeGreaterThan(5)
    expect(tshark("_ws.malformed || udp.checksum.status == Bad || ip.checksum.status == Bad")).toEqual([])
    expect(tshark("udp.srcport == 67 && _ws.expert.severity >= 0x600000")).toEqual([])
  })

  it("and leaves nothing behind", async () => {
    await net[Symbol.asyncDispose]()
    expect(await leftoversOf(net.directory.path)).toEqual([])
    expect(execFileSync("ip", ["netns", "list"], { encoding: "utf8" })).not.toContain(`skep-d${process.pid}`)
  })
})
