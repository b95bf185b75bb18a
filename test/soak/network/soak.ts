/**
 * All bad input at once against the built program, for some minutes, while a machine that behaves goes on.
 *
 * ```
 *  host: servers, clients of forwards ◄──► skep-network ◄── TAP ──► good: TCP, UDP, DNS, DHCP that have to go well
 *                                                  ▲ ▲ ▲◄── TAP ──► wild: floods, resets, streams that nobody reads
 *                                                  │ └──── stream ── foe: hostile frames of every layer
 *                                                  └────── stream ── broken: a stream that is wrong itself
 * ```
 *
 * With the driver "node" the two machines are on streams as well (`links.ts`).
 *
 * @module
 */
import type { ChildProcess } from "node:child_process"
import { execFileSync } from "node:child_process"
import { once } from "node:events"
import { chmodSync, existsSync, mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { setTimeout as delay } from "node:timers/promises"
import { LEAN } from "@skep/runtime"
import { parse as parseMac } from "@skep/wire/mac"
import type { Tallies } from "./exchange.ts"
import type { Places } from "./frames.ts"
import { breakStream, type HostileCounts, sendHostileFrames } from "./hostile-machine.ts"
import { connect, type Driver, linkWords, TAP } from "./links.ts"
import { ask, descriptorsOf, finished, hasEnded, residentOf, World } from "./world.ts"

const PROGRAM = join(import.meta.dirname, "../../../apps/skep/dist/programs/network.js")
const GATEWAY = "192.168.64.1"
/** As a network of Skep knows its machines; without it, any machine may take the place of another on the switch. */
const GOOD_MAC = "5a:94:ef:00:00:f1"
const FOE_MAC = 0x5a94ef0000f0
const PORTS = {
  tcp: 7001,
  deaf: 7002,
  udp: 7003,
  endless: 7004,
  forwarded: 8100,
  deafForward: 8200,
  own: 9000,
}
/** Everything that behaves has so long to go well once more when all else is over. */
const AFTER_MS = 8000
const SETTLE_MS = 20_000
const POLL_MS = 500

export interface SoakOptions {
  readonly directory: string
  readonly seconds: number
  readonly seed: number
  readonly driver: Driver
  readonly progress: (line: string) => void
}

export interface SoakResult {
  /** Each kind of flow that had to go well. */
  readonly good: Tallies
  /** The same, when nothing bad was sent any more. */
  readonly after: Tallies
  readonly pressure: {
    readonly foe: HostileCounts
    readonly broken: number
    readonly wild: Record<string, number>
  }
  /** Counters of the program, those that are not 0. */
  readonly counters: Record<string, number>
  /** Resident memory in MB, once a second. */
  readonly resident: readonly number[]
  /** Descriptors before the first flow, the most there were, and after all machines were gone. */
  readonly descriptors: { readonly before: number; readonly most: number; readonly after: number }
  /** What is left when all machines are gone. */
  readonly left: { readonly flows: number; readonly heldBytes: number }
  readonly crashed: boolean
}

interface Status {
  readonly plan: { readonly gatewayMac: string }
  readonly flows: Record<string, number>
  readonly memory: { readonly heldBytes: number }
  readonly counters: Record<string, number>
  readonly refusals: Record<string, number>
  readonly machines: readonly { readonly name: string; readonly counters: Record<string, number> }[]
}

export async function soak(options: SoakOptions): Promise<SoakResult> {
  const { directory, seconds, seed, progress } = options
  if (!existsSync(PROGRAM)) throw new Error("skep-network is not built: npm run build")
  await using world = new World(directory)
  const host = world.namespace("host")
  const good = world.namespace("good")
  const wild = world.namespace("wild")
  const network = join(directory, "net")
  const control = join(network, "control.sock")
  mkdirSync(network, { mode: 0o700 })
  const program = world.start("network", host, commandOf(options, { network, control, good, wild }))
  const pid = program.pid ?? 0
  await said(program, "the network")
  const status = async (): Promise<Status> => (await ask(control, "GET", "/status")) as Status
  await connect(world, options.driver, { good, wild })
  const before = descriptorsOf(pid)

  const script = leaseScript(directory)
  execFileSync("nsenter", [`--net=${good}`, "ip", "link", "set", TAP, "address", GOOD_MAC])
  const address = lease(good, script)
  lease(wild, script)
  const { plan } = await status()
  const places = placesOf(plan.gatewayMac, address)
  const agents = await startAgents(world, { host, good, wild, script, address })

  const over = new AbortController()
  const { signal } = over
  const foe = sendHostileFrames(join(directory, "foe.sock"), { seed, places, signal })
  const broken = breakStream(join(directory, "broken.sock"), seed + 1, signal)
  const resident: number[] = []
  let most = before
  const until = Date.now() + 1000 * seconds
  for (let second = 0; Date.now() < until && !hasEnded(program); second++) {
    await delay(1000)
    if (hasEnded(program)) break
    resident.push(residentOf(pid))
    most = Math.max(most, descriptorsOf(pid))
    if (second % 5 === 4) progress(lineOf(second + 1, resident, most, agents))
  }
  over.abort()
  const pressure = { foe: await foe, broken: await broken, wild: agents.wild.last as Record<string, number> }
  await finished(agents.wild.child)
  const goodDuring = merged(agents)
  await delay(hasEnded(program) ? 0 : AFTER_MS)
  const after = difference(merged(agents), goodDuring)
  await finished(agents.good.child)
  await finished(agents.host.child)
  const crashed = hasEnded(program)
  if (crashed) progress(world.log("network"))
  const counters = crashed ? {} : flat(await status())
  const end = crashed ? { descriptors: 0, flows: 0, heldBytes: 0 } : await emptied(control, pid, before)
  return {
    good: goodDuring,
    after,
    pressure,
    counters,
    resident,
    descriptors: { before, most, after: end.descriptors },
    left: { flows: end.flows, heldBytes: end.heldBytes },
    crashed,
  }
}

interface Agent {
  readonly child: ChildProcess
  last: unknown
}

interface Agents {
  readonly good: Agent
  readonly host: Agent
  readonly wild: Agent
}

interface Spaces {
  readonly good: string
  readonly wild: string
}

function commandOf(
  { directory, driver }: SoakOptions,
  { network, control, good, wild }: Spaces & { readonly network: string; readonly control: string },
): readonly string[] {
  const { forwarded, deafForward, own } = PORTS
  const words = [
    `--directory ${network} --control ${control} --policy loopback --driver ${driver}`,
    `${linkWords(driver, { good, wild }, directory)} --mac good=${GOOD_MAC}`,
    `--qemu foe=${join(directory, "foe.sock")} --qemu broken=${join(directory, "broken.sock")}`,
    `--forward good=${forwarded}:${own} --forward wild=${deafForward}:${own}`,
  ]
  // As the skep command starts it.
  return [process.execPath, ...LEAN, PROGRAM, ...words.join(" ").split(" ")]
}

async function startAgents(
  world: World,
  {
    host,
    good,
    wild,
    script,
    address,
  }: Spaces & { readonly host: string; readonly script: string; readonly address: string },
): Promise<Agents> {
  const agent = async (
    name: string,
    namespace: string,
    words: readonly (string | number)[],
  ): Promise<Agent> => {
    const file = join(import.meta.dirname, `${name}.ts`)
    const child = world.start(name, namespace, [
      process.execPath,
      "--import",
      "tsx",
      file,
      ...words.map(String),
    ])
    const made: Agent = { child, last: {} }
    let text = ""
    child.stdout?.setEncoding("utf8")
    child.stdout?.on("data", (chunk: string) => {
      const lines = (text + chunk).split("\n")
      text = lines.pop() ?? ""
      const line = lines.at(-1)
      if (line !== undefined) made.last = JSON.parse(line)
    })
    await said(child, name)
    return made
  }
  const { tcp, udp, deaf, endless, forwarded, deafForward, own } = PORTS
  return {
    host: await agent("host-side", host, [tcp, udp, deaf, endless, forwarded, deafForward]),
    good: await agent("good-machine", good, [TAP, script, GATEWAY, address, tcp, udp, own]),
    wild: await agent("wild-machine", wild, [GATEWAY, tcp, deaf, endless, own]),
  }
}

async function said(program: ChildProcess, what: string): Promise<void> {
  const stdout = program.stdout
  if (stdout === null) throw new Error(`${what}: no stdout`)
  await Promise.race([once(stdout, "data"), once(program, "exit")])
  stdout.resume()
  if (hasEnded(program)) throw new Error(`${what} has ended at once`)
}

/** What udhcpc calls: takes the address, and keeps it while it asks again. */
function leaseScript(directory: string): string {
  const path = join(directory, "lease.sh")
  writeFileSync(
    path,
    `#!/bin/sh
case "$1" in
deconfig) ip link set "$interface" up ;;
bound | renew) ip address replace "$ip/$mask" dev "$interface"; ip route replace default via "$router" ;;
esac
`,
  )
  chmodSync(path, 0o755)
  return path
}

/** Gets an address for the namespace's interface, and returns it. */
function lease(namespace: string, script: string): string {
  const inside = (file: string, ...args: string[]): string =>
    execFileSync("nsenter", [`--net=${namespace}`, file, ...args], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "pipe"],
    })
  inside("udhcpc", "-i", TAP, "-f", "-q", "-n", "-t", "10", "-T", "1", "-s", script)
  const address = /inet ([\d.]+)\//.exec(inside("ip", "-4", "address", "show", "dev", TAP))?.[1]
  if (address === undefined) throw new Error("no address came by DHCP")
  return address
}

