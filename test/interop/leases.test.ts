// Three hundred machines come and go on a network of 253 addresses, by real clients: ours, and dnsmasq with the janitor racing it. None is refused an address, no
// two have one.

import { mkdir, readFile, rm, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { Cleanup } from "@skep/runtime"
import { fromSource, processesMentioning, temporaryDirectory } from "@skep/testkit"
import { describe, expect, it } from "vitest"
import { type Namespace, namespace } from "./namespace.ts"
import { missing } from "./requirements.ts"
import { DEVICE, rig, until } from "./rig.ts"

const MACHINES = 300
/** As many live at one time. */
const LANES = 3
/** One in so many asks by ISC's dhclient, the others by udhcpc. */
const DHCLIENT_EVERY = 50

const reason = missing("three hundred machines by real clients", "dhclient", "sh")
const noDnsmasq = reason ?? missing("three hundred machines of dnsmasq", "dnsmasq")

const UDHCPC_SCRIPT = `#!/bin/sh
[ "$1" = bound ] || exit 0
ip addr add "$ip/24" dev "$interface"
echo "bound to $ip"
`

/** A new machine in the place of the last: another card, no address, and whatever it says is that it has one. */
const BOOT = `
device=$1 mac=$2 name=$3 files=$4 client=$5
ip addr flush dev "$device"
ip link set dev "$device" address "$mac" up
if [ "$client" = udhcpc ]; then
  exec udhcpc -i "$device" -f -q -n -t 10 -T 1 -x "hostname:$name" -s "$files/udhcpc.sh"
fi
dhclient -4 -1 -v -lf "$files/$name.lease" -pf "$files/$name.pid" -sf /bin/true "$device" 2>&1
# What stays behind writes that when it is alone.
for try in $(seq 100); do
  [ -s "$files/$name.pid" ] && { kill "$(cat "$files/$name.pid")"; exit; }
  sleep 0.1
done
exit 1
`

function macOf(machine: number): string {
  return `52:54:00:00:${(machine >>> 8).toString(16).padStart(2, "0")}:${(machine & 255).toString(16).padStart(2, "0")}`
}

/** The address that it got. */
async function boot(lane: Namespace, machine: number, files: string): Promise<string> {
  const client = machine % DHCLIENT_EVERY === 0 ? "dhclient" : "udhcpc"
  const said = await lane.run("sh", "-c", BOOT, "sh", DEVICE, macOf(machine), `m${machine}`, files, client)
  const address = /bound to ([\d.]+)/.exec(said)?.[1]
  if (address === undefined) throw new Error(`m${machine} has no address: ${said}`)
  return address
}

interface Lives {
  /** Makes the machine, and resolves to its address. */
  readonly create: (lane: Namespace, machine: number) => Promise<string>
  /** `given` is what it had. Whoever removes it says so before the address can be another's. */
  readonly remove: (machine: number, given: string, gone: () => void) => Promise<void>
}

/** All machines, some at a time. Returns the addresses in the order they were given; throws for one that two have at one time. */
async function live(lanes: readonly Namespace[], { create, remove }: Lives): Promise<readonly string[]> {
  const held = new Map<string, number>()
  const given: string[] = []
  let next = 0
  await Promise.all(
    lanes.map(async (lane) => {
      for (let machine = next++; machine < MACHINES; machine = next++) {
        const own = machine
        const address = await create(lane, own)
        if (held.has(address)) throw new Error(`m${own} and m${held.get(address)} have ${address}`)
        held.set(address, own)
        given.push(address)
        await remove(own, address, () => held.delete(address))
      }
    }),
  )
  return given
}

describe.skipIf(reason !== undefined)("three hundred machines on our network", () => {
  it("have the first free address each, and leave nothing behind", async () => {
    await using cleanup = new Cleanup()
    // Before the sidecar, whose view of the files does not change any more.
    const lanes = await Promise.all(Array.from({ length: LANES }, async () => cleanup.use(await namespace())))
    const net = cleanup.use(await rig({ machines: {} }))
    const files = net.directory.path
    await writeFile(net.directory.at("udhcpc.sh"), UDHCPC_SCRIPT, { mode: 0o755 })
    for (const lane of lanes) await lane.run("ip", "tuntap", "add", "dev", DEVICE, "mode", "tap")
    const network = net.network()
    const given = await live(lanes, {
      create: async (lane, machine) => {
        await network.addLink({ kind: "tap", machine: `m${machine}`, interface: DEVICE, netns: lane.path })
        return await boot(lane, machine, files)
      },
      remove: async (machine, address, gone) => {
        await network.removeLink(`m${machine}`)
        gone()
        const returned = await network.giveBack(`m${machine}`)
        expect(returned.map((lease) => lease.address)).toEqual([address])
      },
    })
    expect(given).toHaveLength(MACHINES)
    const first = Array.from({ length: LANES }, (_, lane) => `192.168.64.${lane + 2}`)
    expect([...new Set(given)].filter((address) => !first.includes(address))).toEqual([])
    expect(await network.leases()).toEqual([])
  })
})

describe.skipIf(noDnsmasq !== undefined)("three hundred machines on dnsmasq's network", () => {
  it("have an address each, since the janitor takes back what they leave while others come", async () => {
    await using cleanup = new Cleanup()
    const directory = cleanup.use(await temporaryDirectory())
    const leaseFile = directory.at("dnsmasq.leases")
    const machines = directory.at("home", ".skep", "machines")
    await mkdir(machines, { recursive: true })
    await writeFile(directory.at("udhcpc.sh"), UDHCPC_SCRIPT, { mode: 0o755 })
    await writeFile(leaseFile, "")
    const host = cleanup.use(await namespace())
    const lanes = await Promise.all(Array.from({ length: LANES }, async () => cleanup.use(await namespace())))
    await bridge(host, lanes)
    const server = host.start("dnsmasq", ...dnsmasqWords(leaseFile))
    await server.line((line) => line.includes("DHCP, IP range"))
    const program = join(import.meta.dirname, "leases-janitor.ts")
    const janitor = host.start(process.execPath, ...fromSource(program), leaseFile, directory.at("home"))
    await janitor.line((line) => line.includes('"ready"'))

    const leases = async (): Promise<readonly string[]> =>
      (await readFile(leaseFile, "utf8")).split("\n").filter((line) => line !== "")
    const given = await live(lanes, {
      create: async (lane, machine) => {
        // A janitor that gets no turn is not what is looked for here.
        await until("the janitor", async () => ((await leases()).length < 240 ? true : undefined))
        const record = { name: `m${machine}`, mac: macOf(machine) }
        await mkdir(join(machines, `m${machine}`))
        await writeFile(join(machines, `m${machine}`, "machine.json"), JSON.stringify(record))
        return await boot(lane, machine, directory.path)
      },
      remove: async (machine, address, gone) => {
        // As long as the machine is there, so is its lease, whatever the janitor does meanwhile. dnsmasq writes over its file: it may just be half of itself.
        const own = ` ${macOf(machine)} ${address} `
        await until(`the lease of m${machine}`, async () =>
          (await leases()).some((line) => line.includes(own)) ? true : undefined,
        )
        gone()
        await rm(join(machines, `m${machine}`), { recursive: true })
      },
    })
    expect(given).toHaveLength(MACHINES)
    for (const lane of lanes) await lane.run("ip", "addr", "flush", "dev", DEVICE)
    const said = (): readonly { mac?: string; error?: string }[] =>
      janitor.lines.map((line) => JSON.parse(line))
    const returned = (): readonly string[] => said().flatMap(({ mac }) => mac ?? [])
    await until("the end of the last lease", async () => (returned().length < MACHINES ? undefined : true))
    expect(await leases()).toEqual([])
    expect(said().flatMap(({ error }) => error ?? [])).toEqual([])
    const all = Array.from({ length: MACHINES }, (_, machine) => macOf(machine))
    expect(returned().toSorted()).toEqual(all.toSorted())
    expect(server.lines.filter((line) => line.includes("no address available"))).toEqual([])
    await janitor[Symbol.asyncDispose]()
    await server[Symbol.asyncDispose]()
    expect(processesMentioning(directory.path)).toEqual([])
  })
})

/** 253 addresses, the lowest free one first; nobody is pinged before, which takes three seconds each. */
function dnsmasqWords(leaseFile: string): readonly string[] {
  return [
    "--keep-in-foreground",
    "--conf-file=/dev/null",
    "--user=root",
    "--pid-file=",
    "--log-facility=-",
    "--port=0",
    "--interface=br0",
    "--bind-interfaces",
    "--dhcp-authoritative",
    "--dhcp-sequential-ip",
    "--no-ping",
    "--dhcp-range=192.168.77.2,192.168.77.254,255.255.255.0,1h",
    `--dhcp-leasefile=${leaseFile}`,
  ]
}

/** Lays a cable from each lane to a bridge of the host, which has an address there. */
async function bridge(host: Namespace, lanes: readonly Namespace[]): Promise<void> {
  await host.run("ip", "link", "add", "br0", "type", "bridge")
  await host.run("ip", "addr", "add", "192.168.77.1/24", "dev", "br0")
  await host.run("ip", "link", "set", "br0", "up")
  for (const [index, lane] of lanes.entries()) {
    const near = `lane${index}`
    const cable = ["link", "add", near, "type", "veth", "peer", "name", DEVICE, "netns", lane.name]
    await host.run("ip", ...cable)
    await host.run("ip", "link", "set", near, "master", "br0", "up")
    await lane.run("ip", "link", "set", DEVICE, "up")
  }
}
