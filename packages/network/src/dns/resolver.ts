/**
 * Answers the machines' queries: bytes in, bytes out.
 *
 * ```
 *  query ─► shape ─► fixed names ─► zones ─► own names ─► special names ─► hosts file ─┬─► policy says no: REFUSED
 *                                                                                     └─► cache ─► the same query under way ─► outside
 * ```
 *
 * No sockets and no clock here. Who asks outside is given (`Outside`), and only where the policy lets names leave.
 *
 * @module
 */

import { u16 } from "@skep/wire/bytes"
import { CACHE_LIMITS, Cache, type CacheLimits, type Kept } from "./cache.ts"
import { Counts, type DnsCounter } from "./counts.ts"
import { fullRcode, HEADER, lifeOf, type Message, parseMessage, type Question } from "./message/message.ts"
import { CLASS_IN, EXTENDED_ERROR, FLAG, opcode, RCODE, TYPE } from "./message/number.ts"
import { type Asked, askedBy, keyOf } from "./message/query.ts"
import {
  emitKnown,
  emitUnreadable,
  type Finish,
  finish,
  type Known,
  type Transport,
  withoutOpt,
} from "./message/reply.ts"
import { addressRecords, found } from "./names/answer.ts"
import { answerHosts, type HostsTable } from "./names/hosts-file.ts"
import { answerOwn, answerUnknown, type OwnNames } from "./names/own.ts"
import { answerSpecial } from "./names/special.ts"
import { Zones } from "./names/zones.ts"

/** What the host's resolver says. */
export interface Outside extends AsyncDisposable {
  /** Another number when what was said before may be wrong now: the host changed its resolver. */
  epoch(): number
  /** A whole response to this question, or undefined where there is none in time. Rejects for nothing but our own errors. */
  resolve(asked: Asked): Promise<Uint8Array | undefined>
}

export interface From {
  readonly transport: Transport
  /** Milliseconds of a clock that only goes forward. */
  readonly now: number
  /** Who asks. Bounds and policy go by it. */
  readonly machine: string
}

export interface ResolverLimits {
  /** Queries of one machine that wait at the same time. */
  readonly perMachine: number
  /** Different questions under way outside. */
  readonly flights: number
  readonly cache: CacheLimits
  /** No answer is kept for longer: the host may join a VPN meanwhile, which nobody tells us of. */
  readonly longestMs: number
  /** For so long a question that got no answer gets none again. RFC 9520 section 3.2: at least 1 s. */
  readonly failureMs: number
}

const RESOLVER_LIMITS: ResolverLimits = {
  perMachine: 128,
  flights: 1024,
  cache: CACHE_LIMITS,
  longestMs: 60_000,
  failureMs: 1000,
}

export interface ResolverOptions {
  readonly own: () => OwnNames
  /** The host's file as it is now. */
  readonly hosts: () => HostsTable
  /** Addresses of further names, before all others. Names as `canonicalName` makes them. */
  readonly fixed?: ReadonlyMap<string, readonly string[]>
  /** Undefined where nothing may leave: all that is not known here is refused. */
  readonly outside?: Outside
  /** Whether this machine may have this name looked up outside. */
  readonly mayResolve?: (name: string, machine: string) => boolean
  /** A name was refused for policy. */
  readonly onRefused?: (name: string, machine: string) => void
  readonly limits?: Partial<ResolverLimits>
}

export class Resolver {
  readonly zones: Zones = new Zones()
  readonly #options: ResolverOptions
  readonly #limits: ResolverLimits
  readonly #counts = new Counts()
  readonly #cache: Cache
  readonly #flights = new Map<string, Promise<Kept>>()
  /** Waiting queries by machine. */
  readonly #waiting = new Map<string, number>()
  #outside: Outside | undefined
  #epoch = 0

  constructor(options: ResolverOptions) {
    this.#options = options
    this.#limits = { ...RESOLVER_LIMITS, ...options.limits }
    this.#cache = new Cache(this.#limits.cache)
    this.outside = options.outside
  }

  /** Changes with the policy. Whoever sets it owns it; what it answered before is forgotten. */
  set outside(outside: Outside | undefined) {
    this.#outside = outside
    this.#epoch = outside?.epoch() ?? 0
    this.#forget()
  }

  get outside(): Outside | undefined {
    return this.#outside
  }

  get counters(): ReturnType<Counts["snapshot"]> {
    return this.#counts.snapshot()
  }

