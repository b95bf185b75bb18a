/**
 * Connects to hosts in the name of guests, by Node's sockets.
 *
 * @module
 */
import type { PoolMemory } from "@skep/link"
import type { Endpoint, HostStream, LocalEndpoint, StreamEvents, StreamHost } from "../host/host.ts"
import { hostOf } from "./address.ts"
import { NodeStream } from "./node-stream.ts"
import type { Turns } from "./turns.ts"

export class NodeHost implements StreamHost, Disposable {
  readonly #turns: Turns
  readonly #memory: PoolMemory
  readonly #streams = new Set<NodeStream>()

  constructor(turns: Turns, memory: PoolMemory) {
    this.#turns = turns
    this.#memory = memory
  }

  connect(to: Endpoint | LocalEndpoint, events: StreamEvents): HostStream {
    const stream = this.#open(events)
    if ("path" in to) stream.socket.connect({ path: to.path })
    else stream.socket.connect({ host: hostOf(to), port: to.port, autoSelectFamily: false })
    return stream
  }

  /** A connected handle of Node, as that of a socket that was accepted. Owned from now on. */
  adopt(handle: unknown, events: StreamEvents): HostStream {
    return this.#open(events, handle)
  }

  /** Ends every socket at once. */
  [Symbol.dispose](): void {
    for (const { socket } of this.#streams) socket.destroy()
  }

  #open(events: StreamEvents, handle?: unknown): NodeStream {
    const stream = new NodeStream({
      turns: this.#turns,
      memory: this.#memory,
      events,
      onGone: (gone) => void this.#streams.delete(gone),
      ...(handle === undefined ? {} : { handle }),
    })
    this.#streams.add(stream)
    return stream
  }
}
