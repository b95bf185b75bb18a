// A Linux kernel in a network namespace of its own, with its programs, is the machine; a small gateway is on the other end of its interface.
import { execFileSync, spawn, spawnSync } from "node:child_process"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setImmediate } from "node:timers/promises"
import { inNamespace, openTap, SystemMemory, TapLink } from "@skep/link"
import { Loop } from "@skep/loop"
import * as sys from "@skep/loop/sys"
import { afterEach, describe, expect, it } from "vitest"
import { addr, GATEWAY } from "./guest.ts"
import { SmallGateway } from "./small-gateway.ts"

const INTERFACE = "eth7"
const MACHINE_MAC = [0x02, 0, 0, 0, 0, 0x01]

const has = (program: string): boolean => spawnSync("which", [program]).status === 0

/** Why the kernel cannot be judge here, or "". */
function whyNot(): string {
  const missing = ["ping", "ip", "rdisc6", "ndisc6"].filter((program) => !has(program))
  if (missing.length > 0) return `${missing.join(", ")} not installed`
  const tun = sys.open("/dev/net/tun", sys.O_RDWR)
  if (tun < 0) return `/dev/net/tun cannot be opened (${sys.errnoName(tun)})`
  sys.close(tun)
  try {
    network()[Symbol.dispose]()
    return ""
  } catch (error) {
    return `no network namespace can be made (${String(error)})`
  }
}

interface Network extends Disposable {
  readonly path: string
}

/** A namespace without a name: it ends with its last descriptor. */
function network(): Network {
  const home = sys.check(sys.currentNamespace(), "open")
  sys.check(sys.unshare(sys.CLONE_NEWNET), "unshare")
  const there = sys.currentNamespace()
  sys.check(sys.setNamespace(home, sys.CLONE_NEWNET), "setns")
  sys.close(home)
  return {
    path: `/proc/self/fd/${sys.check(there, "open")}`,
    [Symbol.dispose]: () => void sys.close(there),
  }
}

const missing = whyNot()
if (missing !== "") process.stdout.write(`skipped: the kernel judges the gateway's IP (${missing})\n`)
const tshark = has("tshark")
if (!tshark) process.stdout.write("skipped: tshark judges the gateway's frames (tshark is not installed)\n")

const opened: Disposable[] = []
afterEach(() => {
  for (const each of opened.splice(0).toReversed()) each[Symbol.dispose]()
})
const own = <Thing extends Disposable>(thing: Thing): Thing => {
  opened.push(thing)
  return thing
}

function rig() {
  const net = own(network())
  // Addresses are good at once, without looking for duplicates.
  inNamespace(net.path, () => writeFileSync("/proc/sys/net/ipv6/conf/default/accept_dad", "0"))
  const loop = own(new Loop())
  const memory = own(new SystemMemory({ heapBytes: 8 * 1024 * 1024 }))
  const device = openTap({
    interfaceName: INTERFACE,
    netns: net.path,
    addresses: ["192.168.64.2/24"],
    gateway: "192.168.64.1",
    hardwareAddress: Uint8Array.from(MACHINE_MAC),
    up: true,
  })
  const link = own(new TapLink({ name: "tap", scope: loop.root, memory, device }))
  const gateway = new SmallGateway(GATEWAY, link, [addr("fd00:64::1")])
  link.start()
  /** Runs a program in the machine, which ends by itself, while the gateway serves. */
  const run = async (file: string, ...args: string[]) => {
    const child = inNamespace(net.path, () => spawn(file, args, { stdio: ["ignore", "pipe", "pipe"] }))
    let text = ""
    child.stdout.on("data", (chunk: Buffer) => (text += chunk.toString()))
    child.stderr.on("data", (chunk: Buffer) => (text += chunk.toString()))
    let status: number | null | undefined
    child.on("close", (code) => (status = code))
    while (status === undefined) {
      loop.step()
      await setImmediate()
    }
    return { status, text }
  }
  /** What tshark finds wrong with everything that we sent and received. */
  const judge = () => {
    const directory = mkdtempSync(join(tmpdir(), "skep-ip-"))
    try {
      const path = join(directory, "a.pcapng")
      writeFileSync(path, Buffer.concat(gateway.capture))
      const wrong =
        "_ws.malformed || ip.checksum.status == 0 || icmp.checksum.status == 0 || icmpv6.checksum.status == 0 || _ws.expert.severity >= error"
      const options = ["-o", "ip.check_checksum:TRUE"]
      return execFileSync("tshark", ["-r", path, ...options, "-Y", wrong], {
        stdio: ["ignore", "pipe", "ignore"],
      }).toString()
    } finally {
      rmSync(directory, { recursive: true })
    }
  }
  return { run, gateway, judge }
}

