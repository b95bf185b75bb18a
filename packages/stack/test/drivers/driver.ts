/**
 * The drivers as one test sees them: whatever the host's sockets are, the core is told the same.
 *
 * @module
 */
import { setImmediate as turn } from "node:timers/promises"
import { PoolMemory, SystemMemory } from "@skep/link"
import { available, Loop } from "@skep/loop"
import type { Clock, host } from "../../src/index.ts"
import {
  loopClock,
  NodeClock,
  NodeDatagramHost,
  NodeHost,
  NodeListenerHost,
  SocketDatagramHost,
  SocketHost,
  SocketListenerHost,
  Transfer,
  Turns,
} from "../../src/index.ts"

const OPTIONS = { heapBytes: 16 * 1024 * 1024, slots: 8 }
/** More turns than any test takes; a turn waits for nothing. */
const TURNS = 200_000

export interface Driver extends Disposable {
  readonly memory: PoolMemory | SystemMemory
  readonly clock: Clock
  readonly streams: host.StreamHost
  readonly datagrams: host.DatagramHost
  readonly listeners: host.ListenerHost
  /** Lets the host, its peers and the driver go on until this holds. */
  until(condition: () => boolean): Promise<void>
}

export interface DriverKind {
  readonly name: string
  /** Whether what the guest has not acknowledged lies in the driver's memory. */
  readonly keeps: boolean
  readonly open: () => Driver
}

export const kinds: readonly DriverKind[] = [
  ...(available().available
    ? [
        { name: "loop", keeps: false, open: () => loopDriver(false) },
        { name: "loop without SO_PEEK_OFF", keeps: true, open: () => loopDriver(true) },
      ]
    : []),
  { name: "node", keeps: true, open: nodeDriver },
]

function loopDriver(ring: boolean): Driver {
  const loop = new Loop()
  const scope = loop.scope("driver")
  const memory = new SystemMemory(OPTIONS)
  const transfer = new Transfer()
  const streams = new SocketHost({ scope, transfer, memory, ring })
  return {
    memory,
    clock: loopClock(scope),
    streams,
    datagrams: new SocketDatagramHost(scope, transfer),
    listeners: new SocketListenerHost(scope, streams),
    until: (condition) => until(condition, () => loop.step()),
    [Symbol.dispose]: () => {
      loop[Symbol.dispose]()
      transfer[Symbol.dispose]()
      memory[Symbol.dispose]()
    },
  }
}

function nodeDriver(): Driver {
  const turns = new Turns()
  const memory = new PoolMemory(OPTIONS)
  const clock = new NodeClock(turns)
  const streams = new NodeHost(turns, memory)
  const datagrams = new NodeDatagramHost(turns, memory)
  const listeners = new NodeListenerHost({ turns, memory, sockets: streams })
  return {
    memory,
    clock,
    streams,
    datagrams,
    listeners,
    until: (condition) => until(condition, () => undefined),
    [Symbol.dispose]: () => {
      for (const part of [listeners, streams, datagrams, clock, turns]) part[Symbol.dispose]()
    },
  }
}

async function until(condition: () => boolean, step: () => void): Promise<void> {
  for (let left = TURNS; left > 0; left--) {
    step()
    if (condition()) return
    await turn()
  }
  throw new Error(`It did not come to that: ${String(condition)}`)
}
