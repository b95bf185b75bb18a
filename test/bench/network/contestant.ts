/**
 * A peer with a guest on its link: a network namespace, and where frames go through a cable, that as well.
 *
 * @module
 */
import { mkdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { Cleanup } from "@skep/runtime"
import { HOST_ADDRESS, ipIn, type Namespaces } from "./namespaces.ts"
import { labelOf, type Peer } from "./peer.ts"
import { cpuOf, runIn, type Started, start, until } from "./process.ts"

/** The host's server, at its loopback. */
export const HOST_PORT = 20_500
export const FIRST_PORT = 21_000
const HOLD_MS = 120_000
const LINK = "tap0"
const CABLE = "cable0"
const BRIDGE = "bridge0"

export interface Impairment {
  readonly delayMs: number
  /** Of a million frames, each way. */
  readonly lossPpm: number
}

export interface Programs {
  readonly netload: string
  readonly cable: string
}

/** Where load runs, and what it can be run against. */
export interface Contestant extends AsyncDisposable {
  /** The program, as bars name it. */
  readonly name: string
  readonly label: string
  /** Processes that are the network of the guest. */
  readonly pids: () => readonly number[]
  /** Their processor seconds so far. */
  readonly cpu: () => number
  /** Runs netload in the guest against the host's server, or on the host against the guest's, and returns what it says. */
  readonly load: (from: "guest" | "host", mode: string, ...words: readonly number[]) => Promise<unknown>
  /** Starts it in the guest, until its first line. */
  readonly hold: (mode: string, ...words: readonly number[]) => Promise<Started>
}

export interface Arena {
  readonly namespaces: Namespaces
  readonly programs: Programs
  readonly directory: string
}

let made = 0

/** Starts the peer, its guest and the guest's server. Disposal ends them all; the namespaces stay until the run's end. */
export async function contestant(arena: Arena, peer: Peer, impairment?: Impairment): Promise<Contestant> {
  const number = made++
  const port = FIRST_PORT + number
  const directory = join(arena.directory, String(number))
  mkdirSync(directory)
  const log = join(directory, "log")
  await using cleanup = new Cleanup()
  const guest = await arena.namespaces.make(`g${number}`)
  // With an impairment a TAP goes into a namespace between, whose bridge makes frames of the wire of what it carries.
  const between =
    impairment !== undefined && peer.kind === "tap" ? await arena.namespaces.make(`m${number}`) : undefined
  const link = peer.kind === "tap" ? LINK : join(directory, "link.sock")
  const { host } = arena.namespaces
  const running = await peer.start({ host, guest: between ?? guest, directory, link, port, log })
  cleanup.use(running.program)
  const ends: Ends = { arena, peer, guest, between, link, log, impairment }
  const cable = await connectEnds(ends, running.program)
  if (cable !== undefined) cleanup.use(cable)
  await configure(guest, cable === undefined ? LINK : CABLE, peer)
  running.program.check()
  await running.configured?.()
  const { netload } = arena.programs
  const server = ["serve", "0.0.0.0", String(port)]
  cleanup.use(await start([netload, ...server], { namespace: guest, log, untilLine: true }))
  const moved = cleanup.move()
  return {
    name: peer.name,
    label: labelOf(peer),
    pids: running.program.pids,
    cpu: () => cpuOf(running.program.pids()),
    load: async (from, mode, ...words) => {
      const to = from === "guest" ? [peer.guest.host, HOST_PORT] : [HOST_ADDRESS, port]
      const argv = [netload, mode, ...[...to, ...words].map(String)]
      running.program.check()
      return JSON.parse(await runIn(from === "guest" ? guest : host, argv, limitOf(words)))
    },
    hold: async (mode, ...words) => {
      const argv = [netload, mode, peer.guest.host, ...[HOST_PORT, ...words].map(String)]
      return await start(argv, { namespace: guest, log, untilLine: true, readyMs: HOLD_MS })
    },
    [Symbol.asyncDispose]: () => moved[Symbol.asyncDispose](),
  }
}

/** The last word of every mode is its time; whatever waits in netload does not do so for longer than this beyond it. */
export function limitOf(words: readonly number[]): number {
  return ((words.at(-1) ?? 0) <= 600 ? (words.at(-1) ?? 0) * 1000 : 0) + 60_000
}

interface Ends {
  readonly arena: Arena
  readonly peer: Peer
  readonly guest: string
  readonly between: string | undefined
  readonly link: string
  readonly log: string
  readonly impairment: Impairment | undefined
}

/** Waits for the peer's end of the link, and lays a cable from there to the guest where one is needed. */
async function connectEnds(ends: Ends, program: Started): Promise<Started | undefined> {
  const { arena, peer, guest, between, link, log, impairment } = ends
  const { delayMs = 0, lossPpm = 0 } = impairment ?? {}
  const spoiled = [delayMs * 1000, lossPpm, 1].map(String)
  const options = { log, untilLine: true }
  const begin = async (namespace: string, ...words: readonly string[]): Promise<Started> =>
    await start([arena.programs.cable, CABLE, ...words, ...spoiled], { ...options, namespace })
  if (peer.kind === "stream") {
    await until(`${labelOf(peer)} at its socket`, () => {
      program.check()
      return program.pids().some((pid) => isListening(pid, link)) ? true : undefined
    })
    return await begin(guest, "unix", link)
  }
  const tap = between ?? guest
  await until(`${labelOf(peer)}'s interface`, async () => {
    program.check()
    return (await ipIn(tap, "-brief", "link")).includes(`${LINK} `) ? true : undefined
  })
  if (between === undefined) return undefined
  const cable = await begin(guest, "tap", CABLE, between)
  try {
    await bridge(between, peer.mtu)
  } catch (error) {
    await cable[Symbol.asyncDispose]()
    throw error
  }
  return cable
}

/** Whether a process' namespace has a listener there; a connection to try would be a guest's. */
export function isListening(pid: number, path: string): boolean {
  const lines = readFileSync(`/proc/${pid}/net/unix`, "latin1").split("\n")
  return lines.some((line) => line.endsWith(` ${path}`) && line.split(/\s+/)[3] === "00010000")
}

async function bridge(namespace: string, mtu: number): Promise<void> {
  await ipIn(namespace, "link", "add", BRIDGE, "type", "bridge")
  for (const port of [LINK, CABLE]) {
    await ipIn(namespace, "address", "flush", "dev", port)
    await ipIn(namespace, "link", "set", port, "mtu", String(mtu), "master", BRIDGE, "up")
  }
  await ipIn(namespace, "link", "set", BRIDGE, "mtu", String(mtu), "up")
}

async function configure(namespace: string, link: string, { guest, mtu }: Peer): Promise<void> {
  await ipIn(namespace, "address", "flush", "dev", link)
  await ipIn(namespace, "link", "set", link, "mtu", String(mtu), "up")
  await ipIn(namespace, "address", "add", `${guest.address}/${guest.prefix}`, "dev", link)
  await ipIn(namespace, "route", "replace", "default", "via", guest.gateway, "dev", link)
}
