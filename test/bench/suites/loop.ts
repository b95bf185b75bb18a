/**
 * The engine alone: how fast it is called, how fast it wakes, and how much it gets through, beside Node's own means in the same run.
 *
 * @module
 */
import { once } from "node:events"
import { createServer, Socket } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Worker } from "node:worker_threads"
import { Loop, startLoop } from "@skep/loop"
import { Scratch } from "@skep/loop/memory"
import * as sys from "@skep/loop/sys"
import type { EchoLoop } from "../loop/echo.ts"
import { alternate, median, type Row, rowOf } from "../row.ts"

const SUITE = "loop"
const ROUNDS = 5
const CALLS = 4000
const RINGS = 20_000
const BATCHES = 4000
const READY = 64
const CONNECTIONS = 32
const ECHOES = 60_000
const MESSAGE = 64

export async function loop(progress: (text: string) => void): Promise<readonly Row[]> {
  return [...(await latency(progress)), ...(await throughput(progress))]
}

async function latency(progress: (text: string) => void): Promise<readonly Row[]> {
  await using thread = await startLoop<EchoLoop>(new URL("../loop/echo.ts", import.meta.url))
  const worker = new Worker(new URL("../loop/peer.mjs", import.meta.url))
  const ours = { to: sys.check(sys.eventfd(), "eventfd"), from: blockingEventfd() }
  const peer = { to: blockingEventfd(), from: blockingEventfd() }
  await thread.call("pong", { from: ours.to, to: ours.from })
  const say = async (message: unknown): Promise<void> => {
    worker.postMessage(message)
    await once(worker, "message")
  }
  try {
    const tails: Record<"ours" | "peer", number[]> = { ours: [], peer: [] }
    const calls = await alternate(
      ROUNDS,
      {
        ours: () => microseconds(CALLS, (n) => thread.call("echo", n), tails.ours),
        postMessage: () => microseconds(CALLS, (n) => say({ n }), tails.peer),
      },
      progress,
    )
    await say({ from: peer.to, to: peer.from })
    const rings = await alternate(
      ROUNDS,
      { ours: () => Promise.resolve(pingPong(ours)), "fs.read": () => Promise.resolve(pingPong(peer)) },
      progress,
    )
    const lower = { suite: SUITE, unit: "µs", better: "lower" } as const
    const peers = { postMessage: calls.postMessage }
    const tailPeers = { postMessage: tails.peer }
    const ringPeers = { "fs.read": rings["fs.read"] }
    return [
      rowOf({ ...lower, name: "call into the loop and back, p50", ours: calls.ours, peers, bar: 1.5 }),
      rowOf({
        ...lower,
        name: "call into the loop and back, p99",
        ours: tails.ours,
        peers: tailPeers,
        bar: 1.5,
      }),
      rowOf({ ...lower, name: "eventfd there and back, p50", ours: rings.ours, peers: ringPeers, bar: 0.7 }),
    ]
  } finally {
    sys.signal(peer.to, 2)
    await worker.terminate()
    for (const fd of [ours.to, ours.from, peer.to, peer.from]) sys.close(fd)
  }
}

async function throughput(progress: (text: string) => void): Promise<readonly Row[]> {
  const events = await alternate(ROUNDS, { ours: () => Promise.resolve(eventsPerSecond()) }, progress)
  const echoes = await alternate(
    ROUNDS,
    { ours: () => Promise.resolve(echoesPerSecond()), "node:net": nodeEchoesPerSecond },
    progress,
  )
  const higher = { suite: SUITE, better: "higher" } as const
  return [
    rowOf({ ...higher, name: "events dispatched, 64 a batch", unit: "M/s", ours: events.ours, bar: 1 }),
    rowOf({
      ...higher,
      name: "64-byte echoes over 32 Unix sockets",
      unit: "k/s",
      ours: echoes.ours,
      peers: { "node:net": echoes["node:net"] },
      bar: 1.5,
    }),
  ]
}

/** The median of one call after another; its 99th percentile is added to `tails`. */
async function microseconds(
  count: number,
  call: (n: number) => Promise<unknown>,
  tails: number[],
): Promise<number> {
  const samples: number[] = []
  for (let n = 0; n < count; n++) {
    const began = performance.now()
    await call(n)
    samples.push((performance.now() - began) * 1000)
  }
  tails.push(samples.toSorted((a, b) => a - b)[Math.floor(count * 0.99)] ?? Number.NaN)
  return median(samples)
}

/** A read of it waits, so that this thread is woken by the kernel alone. */
function blockingEventfd(): number {
  const fd = sys.check(sys.eventfd(), "eventfd")
  sys.check(sys.setNonblocking(fd, false), "fcntl")
  return fd
}

function pingPong({ to, from }: { readonly to: number; readonly from: number }): number {
  using scratch = new Scratch(64)
  const { address } = scratch.region("count", 8)
  const samples: number[] = []
  for (let n = 0; n < RINGS; n++) {
    const began = performance.now()
    sys.signal(to)
    sys.read(from, address, 8)
    samples.push((performance.now() - began) * 1000)
  }
  return median(samples)
}

/** Millions a second of level-triggered events that are always there, so only the loop is measured. */
function eventsPerSecond(): number {
  using loop = new Loop()
  let count = 0
  for (let index = 0; index < READY; index++) loop.adopt(sys.eventfd(1), sys.EPOLLIN, () => void count++)
  for (let batch = 0; batch < BATCHES / 10; batch++) loop.step()
  count = 0
  const began = performance.now()
  for (let batch = 0; batch < BATCHES; batch++) loop.step()
  return count / (performance.now() - began) / 1000
}

/** Both sides on one loop: what comes is read, counted and sent back. */
function echoesPerSecond(): number {
  using loop = new Loop()
  using scratch = new Scratch(2 * MESSAGE)
  const { address } = scratch.region("message", MESSAGE)
  const pair = new Int32Array(2)
  let count = 0
  for (let index = 0; index < CONNECTIONS; index++) {
    sys.check(sys.socketPair(sys.AF_UNIX, sys.SOCK_STREAM | sys.SOCK_NONBLOCK, pair), "socketpair")
    // Level-triggered: a message is one read, and what is left comes again.
    for (const fd of pair)
      loop.adopt(fd, sys.EPOLLIN, () => {
        const n = sys.read(fd, address, MESSAGE)
        if (n <= 0) return
        count++
        sys.write(fd, address, n)
      })
    sys.write(pair[0] ?? -1, address, MESSAGE)
  }
  const began = performance.now()
  while (count < ECHOES) loop.step()
  return count / (performance.now() - began)
}

async function nodeEchoesPerSecond(): Promise<number> {
  const path = join(tmpdir(), `skep-bench-loop-${process.pid}`)
  const sockets: Socket[] = []
  let count = 0
  let done: () => void = () => undefined
  const finished = new Promise<void>((resolve) => {
    done = resolve
  })
  const serve = (socket: Socket): void => {
    sockets.push(socket)
    socket.on("data", (chunk) => {
      count++
      if (count === ECHOES) done()
      socket.write(chunk)
    })
  }
  const server = createServer(serve).listen(path)
  await once(server, "listening")
  const clients = Array.from({ length: CONNECTIONS }, () => new Socket().connect(path))
  await Promise.all(clients.map((client) => once(client, "connect")))
  const began = performance.now()
  for (const client of clients) {
    serve(client)
    client.write(Buffer.alloc(MESSAGE))
  }
  await finished
  const perMs = count / (performance.now() - began)
  for (const socket of sockets) socket.destroy()
  server.close()
  await once(server, "close")
  return perMs
}
