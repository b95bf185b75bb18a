/**
 * Which MAC address has which IP address. Bounded for each machine, so that none can crowd out another.
 *
 * @module
 */
import { u16, u32 } from "@skep/wire/bytes"

/** An IP address as key of a map. */
export type Key = number | string

export function keyOf(bytes: Uint8Array, at: number, length: number): Key {
  if (length === 4) return u32(bytes, at)
  return String.fromCharCode(
    u16(bytes, at),
    u16(bytes, at + 2),
    u16(bytes, at + 4),
    u16(bytes, at + 6),
    u16(bytes, at + 8),
    u16(bytes, at + 10),
    u16(bytes, at + 12),
    u16(bytes, at + 14),
  )
}

/** The 16 bytes of the key of an IPv6 address. */
export function bytesOf(key: string): Uint8Array {
  return Uint8Array.from({ length: 16 }, (_, index) => {
    const pair = key.charCodeAt(index >>> 1)
    return (index & 1) === 0 ? pair >>> 8 : pair & 0xff
  })
}

/** What `learn` did: nobody had the address, or somebody else. */
export type Learnt = "learnt" | "moved"

interface Neighbour {
  mac: number
  machine: number
  /** Grows with each time that it was heard of. */
  heard: number
}

export class NeighbourTable {
  readonly #perMachine: number
  readonly #neighbours = new Map<Key, Neighbour>()
  /** What each machine has, the oldest first. */
  readonly #machines = new Map<number, Set<Key>>()
  #heard = 0

  constructor(perMachine: number) {
    this.#perMachine = perMachine
  }

  get size(): number {
    return this.#neighbours.size
  }

  /** The MAC address, or -1. */
  lookup(key: Key): number {
    return this.#neighbours.get(key)?.mac ?? -1
  }

  /** The machine that has the address, or -1. */
  holderOf(key: Key): number {
    return this.#neighbours.get(key)?.machine ?? -1
  }

  /** The addresses that a machine uses with one MAC address, in the order in which they came. */
  *of(machine: number, mac: number): IterableIterator<Key> {
    for (const key of this.#machines.get(machine) ?? []) if (this.lookup(key) === mac) yield key
  }

  /** Whether that is known already. */
  has(key: Key, mac: number, machine: number): boolean {
    const known = this.#neighbours.get(key)
    if (known?.mac !== mac || known.machine !== machine) return false
    known.heard = ++this.#heard
    return true
  }

  /** Remembers an address of a machine, which forgets for it the one that was not heard of for longest if it has too many. */
  learn(key: Key, mac: number, machine: number): Learnt {
    const known = this.#neighbours.get(key)
    if (known !== undefined && known.machine !== machine) this.#machines.get(known.machine)?.delete(key)
    this.#neighbours.set(key, { mac, machine, heard: ++this.#heard })
    this.#own(machine, key)
    return known === undefined ? "learnt" : "moved"
  }

  /** Forgets one address of a machine, where it is that one's. */
  drop(key: Key, machine: number): void {
    if (this.holderOf(key) !== machine) return
    this.#neighbours.delete(key)
    this.#machines.get(machine)?.delete(key)
  }

  /** All addresses of a machine. */
  all(machine: number): readonly Key[] {
    return [...(this.#machines.get(machine) ?? [])]
  }

  /** Forgets what a machine had. */
  forget(machine: number): void {
    for (const key of this.#machines.get(machine) ?? []) this.#neighbours.delete(key)
    this.#machines.delete(machine)
  }

  #own(machine: number, key: Key): void {
    const keys = this.#machines.get(machine) ?? new Set<Key>()
    this.#machines.set(machine, keys)
    keys.add(key)
    if (keys.size <= this.#perMachine) return
    let oldest: Key = key
    let heard = Number.POSITIVE_INFINITY
    for (const each of keys) {
      const at = this.#neighbours.get(each)?.heard ?? 0
      if (at >= heard) continue
      heard = at
      oldest = each
    }
    keys.delete(oldest)
    this.#neighbours.delete(oldest)
  }
}
