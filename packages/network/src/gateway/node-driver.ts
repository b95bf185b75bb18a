/**
 * A network's driver by Node's own sockets: no system call of ours, so it runs wherever Node does.
 *
 * @module
 */
import { SidecarError } from "@skep/contract"
import { NodeStreamIo, PoolMemory, StreamLink } from "@skep/link"
import { NodeClock, NodeDatagramHost, NodeHost, NodeListenerHost, Turns } from "@skep/stack"
import type { LinkSpec } from "../links/link-spec.ts"
import type { Driver, LinkOptions, OpenedLink } from "./driver.ts"
import { heapBytesFor } from "./heap.ts"

/** Disposing it ends every socket, timer and turn of it. `end` is what ends the engine, by an error where there is one. */
export function nodeDriver(maxHeldBytes: number, end: (error?: Error) => void): Driver & Disposable {
  const turns = new Turns()
  const memory = new PoolMemory({ heapBytes: heapBytesFor(maxHeldBytes) })
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
    later: (callback) => turns.later(callback),
    onTurnEnd: (callback) => void turns.onEnd(callback),
    openLink: (spec, options) => openLink(spec, options, { turns, memory }),
    end: () => turns.later(() => end()),
    fail: (error) => turns.later(() => end(error)),
    [Symbol.dispose]: () => {
      for (const part of [listeners, streams, datagrams, clock, turns]) part[Symbol.dispose]()
    },
  }
}

function openLink(
  spec: LinkSpec,
  options: LinkOptions,
  { turns, memory }: { readonly turns: Turns; readonly memory: PoolMemory },
): OpenedLink {
  if (spec.kind !== "qemu") {
    throw new SidecarError(
      "unsupported",
      `Cannot add a link for "${spec.machine}": the driver "node" has no ${spec.kind}`,
    )
  }
  const { onBroken, onError } = options
  const link = new StreamLink({
    name: spec.machine,
    memory,
    mtu: spec.mtu ?? options.mtu,
    io: new NodeStreamIo({ turns, memory, listen: spec.socket, onError }),
    onEnd: onBroken,
  })
  return { link, endpoint: spec.socket, [Symbol.dispose]: () => link[Symbol.dispose]() }
}