  /** What is held at this moment. */
  get held(): { readonly entries: number; readonly bytes: number; readonly flights: number } {
    return { entries: this.#cache.entries, bytes: this.#cache.bytes, flights: this.#flights.size }
  }

  /** The answer to one message, or undefined for one that gets none. `query` must not change until then. */
  async answer(query: Uint8Array, from: From): Promise<Uint8Array | undefined> {
    this.#counts.add(from.transport)
    if (query.length < HEADER) return this.#drop("too-short")
    // Two servers that answer each other's answers would never end.
    if ((u16(query, 2) & FLAG.QR) !== 0) return this.#drop("not-a-query")
    const message = parseMessage(query)
    if (typeof message === "string") return this.#unreadable(query, message)
    const { question } = message
    const how: Finish = { transport: from.transport }
    // Other operations have other messages: this one's sections are not to be judged.
    if (opcode(message.flags) !== 0)
      return this.#code(query, message, { ...how, rcode: RCODE.NOTIMP }, "not-implemented")
    if (question === undefined) return this.#unreadable(query, "no-question")
    if (message.records.some(({ section }) => section !== "additional"))
      return this.#unreadable(query, "with-answers")
    if ((message.edns?.version ?? 0) > 0)
      return this.#code(query, message, { ...how, rcode: RCODE.BADVERS }, "bad-version")
    const known = this.#known(question)
    if (known !== undefined)
      return this.#finish(emitKnown(query, question, known), query, message, { ...how, ...known })
    const refusal = this.#refusal(question, from)
    if (refusal !== undefined) {
      const reason = refusal === "refused-policy" ? EXTENDED_ERROR.BLOCKED : undefined
      return this.#code(query, message, { ...how, rcode: RCODE.REFUSED, reason }, refusal)
    }
    const kept = await this.#outsideAnswer(askedBy(query, message, question), from)
    if (kept === "busy") return this.#code(query, message, { ...how, rcode: RCODE.SERVFAIL }, "busy")
    if (kept.bytes.length > 0) return this.#finish(kept.bytes, query, message, how)
    const reason = EXTENDED_ERROR.NO_REACHABLE_AUTHORITY
    return this.#code(query, message, { ...how, rcode: RCODE.SERVFAIL, reason }, "failed")
  }

  // ---- What is known here

  #known(question: Question): Known | undefined {
    if (question.class !== CLASS_IN) return this.#count("refused-class", { rcode: RCODE.REFUSED })
    const byType = this.#byType(question)
    if (byType !== undefined) return byType
    const { name } = question
    const fixed = this.#options.fixed?.get(name)
    if (fixed !== undefined) return this.#count("own", found(name, addressRecords(question, fixed)))
    return (
      this.#countIf("zone", this.zones.exact(question)) ??
      this.#countIf("own", answerOwn(question, this.#options.own())) ??
      this.#countIf("zone", this.zones.rest(question)) ??
      this.#countIf("special", answerSpecial(question)) ??
      this.#countIf("hosts-file", answerHosts(question, this.#options.hosts())) ??
      this.#countIf("own", answerUnknown(question))
    )
  }