describe.skipIf(missing !== "")("to a Linux kernel, the gateway", () => {
  it("is there: ARP, and echo replies of any size, in fragments both ways", async () => {
    const { run, gateway, judge } = rig()
    for (const [size, address] of [
      ["56", "192.168.64.1"],
      ["1472", "192.168.64.254"],
      ["1473", "192.168.64.1"],
      ["20000", "192.168.64.1"],
      ["65507", "192.168.64.1"],
    ] as const) {
      const { status, text } = await run(
        "ping",
        "-n",
        "-c",
        "3",
        "-i",
        "0.05",
        // For the last one; with -w it would send more than three while it waits.
        "-W",
        "10",
        "-M",
        "dont",
        "-s",
        size,
        address,
      )
      expect(text).toContain("3 packets transmitted, 3 received")
      expect(status).toBe(0)
    }
    expect(gateway.reassembly.counts.snapshot()).toMatchObject({
      whole: 9,
      "fragment-overlap": 0,
      "fragment-memory": 0,
    })
    expect(gateway.reassembly.size).toBe(0)
    if (tshark) expect(judge()).toBe("")
  })

  it("gives it an address, a route, name servers and answers over IPv6", async () => {
    const { run, gateway, judge } = rig()
    gateway.dispatch(0)
    // The prefix, its interface identifier from the MAC address.
    const seen = await run("rdisc6", "-1", "-r", "1", "-w", "2000", INTERFACE)
    expect(seen.text).toMatch(/Prefix\s+: fd00:64::\/64/)
    expect(seen.text).toMatch(/MTU\s+:\s+1500 bytes/)
    expect(seen.text).toMatch(/Recursive DNS server\s+: fd00:64::1/)
    const addresses = await run("ip", "-6", "addr", "show", "dev", INTERFACE)
    expect(addresses.text).toContain("fd00:64::ff:fe00:1/64")
    const routes = await run("ip", "-6", "route")
    expect(routes.text).toMatch(/default via fe80::5894:efff:fee4:cdd dev eth7 proto ra/)
    const found = await run("ndisc6", "-1", "-r", "1", "-w", "2000", "fd00:64::1", INTERFACE)
    expect(found.text).toContain("5A:94:EF:E4:0C:DD")
    for (const [size, address] of [
      ["56", "fd00:64::1"],
      ["1453", "fd00:64::1"],
      ["30000", "fd00:64::1"],
      ["500", "fe80::5894:efff:fee4:cdd%eth7"],
    ] as const) {
      const { status, text } = await run(
        "ping",
        "-6",
        "-n",
        "-c",
        "3",
        "-i",
        "0.05",
        "-W",
        "10",
        "-s",
        size,
        address,
      )
      expect(text).toContain("3 packets transmitted, 3 received")
      expect(status).toBe(0)
    }
    expect(gateway.dropped).toEqual([])
    if (tshark) expect(judge()).toBe("")
  })

  it("tells of what cannot be reached, in words that it understands", async () => {
    const { run, gateway, judge } = rig()
    gateway.dispatch(0)
    await run("rdisc6", "-1", "-r", "1", "-w", "2000", INTERFACE)
    const ping = async (...args: string[]) =>
      (await run("ping", "-n", "-c", "1", "-W", "5", "-w", "10", ...args)).text
    expect(await ping("8.8.8.8")).toContain("From 192.168.64.1 icmp_seq=1 Destination Net Unreachable")
    expect(await ping("-t", "1", "8.8.8.8")).toContain("From 192.168.64.1 icmp_seq=1 Time to live exceeded")
    expect(await ping("2001:db8::8")).toContain(
      "From fd00:64::1 icmp_seq=1 Destination unreachable: No route",
    )
    expect(await ping("-t", "1", "2001:db8::8")).toContain(
      "From fd00:64::1 icmp_seq=1 Time exceeded: Hop limit",
    )
    // bash's /dev/udp: the error comes with the second write.
    for (const address of ["192.168.64.1", "fd00:64::1"]) {
      const { text } = await run(
        "bash",
        "-c",
        `exec 3>/dev/udp/${address}/9; for i in 1 2 3; do echo x >&3; read -t 0.2 <&1; done`,
      )
      expect(text).toContain("Connection refused")
    }
    if (tshark) expect(judge()).toBe("")
  })
})
