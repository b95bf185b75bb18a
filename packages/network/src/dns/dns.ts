/**
 * The DNS of one network, put together: tables, the host's files, and the host's resolver where the policy lets names leave.
 *
 * @module
 */

import { canonicalAddress } from "../addressing/address.ts"
import { HostResolver, type HostResolverOptions } from "./host/host-resolver.ts"
import { WatchedFile } from "./host/watched-file.ts"
import { canonicalName } from "./message/name.ts"
import { parseHosts } from "./names/hosts-file.ts"
import type { OwnNames } from "./names/own.ts"
import { type From, Resolver, type ResolverOptions } from "./resolver.ts"
import { type DnsServer, type DnsServerOptions, startDnsServer } from "./server.ts"

export interface DnsOptions
  extends Pick<ResolverOptions, "own" | "mayResolve" | "onRefused" | "limits">,
    Pick<HostResolverOptions, "resolvConf" | "nsswitch" | "servers" | "lookup" | "deadlineMs"> {
  /** Names may be looked up outside. Without it nothing is ever sent to a name server. */
  readonly outside: boolean
  /** Further names with their addresses, before all others. */
  readonly fixed?: Readonly<Record<string, readonly string[]>>
  readonly hostsFile?: string
}

export class Dns implements AsyncDisposable {
  readonly resolver: Resolver
  readonly #options: DnsOptions
  #host: HostResolver | undefined
  #left: Promise<void> = Promise.resolve()

  constructor(options: DnsOptions) {
    this.#options = options
    const hosts = new WatchedFile(options.hostsFile ?? "/etc/hosts", parseHosts)
    const fixed = Object.entries(options.fixed ?? {}).map(
      ([name, addresses]) => [canonicalName(name), addresses] as const,
    )
    const { outside, ...rest } = options
    this.resolver = new Resolver({ ...rest, hosts: () => hosts.value, fixed: new Map(fixed) })
    this.setOutside(outside)
  }

  /** The policy changed. What is under way outside is given up when names may not leave any more. */
  setOutside(outside: boolean): void {
    if (outside === (this.#host !== undefined)) return
    const before = this.#host
    this.#host = outside
      ? new HostResolver({ ...this.#options, isOwn: (address) => this.#isOwn(address) })
      : undefined
    this.resolver.outside = this.#host
    if (before !== undefined) this.#left = this.#left.then(() => before[Symbol.asyncDispose]())
  }

  /** One datagram; see `Resolver.answer`. */
  answer(query: Uint8Array, from: From): Promise<Uint8Array | undefined> {
    return this.resolver.answer(query, from)
  }

  /** The TCP side. Owned by the caller. */
  listen(options: Omit<DnsServerOptions, "resolver">): Promise<DnsServer> {
    return startDnsServer({ ...options, resolver: this.resolver })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.setOutside(false)
    await this.#left
  }

  #isOwn(address: string): boolean {
    const own: OwnNames = this.#options.own()
    return [...own.gateway, ...own.host].some((each) => canonicalAddress(each) === address)
  }
}