  /** Types that no name has, or that nobody gets. */
  #byType({ type, name }: Question): Known | undefined {
    // RFC 8482 section 4.2: something small instead of everything.
    if (type === TYPE.ANY) {
      const data = { cpu: "RFC8482", os: "" }
      return this.#count("special", {
        rcode: RCODE.NOERROR,
        answers: [{ type: "HINFO", name, ttl: ANY_TTL, data }],
      })
    }
    if (type === TYPE.AXFR || type === TYPE.IXFR) return this.#count("refused-type", { rcode: RCODE.REFUSED })
    if (type === TYPE.MAILA || type === TYPE.MAILB)
      return this.#count("not-implemented", { rcode: RCODE.NOTIMP })
    if (type === 0 || type === TYPE.OPT || type === TYPE.TSIG || type === TYPE.TKEY)
      return this.#count("refused-type", { rcode: RCODE.FORMERR })
    return undefined
  }

  #count(counter: DnsCounter, known: Known): Known {
    this.#counts.add(counter)
    return known
  }

  #countIf(counter: DnsCounter, known: Known | undefined): Known | undefined {
    return known === undefined ? undefined : this.#count(counter, known)
  }

  // ---- What is not

  #refusal({ name }: Question, { machine }: From): DnsCounter | undefined {
    const { mayResolve, onRefused } = this.#options
    const refusal =
      this.#outside === undefined
        ? "refused-policy"
        : mayResolve?.(name, machine) === false
          ? "refused-name"
          : undefined
    if (refusal !== undefined) onRefused?.(name, machine)
    return refusal
  }

  async #outsideAnswer(asked: Asked, { now, machine }: From): Promise<Kept | "busy"> {
    const outside = this.#outside
    if (outside === undefined) return NO_ANSWER
    const epoch = outside.epoch()
    if (epoch !== this.#epoch) {
      this.#epoch = epoch
      this.#forget()
    }
    const key = keyOf(asked)
    const cached = this.#cache.get(key, now)
    if (cached !== undefined) {
      this.#counts.add("cached")
      return cached
    }
    const waiting = this.#waiting.get(machine) ?? 0
    if (waiting >= this.#limits.perMachine) return "busy"
    const flight = this.#flights.get(key)
    if (flight === undefined && this.#flights.size >= this.#limits.flights) return "busy"
    if (flight !== undefined) this.#counts.add("joined")
    this.#waiting.set(machine, waiting + 1)
    try {
      return await (flight ?? this.#fly(outside, key, asked, now))
    } finally {
      const left = (this.#waiting.get(machine) ?? 1) - 1
      if (left === 0) this.#waiting.delete(machine)
      else this.#waiting.set(machine, left)
    }
  }

  #fly(outside: Outside, key: string, asked: Asked, now: number): Promise<Kept> {
    const flight = this.#ask(outside, key, asked, now).finally(() => {
      if (this.#flights.get(key) === flight) this.#flights.delete(key)
    })
    this.#flights.set(key, flight)
    return flight
  }

  async #ask(outside: Outside, key: string, asked: Asked, now: number): Promise<Kept> {
    const epoch = this.#epoch
    const bytes = await outside.resolve(asked)
    const message = bytes === undefined ? "truncated" : parseMessage(bytes)
    const usable =
      bytes !== undefined &&
      typeof message !== "string" &&
      message.question?.end === HEADER + asked.bytes.length &&
      fullRcode(message) < RCODE.BADVERS
    const kept = usable ? keep(bytes, message) : NO_ANSWER
    if (usable) this.#counts.add("outside")
    if (this.#outside !== outside || this.#epoch !== epoch) return kept // it may be wrong already
    const { longestMs, failureMs } = this.#limits
    const failed = !usable || kept.rcode === RCODE.SERVFAIL
    const lifeMs = failed ? failureMs : Math.min(lifeOf(bytes, message) * 1000, longestMs)
    this.#cache.put(key, kept, { now, lifeMs })
    return kept
  }

  #forget(): void {
    this.#cache.clear()
    this.#flights.clear()
  }

  // ---- Replies

  #finish(reply: Uint8Array, query: Uint8Array, message: Message, how: Finish): Uint8Array {
    const { bytes, cut } = finish(reply, query, message, how)
    if (cut) this.#counts.add("cut")
    return bytes
  }

  /** A reply of nothing but a code. */
  #code(query: Uint8Array, message: Message, how: Finish & Known, counter: DnsCounter): Uint8Array {
    this.#counts.add(counter)
    const reply = emptyReply(query, message, how.rcode)
    return this.#finish(reply, query, message, how)
  }

  #unreadable(query: Uint8Array, counter: DnsCounter): Uint8Array {
    this.#counts.add(counter)
    return emitUnreadable(query)
  }

  #drop(counter: DnsCounter): undefined {
    this.#counts.add(counter)
    return undefined
  }
}

/** RFC 8482 section 4.2 speaks of "a large TTL". */
const ANY_TTL = 3600
/** No bytes: nobody answered. */
const NO_ANSWER: Kept = { bytes: new Uint8Array(0), records: [], rcode: RCODE.SERVFAIL }

function keep(bytes: Uint8Array, message: Message): Kept {
  const reply = withoutOpt(bytes, message)
  const records = message.records.filter(({ end }) => end <= reply.length)
  return { bytes: reply, records, rcode: fullRcode(message) }
}

function emptyReply(query: Uint8Array, { question }: Message, rcode: number): Uint8Array {
  if (question !== undefined) return emitKnown(query, question, { rcode })
  const reply = new Uint8Array(HEADER)
  reply.set(query.subarray(0, 4))
  reply[3] = rcode & 0xf
  return reply
}
