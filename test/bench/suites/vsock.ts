/**
 * The vsock device under a real guest, beside QEMU's user network and virtio-serial in the same boot; and what Docker gets of it.
 *
 * @module
 */
import { rmSync } from "node:fs"
import { join } from "node:path"
import { benchHome, MACHINE } from "../home.ts"
import { alternate, type Row, rowOf } from "../row.ts"
import { dockerLoad } from "../vsock/docker-load.ts"
import { type BenchGuest, bootGuest, WAYS, type Way } from "../vsock/guest.ts"
import { connectTime, crowd, Echo, idleCpu, throughput } from "../vsock/measure.ts"

const SUITE = "vsock"
const ROUNDS = 4
const MESSAGE = 64
const ECHOES = 300
const CONNECTS = 200
const STREAMS = 200
const STREAM_BYTES = 2 ** 20
const IDLE_STREAMS = 50
const IDLE_S = 5
/** A clock tick, as the kernel counts the time of processes. */
const TICK_S = 0.01

const root = join(import.meta.dirname, "../../..")
type Progress = (text: string) => void

export async function vsock(progress: Progress): Promise<readonly Row[]> {
  const home = benchHome()
  const directory = join(home.directory, "vs")
  try {
    await home.skep("up", MACHINE, "--network", "restricted", "--memory", "1g", "--cpus", "2", "--disk", "4g")
    await home.skep("docker-cli")
    const docker = await dockerLoad(home, progress)
    const { vm } = JSON.parse(await home.skep("inspect", MACHINE)) as { vm: { accelerator: "kvm" | "tcg" } }
    await home.skep("stop", MACHINE)
    progress("  a bare guest")
    await using guest = await bootGuest({
      directory,
      images: join(home.directory, "images"),
      accelerator: vm.accelerator,
      sidecar: join(root, "apps/skep/dist/programs/vsock.js"),
    })
    return [...(await streams(guest, progress)), ...(await latencies(guest, progress)), ...docker]
  } finally {
    await home.skep("rm", "--force", MACHINE)
    rmSync(directory, { recursive: true, force: true })
  }
}

const OURS: Way = "vsock"
const PEERS = WAYS.filter((way) => way !== OURS)

async function streams(guest: BenchGuest, progress: Progress): Promise<readonly Row[]> {
  const rows: Row[] = []
  for (const direction of ["from guest", "to guest"] as const) {
    progress(`  ${direction}`)
    const cpu: Record<string, number[]> = {}
    const speed = (way: Way) => async (): Promise<number> => {
      const { mibPerSecond, cpuPerGib } = await throughput(guest, way, direction)
      ;(cpu[way] ??= []).push(cpuPerGib)
      return mibPerSecond
    }
    const samples = await alternate(ROUNDS, eachWay(speed), progress)
    const where = direction === "from guest" ? "guest to host" : "host to guest"
    rows.push(
      rowOf({
        suite: SUITE,
        name: `${where}, one stream`,
        unit: "MiB/s",
        better: "higher",
        ...parts(samples),
        bar: 2,
      }),
      rowOf({
        suite: SUITE,
        name: `${where}, the back end's processor per GiB`,
        unit: "s",
        better: "lower",
        ...parts(cpu),
        bar: 1,
      }),
    )
  }
  progress(`  ${STREAMS} streams`)
  const { whole, slowest, failures } = await crowd(guest, STREAMS, STREAM_BYTES)
  for (const failure of failures) progress(`  ${failure}`)
  const each = { suite: SUITE, unit: "" }
  rows.push(
    rowOf({
      ...each,
      name: `of ${STREAMS} echoes of 1 MiB at once, whole`,
      better: "higher",
      ours: [whole],
      bar: STREAMS,
    }),
    rowOf({ ...each, name: "the slowest of them, in medians", better: "lower", ours: [slowest], bar: 3 }),
  )
  progress(`  idle for ${IDLE_S} s`)
  const idle = await idleCpu(guest, IDLE_STREAMS, IDLE_S)
  const name = `processor with ${IDLE_STREAMS} quiet streams, ${IDLE_S} s`
  rows.push(rowOf({ suite: SUITE, name, unit: "s", better: "lower", ours: [idle], bar: TICK_S }))
  return rows
}

async function latencies(guest: BenchGuest, progress: Progress): Promise<readonly Row[]> {
  const lower = { suite: SUITE, unit: "ms", better: "lower" } as const
  progress("  round trips")
  const trips = await echoes(guest, progress)
  progress("  connects")
  const connects = await alternate(
    ROUNDS,
    { ours: () => Promise.resolve(connectTime(guest, CONNECTS)) },
    progress,
  )
  return [
    rowOf({ ...lower, name: `${MESSAGE}-byte echo over an open stream, p50`, ...parts(trips), bar: 0.8 }),
    rowOf({
      ...lower,
      name: "connect until the guest's kernel has accepted, p50",
      ours: connects.ours,
      bar: 2,
    }),
  ]
}

async function echoes(guest: BenchGuest, progress: Progress): Promise<Record<Way, number[]>> {
  using ours = new Echo(guest, "vsock")
  using network = new Echo(guest, "user network")
  using serial = new Echo(guest, "virtio-serial")
  const echo = { vsock: ours, "user network": network, "virtio-serial": serial }
  const trip = (way: Way) => (): Promise<number> => Promise.resolve(echo[way].roundTrip(MESSAGE, ECHOES))
  return await alternate(ROUNDS, eachWay(trip), progress)
}

function eachWay<T>(make: (way: Way) => () => Promise<T>): Record<Way, () => Promise<T>> {
  return {
    vsock: make("vsock"),
    "user network": make("user network"),
    "virtio-serial": make("virtio-serial"),
  }
}

/** Ours and the peers, the user network first: it is what the bars are about. */
function parts(samples: Readonly<Record<string, readonly number[]>>) {
  return {
    ours: samples[OURS] ?? [],
    peers: Object.fromEntries(PEERS.map((way) => [way, samples[way] ?? []])),
  }
}
