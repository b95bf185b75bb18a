/**
 * The rows over TAP and over QEMU's stream, with a network namespace for a guest.
 *
 * @module
 */
import type { Impairment } from "./contestant.ts"
import { connects, datagrams, roundTrip, throughput, WAYS, type Way } from "./load.ts"
import type { Measurement } from "./measurement.ts"
import { ours } from "./ours.ts"
import type { Peer } from "./peer.ts"
import { gvproxy, passt, pasta, slirp4netns } from "./peers.ts"

/** Measurements that the same contestants take. */
export interface Group {
  readonly name: string
  readonly peers: readonly Peer[]
  readonly impairment?: Impairment
  readonly measurements: readonly Measurement[]
}

type Bars = Readonly<Record<string, number>>

export const SMALL = 1500
const LARGE = 65_520
export const MANY = 8
/** The best of all peers. */
const BEST = ""

export function speed(link: string, way: Way, flows: number, bars: Bars, cpuBars?: Bars): Measurement {
  const name = `${link}, ${way}, ${flows === 1 ? "1 flow" : `${flows} flows`}`
  const cpu = { name: `${name}, processor per GiB`, unit: "s", better: "lower" } as const
  return {
    rows: [
      { name, unit: "Gbit/s", better: "higher", bars },
      ...(cpuBars === undefined ? [] : [{ ...cpu, bars: cpuBars }]),
    ],
    take: async (who, { seconds }) => {
      const result = await throughput(who, way, flows, seconds)
      return cpuBars === undefined ? [result.speed] : [result.speed, result.cpu]
    },
  }
}

function rates(link: string, latency: Bars, udp: Bars): readonly Measurement[] {
  const connections = WAYS.flatMap((way) =>
    [1, MANY].map((parallel): Measurement => {
      const name = `${link}, connections, ${way}, ${parallel === 1 ? "one by one" : `${parallel} at a time`}`
      return {
        rows: [{ name, unit: "/s", better: "higher", bars: { [BEST]: 1.1 } }],
        take: async (who, { shortSeconds }) => [await connects(who, way, parallel, shortSeconds)],
      }
    }),
  )
  const trip: Measurement = {
    rows: (["p50", "p99"] as const).map((percentile) => ({
      name: `${link}, 1-byte round trip, ${percentile}`,
      unit: "µs",
      better: "lower",
      bars: latency,
    })),
    take: async (who, { shortSeconds }) => {
      const { p50, p99 } = await roundTrip(who, shortSeconds)
      return [p50, p99]
    },
  }
  const packets = WAYS.map(
    (way): Measurement => ({
      rows: [{ name: `${link}, 64-byte datagrams, ${way}`, unit: "k/s", better: "higher", bars: udp }],
      take: async (who, { shortSeconds }) => [await datagrams(who, way, shortSeconds)],
    }),
  )
  return [...connections, trip, ...packets]
}

const tapPeers = [pasta(LARGE), pasta(SMALL), slirp4netns(LARGE), slirp4netns(SMALL)]

const tap: Group = {
  name: "TAP",
  peers: [ours("tap", SMALL), ours("tap", LARGE), ...tapPeers],
  measurements: [
    ...WAYS.flatMap((way) =>
      [1, MANY].map((flows) => speed("TAP", way, flows, { pasta: 1.3, slirp4netns: 2.5 }, { pasta: 0.85 })),
    ),
    ...rates("TAP", { pasta: 1 }, { pasta: 1 }),
  ],
}

function stream(mtu: number, measurements: readonly Measurement[]): Group {
  return {
    name: `QEMU stream, MTU ${mtu}`,
    peers: [ours("stream", mtu), passt(mtu), gvproxy(mtu)],
    measurements,
  }
}

const large = stream(LARGE, [
  ...WAYS.flatMap((way) =>
    [1, MANY].map((flows) => speed("stream 65520", way, flows, { passt: 1.2 }, { passt: 1 })),
  ),
  ...rates("stream 65520", { passt: 1 }, { passt: 1 }),
])

const small = stream(
  SMALL,
  WAYS.map((way) => speed("stream 1500", way, 1, { passt: 2 }, { passt: 1 })),
)

/** gvproxy has a bar where there is one. */
const nodeBars: Bars = { slirp4netns: 2, ...(gvproxy(LARGE).missing() === undefined ? { gvproxy: 1 } : {}) }

/** Our driver without FFI has no TAP, so what it is compared with is on another link. */
const node: Group = {
  name: "node driver",
  peers: [
    ours("stream", LARGE, "node"),
    slirp4netns(LARGE),
    slirp4netns(SMALL),
    gvproxy(LARGE),
    gvproxy(SMALL),
  ],
  measurements: WAYS.map((way) => speed("node driver", way, 1, nodeBars)),
}

const IMPAIRMENTS: Readonly<Record<string, Impairment>> = {
  "0.2 % loss": { delayMs: 0, lossPpm: 2000 },
  "1 % loss": { delayMs: 0, lossPpm: 10_000 },
  "20 ms delay": { delayMs: 10, lossPpm: 0 }, // each way half of it
}

const impaired = Object.entries(IMPAIRMENTS).map(
  ([what, impairment]): Group => ({
    name: what,
    peers: [ours("tap", SMALL), slirp4netns(SMALL), pasta(SMALL)],
    impairment,
    measurements: WAYS.map((way) => speed(what, way, 1, { slirp4netns: 1, pasta: 1 })),
  }),
)

export const GROUPS: readonly Group[] = [tap, large, small, node, ...impaired]
