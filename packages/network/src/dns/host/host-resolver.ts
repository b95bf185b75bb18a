/**
 * What the host resolves, machines resolve: the sources of names that the host has, asked as the host asks them.
 *
 * ```
 *  addresses of a name that more than DNS could know ─► getaddrinfo
 *  everything else                                    ─► the host's name servers, question and answer passed on as they are
 * ```
 *
 * Each name has one source, so nothing is asked of a server that the host would not have asked (docs/decisions/dns.md).
 *
 * Where a system keeps its name servers elsewhere than in resolv.conf (scutil on macOS), `files` and `usesSystem` are what to replace.
 *
 * @module
 */
import { hostname } from "node:os"
import { canonicalAddress } from "../../addressing/address.ts"
import { fullRcode, HEADER } from "../message/message.ts"
import { isHostName, isWithin } from "../message/name.ts"
import { RCODE, TYPE } from "../message/number.ts"
import { type Asked, emitQuery } from "../message/query.ts"
import { emitKnown, type Known } from "../message/reply.ts"
import { addressRecords } from "../names/answer.ts"
import type { Outside } from "../resolver.ts"
import { exchange, type Response } from "./exchange.ts"
import { type NameServer, parseNsswitch, parseResolvConf, type ResolvConf } from "./resolv-conf.ts"
import { type SystemAnswer, type SystemLookup, systemLookup } from "./system-lookup.ts"
import { WatchedFile } from "./watched-file.ts"

export interface HostResolverOptions {
  readonly resolvConf?: string
  readonly nsswitch?: string
  /** These and nothing else, instead of what the host uses. */
  readonly servers?: readonly NameServer[]
  /** Whether an address is one of ours: a server there would ask us what we ask it. */
  readonly isOwn?: (address: string) => boolean
  readonly lookup?: SystemLookup
  /** For a whole question, all servers and rounds together. */
  readonly deadlineMs?: number
  readonly platform?: NodeJS.Platform
}

/** A machine's own resolver asks again after 5 s, and joins what is still under way. */
const DEADLINE_MS = 8000
/** For one server at a time, where resolv.conf does not say. */
const TURN_MS = 2000
/** A server that did not answer is asked last for so long. */
const SHUN_MS = 30_000
/** They take threads, two of which run at a time. */
const LOOKUPS_MAX = 64

export class HostResolver implements Outside {
  readonly #options: HostResolverOptions
  readonly #lookup: SystemLookup
  readonly #resolvConf: WatchedFile<ResolvConf>
  readonly #sources: WatchedFile<readonly string[]>
  readonly #hostname = hostname().toLowerCase()
  /** One for each question under way. */
  readonly #aborts = new Set<AbortController>()
  readonly #shunned = new Map<string, number>()
  readonly #running = new Set<Promise<unknown>>()
  #lookups = 0
  #disposed = false

  constructor(options: HostResolverOptions = {}) {
    this.#options = options
    this.#lookup = options.lookup ?? systemLookup
    this.#resolvConf = new WatchedFile(options.resolvConf ?? "/etc/resolv.conf", parseResolvConf)
    this.#sources = new WatchedFile(options.nsswitch ?? "/etc/nsswitch.conf", parseNsswitch)
  }

  epoch(): number {
    return this.#resolvConf.version + this.#sources.version
  }

