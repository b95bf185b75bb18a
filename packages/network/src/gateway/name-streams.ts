/**
 * Streams to the name service, which is to know whose questions they bring: each begins with the machine's name, framed as a message of DNS over TCP
 * is. A guest has no say in it, since its own bytes come after.
 *
 * @module
 */
import { type Memory, Parts } from "@skep/link"
import { host } from "@skep/stack"
import { framed } from "../dns/stream.ts"

/** The socket of the name service, and who is led to it. */
export interface NameEndpoint extends host.LocalEndpoint {
  readonly machine: string
}

export class NameStreams implements host.StreamHost {
  readonly #streams: host.StreamHost
  readonly #memory: Memory
  readonly #parts = new Parts()

  /** Connects by `streams`, whose memory this is. */
  constructor(streams: host.StreamHost, memory: Memory) {
    this.#streams = streams
    this.#memory = memory
  }

  connect(
    to: host.Endpoint | host.LocalEndpoint | NameEndpoint,
    events: host.StreamEvents,
  ): host.HostStream | number {
    return "machine" in to ? this.#introduce(to, events) : this.#streams.connect(to, events)
  }

  #introduce(to: NameEndpoint, events: host.StreamEvents): host.HostStream | number {
    let stream: host.HostStream | number = -host.ECONNREFUSED
    stream = this.#streams.connect(to, {
      onConnected: () => {
        if (typeof stream === "number") return
        if (this.#say(to.machine, stream)) return events.onConnected()
        stream.abort()
        events.onFailed(host.ECONNRESET)
      },
      onFailed: (errno) => events.onFailed(errno),
      onReadable: () => events.onReadable(),
      onWritable: () => events.onWritable(),
      onFault: (error) => events.onFault(error),
    })
    if (typeof stream === "number" || !stream.connected || this.#say(to.machine, stream)) return stream
    stream.abort()
    return -host.ECONNRESET
  }

  /** Returns false where not all of it could be said: then nothing else may be. */
  #say(machine: string, stream: host.HostStream): boolean {
    const bytes = framed(Buffer.from(machine))
    const address = this.#memory.allocate(bytes.length)
    if (address === 0) return false
    this.#memory.write(bytes, 0, bytes.length, address)
    this.#parts.clear()
    this.#parts.push(address, bytes.length)
    const written = stream.write(this.#parts)
    this.#memory.free(address, bytes.length)
    return written === bytes.length
  }
}
