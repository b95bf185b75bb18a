// The janitor beside the real dnsmasq, by itself and as libvirt runs it, with real clients.
import { appendFileSync, chmodSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { type LeasesFixture, leasesContract, testContext } from "@skep/contract-tests"
import { leasesClient, leasesSidecar, parseLeasesStatus } from "@skep/leases/janitor"
import { Cleanup, spawn } from "@skep/runtime"
import { temporaryDirectory } from "@skep/testkit"
import { type Bundle, bundle } from "@skep/testkit/bundle"
import { afterAll, beforeAll } from "vitest"
import { type Namespace, namespace } from "./namespace.ts"
import { missing } from "./requirements.ts"
import { until } from "./rig.ts"

const SOURCE = fileURLToPath(new URL("../../packages/leases/src", import.meta.url))
const BRIDGE = "virbr7"
const SERVER = "10.77.0.1"
const GAPS = {
  "changes nothing where it does not understand everything":
    "what somebody writes into its file, dnsmasq writes over with the next lease; it is asked, and the file not changed by us",
}
const unavailable = missing("leases of dnsmasq", "dnsmasq")

let programs: Bundle
beforeAll(async () => {
  programs = await bundle({ main: "main.ts" }, { from: SOURCE })
})
afterAll(() => programs[Symbol.dispose]())

leasesContract({ name: "dnsmasq", open: () => open("dnsmasq"), gaps: GAPS, unavailable })
leasesContract({ name: "dnsmasq as libvirt runs it", open: () => open("libvirt"), gaps: GAPS, unavailable })

async function open(kind: "dnsmasq" | "libvirt"): Promise<LeasesFixture> {
  await using cleanup = new Cleanup()
  const directory = cleanup.use(await temporaryDirectory())
  const [host, guest] = [cleanup.use(await namespace()), cleanup.use(await namespace())]
  await cable(host, guest)
  const file = join(directory.path, kind === "libvirt" ? `${BRIDGE}.status` : "dnsmasq.leases")
  const dnsmasq = host.start(
    "dnsmasq",
    "--keep-in-foreground",
    `--conf-file=${settings(kind, directory.path, file)}`,
  )
  cleanup.use(dnsmasq)
  await dnsmasq.line((line) => line.includes("DHCP, IP range"))
  const home = join(directory.path, "home")
  const running = cleanup.use(await janitor(host, directory.path, { file, home, kind }))
  const script = join(directory.path, "client.sh")
  writeFileSync(script, "#!/bin/sh\n", { mode: 0o755 })
  const owned = cleanup.move()
  return {
    running,
    lease: async ({ name, mac }) => {
      await guest.run("ip", "link", "set", "eth0", "down")
      await guest.run("ip", "link", "set", "eth0", "address", mac, "up")
      const words = [
        "-i",
        "eth0",
        "-n",
        "-q",
        "-f",
        "-t",
        "20",
        "-T",
        "1",
        "-x",
        `hostname:${name}`,
        "-s",
        script,
      ]
      const said = await guest.run("udhcpc", ...words)
      const address = /lease of ([\d.]+) obtained/.exec(said)?.[1]
      if (address === undefined) throw new Error(said)
      // It answers first, and writes then.
      await until(`${address} in ${file}`, async () => readFileSync(file, "utf8").includes(mac) || undefined)
      return address
    },
    machine: async ({ name, mac }, state) => {
      const [machine, run] = [join(home, ".skep/machines", name), join(home, ".skep/run", name)]
      rmSync(machine, { recursive: true, force: true })
      rmSync(run, { recursive: true, force: true })
      if (state === "gone") return
      for (const each of [machine, run]) mkdirSync(each, { recursive: true })
      writeFileSync(join(machine, "machine.json"), JSON.stringify({ name, mac }))
      if (state === "running")
        writeFileSync(join(run, "vm.json"), JSON.stringify({ identity: { pid: process.pid } }))
    },
    damage: async () => appendFileSync(file, "what nobody knows\n"),
    has: async (address) => readFileSync(file, "utf8").includes(address),
    [Symbol.asyncDispose]: () => owned[Symbol.asyncDispose](),
  }
}

/** A bridge of the host, as libvirt makes it, and one guest on it. */
async function cable(host: Namespace, guest: Namespace): Promise<void> {
  await host.run("ip", "link", "add", BRIDGE, "type", "bridge")
  await host.run("ip", "address", "add", `${SERVER}/24`, "dev", BRIDGE)
  await host.run("ip", "link", "set", BRIDGE, "up")
  await host.run("ip", "link", "add", "port0", "type", "veth", "peer", "name", "eth0", "netns", guest.name)
  await host.run("ip", "link", "set", "port0", "master", BRIDGE, "up")
}

function settings(kind: "dnsmasq" | "libvirt", directory: string, file: string): string {
  const path = join(directory, "dnsmasq.conf")
  const script = join(directory, "leaseshelper")
  const leases = kind === "dnsmasq" ? [`dhcp-leasefile=${file}`] : ["leasefile-ro", `dhcp-script=${script}`]
  writeFileSync(
    path,
    [
      "port=0",
      "bind-interfaces",
      `interface=${BRIDGE}`,
      "dhcp-range=10.77.0.10,10.77.0.40,1h",
      "dhcp-authoritative",
      "no-ping",
      "log-facility=-",
      "user=root",
      ...leases,
      "",
    ].join("\n"),
  )
  writeFileSync(script, helper(file))
  chmodSync(script, 0o755)
  writeFileSync(file, kind === "libvirt" ? "[]" : "")
  return path
}

/** libvirt's leaseshelper (src/network/leaseshelper.c) is told of each change and keeps a list in JSON, replaced as a whole. */
function helper(file: string): string {
  return `#!${process.execPath}
const { readFileSync, renameSync, writeFileSync } = require("node:fs")
const [action, mac, ip, name] = process.argv.slice(2)
const path = ${JSON.stringify(file)}
if (!["add", "old", "del"].includes(action)) process.exit(0)
const others = JSON.parse(readFileSync(path, "utf8") || "[]").filter((each) => each["ip-address"] !== ip)
const { DNSMASQ_LEASE_EXPIRES: expires, DNSMASQ_CLIENT_ID: id, DNSMASQ_OLD_HOSTNAME: old } = process.env
const entry = { "ip-address": ip, "mac-address": mac, hostname: name ?? old, "client-id": id, "expiry-time": Number(expires) }
writeFileSync(path + ".new", JSON.stringify(action === "del" ? others : [...others, entry], null, 2) + "\\n")
renameSync(path + ".new", path)
`
}

async function janitor(
  host: Namespace,
  directory: string,
  { file, home, kind }: { readonly file: string; readonly home: string; readonly kind: string },
): Promise<ReturnType<typeof leasesClient>> {
  const control = join(directory, "leases.sock")
  const sidecar = spawn(
    {
      name: "leases",
      file: "ip",
      args: ["netns", "exec", host.name, process.execPath, programs.at("main.js"), "serve"],
      control: () => control,
      parseOptions: (input) => leasesSidecar().parseOptions(input),
      parseStatus: parseLeasesStatus,
      stderr: "ignore",
      endWithParent: true,
    },
    leasesClient,
  )
  const options = sidecar.parseOptions({ path: file, format: kind, everyMs: 0, homes: [home] })
  return await sidecar.start(options, testContext())
}