  async resolve(asked: Asked): Promise<Uint8Array | undefined> {
    if (this.#disposed) return undefined
    const abort = new AbortController()
    const timer = setTimeout(() => abort.abort(), this.#options.deadlineMs ?? DEADLINE_MS)
    this.#aborts.add(abort)
    const { question } = asked
    const isAddress = question.type === TYPE.A || question.type === TYPE.AAAA
    const answer =
      isAddress && this.#usesSystem(question.name)
        ? this.#askSystem(asked, abort.signal)
        : this.#askServers(asked, abort.signal)
    this.#running.add(answer)
    try {
      return await answer
    } finally {
      clearTimeout(timer)
      this.#aborts.delete(abort)
      this.#running.delete(answer)
    }
  }

  /** Ends what is under way; it resolves with undefined. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#disposed = true
    for (const abort of this.#aborts) abort.abort()
    await Promise.allSettled(this.#running)
  }

  /** The name servers now, those of `isOwn` left out. */
  get servers(): readonly NameServer[] {
    const { servers, isOwn } = this.#options
    const all = servers ?? this.#resolvConf.value.servers
    return isOwn === undefined
      ? all
      : all.filter(({ address }) => !isOwn(canonicalAddress(address) ?? address))
  }

  // ---- Which source

  #usesSystem(name: string): boolean {
    if (this.#options.servers !== undefined || !isHostName(name)) return false
    if ((this.#options.platform ?? process.platform) !== "linux") return true
    // The search list is for names of one label; a machine that has its own has used it already.
    if (!name.includes(".")) return true
    const sources = this.#sources.value
    if (isWithin(name, "local") && sources.some((source) => source.startsWith("mdns"))) return true
    if (name === this.#hostname) return true
    return sources.some((source) => !ONLY_SOME_NAMES.test(source) && !this.#isAsGoodAsDns(source))
  }

  /** systemd-resolved answers DNS queries as it answers programs, where its stub is the host's name server. */
  #isAsGoodAsDns(source: string): boolean {
    return source === "resolve" && this.#resolvConf.value.servers.every(({ address }) => isLoopback(address))
  }

  // ---- The system

  async #askSystem(asked: Asked, signal: AbortSignal): Promise<Uint8Array | undefined> {
    if (this.#lookups >= LOOKUPS_MAX) return undefined
    const { name, type } = asked.question
    this.#lookups++
    const looked = this.#lookup(absolute(name), type === TYPE.A ? 4 : 6).finally(() => {
      this.#lookups--
    })
    const answer = await Promise.race([looked, aborted(signal)])
    const known = knownOf(answer, asked)
    if (known === undefined) return undefined
    const query = emitQuery(asked, 0, false)
    return emitKnown(query, { ...asked.question, end: HEADER + asked.bytes.length }, known)
  }

  // ---- The name servers

  async #askServers(asked: Asked, signal: AbortSignal): Promise<Uint8Array | undefined> {
    const { timeout, attempts, tcp } = this.#resolvConf.value
    const timeoutMs = timeout === undefined ? TURN_MS : timeout * 1000
    let last: Response | undefined
    for (let round = 0; round < attempts; round++) {
      for (const server of this.#inOrder()) {
        const response = await exchange(server, asked, { tcp, timeoutMs, signal })
        if (response === "aborted") return last?.bytes
        if (typeof response !== "string" && isFinal(response)) {
          this.#shunned.delete(keyOf(server))
          return response.bytes
        }
        if (typeof response === "string") this.#shunned.set(keyOf(server), performance.now() + SHUN_MS)
        else last = response
      }
      // They are there and do not know: asking once more changes nothing.
      if (last !== undefined) break
    }
    return last?.bytes
  }

  #inOrder(): readonly NameServer[] {
    const { servers } = this
    const now = performance.now()
    const shunned = servers.filter((server) => (this.#shunned.get(keyOf(server)) ?? 0) > now)
    if (this.#shunned.size > servers.length) this.#shunned.clear()
    return [...servers.filter((server) => !shunned.includes(server)), ...shunned]
  }
}

/** These know no name of several labels but those that `usesSystem` looks at by itself. */
const ONLY_SOME_NAMES = /^(?:files|dns|myhostname|mymachines|mdns\w*)$/

function isLoopback(address: string): boolean {
  return address === "::1" || address.startsWith("127.")
}

/** With a dot at its end the search list is not tried, which could find another name. */
function absolute(name: string): string {
  return name.includes(".") ? `${name}.` : name
}

function aborted(signal: AbortSignal): Promise<"failed"> {
  return new Promise((resolve) => {
    signal.addEventListener("abort", () => resolve("failed"), { once: true })
    if (signal.aborted) resolve("failed")
  })
}

function knownOf(answer: SystemAnswer, { question }: Asked): Known | undefined {
  if (answer === "failed") return undefined
  if (answer === "no-name") return { rcode: RCODE.NXDOMAIN }
  return { rcode: RCODE.NOERROR, answers: answer === "no-address" ? [] : addressRecords(question, answer) }
}

/** What the C library believes the first server that says it; after all other codes it asks the next one. */
function isFinal({ message }: Response): boolean {
  const code = fullRcode(message)
  return message.question !== undefined && (code === RCODE.NOERROR || code === RCODE.NXDOMAIN)
}

function keyOf({ address, port }: NameServer): string {
  return `${address} ${port}`
}