function numberOf(mac: string): number {
  const number = parseMac(mac)
  if (typeof number === "string") throw new Error(`"${mac}": ${number}`)
  return number
}

function placesOf(gatewayMac: string, address: string): Places {
  return {
    gatewayMac: numberOf(gatewayMac),
    foeMac: FOE_MAC,
    goodMac: numberOf(GOOD_MAC),
    gateway: Uint8Array.of(192, 168, 64, 1),
    foe: Uint8Array.of(192, 168, 64, 200),
    good: Uint8Array.from(address.split("."), Number),
    tcpPort: PORTS.tcp,
    endlessPort: PORTS.endless,
    udpPort: PORTS.udp,
  }
}

function merged({ good, host }: Agents): Tallies {
  return structuredClone({ ...(good.last as Tallies), ...(host.last as Tallies) })
}

function difference(now: Tallies, then: Tallies): Tallies {
  return Object.fromEntries(
    Object.entries(now).map(([name, { ok, failed, worstMs, why }]) => [
      name,
      { ok: ok - (then[name]?.ok ?? 0), failed: failed - (then[name]?.failed ?? 0), worstMs, why },
    ]),
  )
}

function lineOf(second: number, resident: readonly number[], most: number, agents: Agents): string {
  const flows = Object.entries(merged(agents)).map(
    ([name, { ok, failed }]) => `${name} ${ok}${failed > 0 ? ` (${failed} failed)` : ""}`,
  )
  return `${second} s  ${Math.round(resident.at(-1) ?? 0)} MB  ${most} descriptors at most  ${flows.join(", ")}`
}

function flat({ counters, refusals, machines }: Status): Record<string, number> {
  const all = [
    ...Object.entries(counters),
    ...Object.entries(refusals).map(([name, count]) => [`refused ${name}`, count] as const),
    ...machines.flatMap((machine) =>
      Object.entries(machine.counters).map(([name, count]) => [`${machine.name} ${name}`, count] as const),
    ),
  ]
  return Object.fromEntries(all.filter(([, count]) => count > 0))
}

/** Takes all machines away and waits until what they held is given back. */
async function emptied(
  control: string,
  pid: number,
  before: number,
): Promise<{ descriptors: number; flows: number; heldBytes: number }> {
  for (const name of ["wild", "foe", "broken", "good"]) await ask(control, "DELETE", `/links/${name}`)
  for (const end = Date.now() + SETTLE_MS; ; await delay(POLL_MS)) {
    const { flows, memory } = (await ask(control, "GET", "/status")) as Status
    const left = {
      descriptors: descriptorsOf(pid),
      flows: Object.values(flows).reduce((sum, count) => sum + count, 0),
      heldBytes: memory.heldBytes,
    }
    if ((left.descriptors <= before && left.flows === 0) || Date.now() > end) return left
  }
}
