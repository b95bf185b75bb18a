/**
 * What tells flows apart: protocol, the guest's address and port, the address and port it talks to. Read from headers without allocating.
 *
 * @module
 */
import { u16, u32 } from "@skep/wire/bytes"
import type { IpView } from "@skep/wire/ip"

/** Two addresses of up to four words, the ports, protocol and version. */
const WORDS = 10
const PORTS = 8
const KIND = 9

export interface Keyed {
  readonly key: FlowKey
  /** The next one with the same hash. */
  chained: Keyed | undefined
}

export class FlowKey {
  readonly words: Uint32Array = new Uint32Array(WORDS)
  hash = 0

  /** The key of a packet from the guest whose ports are at `portsAt`; an echo request has one number there. */
  fromPacket(bytes: Uint8Array, ip: IpView, portsAt: number, ports: 1 | 2 = 2): this {
    const count = ip.addressLength >>> 2
    for (let word = 0; word < count; word++) {
      this.words[word] = u32(bytes, ip.sourceAt + 4 * word)
      this.words[4 + word] = u32(bytes, ip.destinationAt + 4 * word)
    }
    return this.#finish(count, u16(bytes, portsAt), ports === 2 ? u16(bytes, portsAt + 2) : 0, ip.protocol)
  }

  /** The key of packets that the guest will send. Addresses are of one length. */
  fromEndpoints(
    protocol: number,
    guest: Uint8Array,
    guestPort: number,
    other: Uint8Array,
    otherPort: number,
  ): this {
    const count = guest.length >>> 2
    for (let word = 0; word < count; word++) {
      this.words[word] = u32(guest, 4 * word)
      this.words[4 + word] = u32(other, 4 * word)
    }
    return this.#finish(count, guestPort, otherPort, protocol)
  }

  equals(other: FlowKey): boolean {
    if (this.hash !== other.hash) return false
    for (let word = 0; word < WORDS; word++) if (this.words[word] !== other.words[word]) return false
    return true
  }

  copy(): FlowKey {
    const copy = new FlowKey()
    copy.words.set(this.words)
    copy.hash = this.hash
    return copy
  }

  #finish(count: number, guestPort: number, otherPort: number, protocol: number): this {
    const { words } = this
    for (let word = count; word < 4; word++) {
      words[word] = 0
      words[4 + word] = 0
    }
    words[PORTS] = guestPort * 0x10000 + otherPort
    words[KIND] = protocol * 16 + count
    // Multiplicative mixing (Knuth); a guest can make its own flows collide, which slows down nobody but itself: the table is bounded.
    let hash = 0
    for (let word = 0; word < WORDS; word++) {
      hash = Math.imul(hash ^ (words[word] ?? 0), 0x9e3779b1)
      hash ^= hash >>> 15
    }
    this.hash = hash >>> 0
    return this
  }
}

/** Flows by key. */
export class FlowTable<F extends Keyed & { chained: F | undefined }> {
  readonly #byHash = new Map<number, F>()
  #size = 0

  get size(): number {
    return this.#size
  }

  get(key: FlowKey): F | undefined {
    for (let flow = this.#byHash.get(key.hash); flow !== undefined; flow = flow.chained) {
      if (flow.key.equals(key)) return flow
    }
    return undefined
  }

  /** Adds a flow whose key is not in the table. */
  add(flow: F): void {
    flow.chained = this.#byHash.get(flow.key.hash)
    this.#byHash.set(flow.key.hash, flow)
    this.#size++
  }

  /** Returns whether it was in the table. */
  delete(flow: F): boolean {
    const first = this.#byHash.get(flow.key.hash)
    if (first === flow) {
      if (flow.chained === undefined) this.#byHash.delete(flow.key.hash)
      else this.#byHash.set(flow.key.hash, flow.chained)
      this.#size--
      return true
    }
    for (let each = first; each !== undefined; each = each.chained) {
      if (each.chained !== flow) continue
      each.chained = flow.chained
      this.#size--
      return true
    }
    return false
  }

  /** All at this moment; who deletes some meanwhile still meets the others. */
  all(): F[] {
    const flows: F[] = []
    for (const first of this.#byHash.values()) {
      for (let flow: F | undefined = first; flow !== undefined; flow = flow.chained) flows.push(flow)
    }
    return flows
  }
}
