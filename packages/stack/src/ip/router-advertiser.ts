/**
 * What we say as IPv6 router, and when: RFC 4861, section 6.2; stateless addresses (RFC 4862) of one /64; name servers (RFC 8106).
 *
 * @module
 */
import * as mac from "@skep/wire/mac"
import * as ndp from "@skep/wire/ndp"
import type { Gateway } from "./gateway.ts"
import { payloadAt, sealIcmp } from "./packet-writer.ts"

/** RFC 4861, section 10: MAX_INITIAL_RTR_ADVERTISEMENTS and MAX_INITIAL_RTR_ADVERT_INTERVAL. */
const INITIAL = 3
const INITIAL_INTERVAL_MS = 16_000
/** Half of the default MaxRtrAdvInterval: what a machine lost comes again before anything runs out. */
const INTERVAL_MS = 300_000
/** RFC 4861, section 6.2.1: three times MaxRtrAdvInterval. */
const LIFETIME_S = 1800
const VALID_S = 86_400
const PREFERRED_S = 14_400
const HOPS = 64
/** More would make the message longer than machines need. */
const SERVERS_MAX = 8

const ALL_NODES = Uint8Array.from([0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1])
const ALL_NODES_MAC = mac.ofIpv6Group(1)

export interface RouterOptions {
  /** Of the links that `mtuOf` says nothing of. */
  readonly mtu: number
  /** That of a machine's own link, which may be another one. */
  readonly mtuOf?: (machine: number) => number | undefined
  /** At most 8 are told. */
  readonly nameServers: readonly Uint8Array[]
}

interface Hearer {
  readonly destination: Uint8Array
  readonly toMac: number
}

export class RouterAdvertiser {
  readonly #gateway: Gateway
  readonly #options: RouterOptions
  readonly #said: ndp.RouterAdvertisement | undefined
  #sent = 0
  #nextMs = 0

  constructor(gateway: Gateway, options: RouterOptions) {
    this.#gateway = gateway
    this.#options = options
    const prefix = gateway.ipv6?.prefix
    if (prefix === undefined) return
    this.#said = {
      hopLimit: HOPS,
      managed: false,
      other: false,
      lifetimeSeconds: LIFETIME_S,
      reachableMs: 0,
      retransmitMs: 0,
      linkAddress: gateway.mac,
      mtu: options.mtu,
      prefixes: [
        { prefix, onLink: true, autonomous: true, validSeconds: VALID_S, preferredSeconds: PREFERRED_S },
      ],
      servers: options.nameServers.slice(0, SERVERS_MAX),
      serversLifetimeSeconds: LIFETIME_S,
    }
  }

  /** When it next wants to say something to all. */
  pollAt(): number {
    return this.#said === undefined ? Number.POSITIVE_INFINITY : this.#nextMs
  }

  /** What is due to all machines, whose links have the same MTU; others hear it by `advertise`. Returns the size of the frame, or 0. */
  dispatch(nowMs: number, out: Uint8Array): number {
    if (nowMs < this.pollAt()) return 0
    this.#sent++
    this.#nextMs = nowMs + (this.#sent < INITIAL ? INITIAL_INTERVAL_MS : INTERVAL_MS)
    return this.#write(this.#options.mtu, { destination: ALL_NODES, toMac: ALL_NODES_MAC }, out)
  }

  /** The same for the link of one machine. */
  advertise(machine: number, out: Uint8Array): number {
    return this.#write(this.#mtuOf(machine), { destination: ALL_NODES, toMac: ALL_NODES_MAC }, out)
  }

  /**
   * The answer to who asked. Without an address of its own it hears what is for all, but only it has to (RFC 6085), so a multitude that asks does
   * not wake everybody.
   */
  answer(asker: Uint8Array | undefined, station: number, machine: number, out: Uint8Array): number {
    return this.#write(this.#mtuOf(machine), { destination: asker ?? ALL_NODES, toMac: station }, out)
  }

  #mtuOf(machine: number): number {
    const { mtu, mtuOf } = this.#options
    return mtuOf?.(machine) ?? mtu
  }

  #write(mtu: number, to: Hearer, out: Uint8Array): number {
    if (this.#said === undefined) return 0
    const length = ndp.emitRouterAdvertisement(out, payloadAt(16), { ...this.#said, mtu })
    const { mac: fromMac, linkLocal: source } = this.#gateway
    return sealIcmp(out, { fromMac, source, ...to, hopLimit: ndp.HOP_LIMIT }, length)
  }
}
