/**
 * The numbers of one contestant: each function puts one load on it, and returns what came of it.
 *
 * @module
 */
import type { Contestant } from "./contestant.ts"
import { residentOf } from "./process.ts"

/** Which way the bytes go; the connections are always the guest's. */
export type Way = "guest to host" | "host to guest"
export const WAYS: readonly Way[] = ["guest to host", "host to guest"]

const GIB = 2 ** 30
const SAMPLE_MS = 100

export interface Throughput {
  /** Gbit/s. */
  readonly speed: number
  /** Processor seconds of the sidecar per GiB. */
  readonly cpu: number
}

export async function throughput(
  who: Contestant,
  way: Way,
  flows: number,
  seconds: number,
): Promise<Throughput> {
  const mode = way === "guest to host" ? "sink" : "source"
  const before = who.cpu()
  const result = (await who.load("guest", mode, flows, seconds)) as { bytes: number; seconds: number }
  const cpu = who.cpu() - before
  return { speed: (result.bytes * 8) / result.seconds / 1e9, cpu: (cpu / result.bytes) * GIB }
}

/** What no peer may do, whatever is done to its frames. */
export class WrongBytes extends Error {}

/** Pseudo-random bytes both ways; throws where one is another. */
export async function verified(who: Contestant, bytes: number, seed: number): Promise<void> {
  const { wrong } = (await who.load("guest", "verify", bytes, seed)) as { wrong: number }
  if (wrong > 0) throw new WrongBytes(`${who.label}: ${wrong} wrong bytes`)
}

/** Connections a second, each with a byte there and back; they are the guest's, or the host's to a forward. */
export async function connects(
  who: Contestant,
  way: Way,
  parallel: number,
  seconds: number,
): Promise<number> {
  const from = way === "guest to host" ? "guest" : "host"
  const result = (await who.load(from, "connect", parallel, seconds)) as {
    connections: number
    seconds: number
  }
  return result.connections / result.seconds
}

export interface RoundTrip {
  /** Microseconds. */
  readonly p50: number
  readonly p99: number
}

export async function roundTrip(who: Contestant, seconds: number): Promise<RoundTrip> {
  return (await who.load("guest", "rr", seconds)) as RoundTrip
}

/** Thousands of 64-byte datagrams a second that arrived. */
export async function datagrams(who: Contestant, way: Way, seconds: number): Promise<number> {
  const mode = way === "guest to host" ? "udp-sink" : "udp-source"
  const result = (await who.load("guest", mode, seconds)) as { datagrams: number; seconds: number }
  return result.datagrams / result.seconds / 1000
}

/** The most memory in MB that the contestant's processes had while there was work. */
export async function peakResident(who: Contestant, work: () => Promise<unknown>): Promise<number> {
  let most = residentOf(who.pids())
  const look = setInterval(() => {
    most = Math.max(most, residentOf(who.pids()))
  }, SAMPLE_MS)
  try {
    await work()
  } finally {
    clearInterval(look)
  }
  return Math.max(most, residentOf(who.pids()))
}

/** Memory with so many open flows, each of which has carried a byte both ways. */
export async function residentWithFlows(who: Contestant, flows: number): Promise<number> {
  await using holder = await who.hold("hold", flows)
  const { open } = JSON.parse(holder.said) as { open: number }
  if (open < flows) throw new Error(`${who.label}: ${open} of ${flows} flows were opened`)
  return residentOf(who.pids())
}
