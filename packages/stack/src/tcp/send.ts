/**
 * The sending side of a connection: what is to go out now, again or for the first time (RFC 9293 sections 3.4 and 3.8, RFC 6298, RFC 6675, RFC 8985).
 *
 * ```
 *        una                                 nxt      una + window
 *  ───────┼───────────────────────────────────┼──────────┼───────►
 *  done   │ on its way, lost, or there: flight │ new      │ not allowed
 * ```
 *
 * Knows sequence numbers only; the bytes are read from the host's socket again whenever they go out.
 *
 * @module
 */
import { Congestion } from "./congestion.ts"
import { Flight } from "./flight.ts"
import { RoundTrip } from "./rtt.ts"
import { add, after, before, distance } from "./seq.ts"

/** RFC 5681, section 3.2. */
const DUPLICATES = 3
/** Probes of a closed window never stop, but they become rare. */
const PROBE_MOST_MS = 60_000
/** RFC 8985, section 7.2: a guest may keep the acknowledgement of a single segment back for that long. */
const DELAYED_MS = 200
/** A machine may not be scheduled for a while. */
const TAIL_LEAST_MS = 10

export type Wanted = "data" | "fin" | "nothing"

export class SendSide {
  /** SND.UNA. */
  una: number
  /** SND.NXT: the end of what was ever sent. */
  nxt: number
  /** SND.WND, in bytes. */
  window = 0
  /** How far the window in the guest's segments is shifted. */
  scale = 0
  /** Bytes of payload of one segment. */
  segment: number
  sackPermitted = false
  /** The sequence number of our FIN, once the end of our stream is known. */
  finAt: number | undefined
  /** Of the last `next`: where the data begins, how much may go, and whether it was sent before. */
  from = 0
  room = 0
  again = false
  retransmitted = 0
  timeouts = 0
  readonly roundTrip: RoundTrip = new RoundTrip()
  readonly congestion: Congestion
  readonly #flight: Flight
  #duplicates = 0
  /** Where the recovery ends that is going on. */
  #recover: number | undefined
  #windowSequence = 0
  #windowAcknowledgement = 0
  /** The retransmission timer, or the one that asks for the window. */
  #expiresAt = Number.POSITIVE_INFINITY
  /** When the last segment goes out again, so that its loss is noticed before the timeout (RFC 8985, section 7). */
  #tailAt = Number.POSITIVE_INFINITY
  #tailSent = false
  /** Where the tail ended that went out twice. */
  #tailEnd: number | undefined
  #probing = false
  /** The number that went out in spite of a closed window. */
  #probeAt: number | undefined

  constructor(first: number, segment: number) {
    this.una = first
    this.nxt = first
    this.segment = segment
    this.#flight = new Flight(first)
    this.congestion = new Congestion(() => this.segment)
  }

  /** Numbers that were sent and are not acknowledged. */
  get inFlight(): number {
    return distance(this.nxt, this.una)
  }

  /** When `onTimer` has to be called. */
  get expiresAt(): number {
    return Math.min(this.#expiresAt, this.#tailAt, this.#flight.lookAt)
  }

  /** Whether our FIN was sent and is acknowledged. */
  get finished(): boolean {
    return this.finAt !== undefined && after(this.una, this.finAt)
  }

  /** Whether a number is on its way: was sent, and is not acknowledged. */
  isUnderWay(sequence: number): boolean {
    return !before(sequence, this.una) && before(sequence, this.nxt)
  }

  /**
   * The path takes no larger segments than this any more. What is on its way goes out again in such, which is no sign of congestion (RFC 8201, section
   * 5.4). Returns false where they are no larger.
   */
  shrink(segment: number): boolean {
    if (segment >= this.segment) return false
    this.segment = segment
    this.#flight.lose(this.una, this.nxt)
    return true
  }

  /** What can go out now. */
  next(): Wanted {
    const lost = this.#flight.firstLost()
    if (lost !== undefined) return this.#nextLost(lost.start, lost.end)
    const allowed = Math.min(this.window - this.inFlight, Math.floor(this.congestion.window) - this.#onWay)
    // The FIN is never kept back by a window of whole bytes that is full.
    if (this.nxt === this.finAt) return allowed >= 0 ? this.#offer(this.nxt, 1, false) : "nothing"
    // RFC 9293, section 3.8.6.2.1: no crumbs while an acknowledgement is on its way.
    if (allowed < this.segment && this.inFlight > 0) return "nothing"
    if (allowed <= 0 || (this.finAt !== undefined && after(this.nxt, this.finAt))) return "nothing"
    return this.#offer(this.nxt, allowed, false)
  }

  /** `length` numbers from `from` on went out: those of the last `next`, or new ones. */
  sent(from: number, length: number, now: number): void {
    const end = add(from, length)
    if (before(from, this.nxt)) {
      this.retransmitted += length
      this.#flight.sentAgain(from, end, now)
    } else {
      this.#flight.sent(from, end, now)
      this.nxt = end
    }
    this.#probing = false
    if (this.#expiresAt === Number.POSITIVE_INFINITY) this.#expiresAt = now + this.roundTrip.timeoutMs
    if (!this.#tailSent) this.#tailAt = this.#tailDue(now)
  }

  /** One number went out in spite of the window. */
  probed(now: number): void {
    this.#probeAt = this.nxt
    this.sent(this.nxt, 1, now)
    this.#tailAt = Number.POSITIVE_INFINITY
  }

  /** There is data to send and no room for it: a probe is due some time (RFC 9293, section 3.8.6.1). */
  blocked(now: number): void {
    if (this.inFlight > 0 || this.#probing) return
    this.#probing = true
    this.#expiresAt = now + Math.min(PROBE_MOST_MS, this.roundTrip.timeoutMs)
  }

  /** Nothing is left to be sent, so no probe is needed. */
  drained(): void {
    if (!this.#probing) return
    this.#probing = false
    this.#expiresAt = Number.POSITIVE_INFINITY
  }

  /** A timer expired: "probe" where one number may go out in spite of the window, "again" where something lost is to go out again. */
  onTimer(now: number): "probe" | "again" | "nothing" {
    if (now >= this.#expiresAt) return this.#timeout(now)
    if (now >= this.#flight.lookAt) this.#look(now)
    if (now >= this.#tailAt) this.#probeTail()
    return this.#flight.lost > 0 ? "again" : "nothing"
  }

  /** Whether `acknowledgement` speaks of what we have sent. */
  plausible(acknowledgement: number): boolean {
    return !after(acknowledgement, this.nxt)
  }

  /** Takes an acknowledgement. `sack` and `acknowledged` follow. */
  acknowledge(acknowledgement: number, isEmpty: boolean, windowChanged: boolean, now: number): void {
    const fresh = distance(acknowledgement, this.una)
    const flight = this.#flight
    flight.acknowledge(fresh > 0 ? acknowledgement : this.una, now)
    if (fresh <= 0) {
      if (fresh === 0 && isEmpty && !windowChanged && this.inFlight > 0) this.#duplicates++
      return
    }
    this.una = acknowledgement
    this.#duplicates = 0
    this.#probing = false
    this.#probeAt = undefined
    this.#tailSent = false
    this.roundTrip.progressed()
    const isPartial = this.#recover !== undefined && before(this.una, this.#recover)
    if (!isPartial) this.#recover = undefined
    // Without SACK: what is next must be missing too (RFC 6582).
    else if (!this.sackPermitted) flight.lose(this.una, this.#firstSegment)
  }

  /** The guest says by SACK that it has [start, end). After `acknowledge`. */
  sack(start: number, end: number, now: number): void {
    if (!before(start, end) || after(end, this.nxt)) return
    // RFC 2883, section 4: it has got this twice. Of a tail that was only a question that is no news.
    if (!after(end, this.una)) {
      if (end !== this.#tailEnd) this.#flight.spurious()
    } else if (!before(start, this.una)) this.#flight.sack(start, end, now)
  }

  /** All that a segment acknowledges is known: what is lost, and what the window becomes. */
  acknowledged(wasUna: number, now: number): void {
    const flight = this.#flight
    if (flight.delivered > 0) this.congestion.delivered(flight.delivered, this.#onWay + flight.delivered)
    // Karn (RFC 6298, section 3): pieces that went out twice give none.
    if (flight.roundTripMs >= 0 && (this.sackPermitted || this.#recover === undefined))
      this.roundTrip.sample(flight.roundTripMs)
    if (flight.roundEnded) this.congestion.roundTrip()
    if (this.inFlight > 0) this.#look(now)
    if (this.una === wasUna) return
    this.#expiresAt = this.inFlight > 0 ? now + this.roundTrip.timeoutMs : Number.POSITIVE_INFINITY
    this.#tailAt = this.#tailDue(now)
  }

  /** Takes the window of a segment (RFC 9293, section 3.10.7.4, fifth). Returns whether it has changed. */
  updateWindow(sequence: number, acknowledgement: number, field: number): boolean {
    const older =
      before(sequence, this.#windowSequence) ||
      (sequence === this.#windowSequence && before(acknowledgement, this.#windowAcknowledgement))
    if (older) return false
    this.#windowSequence = sequence
    this.#windowAcknowledgement = acknowledgement
    const window = field * 2 ** this.scale
    const changed = window !== this.window
    // What asked for the window was not taken, unless it is acknowledged now.
    if (this.window === 0 && window > 0 && this.#probeAt !== undefined)
      this.#flight.lose(this.#probeAt, add(this.#probeAt, 1))
    this.window = window
    return changed
  }

  /** The first window, of a SYN: never scaled (RFC 7323, section 2.2). */
  firstWindow(sequence: number, acknowledgement: number, field: number): void {
    this.#windowSequence = sequence
    this.#windowAcknowledgement = acknowledgement
    this.window = field
  }

  /** Bytes that are on their way by all we know (RFC 6675, "pipe"). */
  get #onWay(): number {
    const { out } = this.#flight
    return this.sackPermitted ? out : Math.max(0, out - this.#duplicates * this.segment)
  }

  get #firstSegment(): number {
    const end = add(this.una, this.segment)
    return after(end, this.nxt) ? this.nxt : end
  }

  /** What is lost goes first. It is bound by what may be on its way, but of nothing there may always be one segment. */
  #nextLost(start: number, end: number): Wanted {
    const length = distance(end, start)
    const allowed = Math.floor(this.congestion.window) - this.#onWay
    const least = Math.min(length, this.segment)
    if (allowed < least && this.#onWay > 0) return "nothing"
    // A guest that has taken its window back gets one segment at a time.
    const open = distance(add(this.una, this.window), start)
    if (open < least && start !== this.una) return "nothing"
    return this.#offer(start, Math.min(length, Math.max(least, Math.min(allowed, open))), true)
  }

  #offer(from: number, room: number, again: boolean): Wanted {
    this.from = from
    this.again = again
    if (this.finAt !== undefined) {
      const left = distance(this.finAt, from)
      if (left <= 0) {
        this.room = 1
        return "fin"
      }
      this.room = Math.min(room, left)
      return "data"
    }
    this.room = room
    return "data"
  }

  #look(now: number): void {
    const flight = this.#flight
    const recovers = this.#recover !== undefined
    let lost = 0
    if (!this.sackPermitted) {
      if (this.#duplicates === DUPLICATES && !recovers) lost = flight.lose(this.una, this.#firstSegment)
    } else if (flight.arrived > 0 || recovers) {
      const certain = recovers || flight.arrived >= DUPLICATES * this.segment
      lost = flight.detect({ now, certain, smoothedMs: this.roundTrip.smoothedMs })
    } else flight.lookAt = Number.POSITIVE_INFINITY
    if (lost === 0) return
    this.#recover ??= this.nxt
    this.congestion.lost(lost, this.inFlight)
  }

  #timeout(now: number): "probe" | "again" | "nothing" {
    this.roundTrip.expired()
    this.#expiresAt = now + this.roundTrip.timeoutMs
    this.#tailAt = Number.POSITIVE_INFINITY
    if (this.#probing) return "probe"
    if (this.inFlight === 0) {
      this.#expiresAt = Number.POSITIVE_INFINITY
      return "nothing"
    }
    this.#flight.loseAll()
    this.#duplicates = 0
    // A window that is closed says nothing about the path.
    if (this.window === 0) return "again"
    this.timeouts++
    this.congestion.timeout(this.inFlight)
    this.#recover = this.nxt
    return "again"
  }

  /** When the last segment is to be sent again: only once, and only where nothing else is known to be wrong. */
  #tailDue(now: number): number {
    const { smoothedMs } = this.roundTrip
    if (smoothedMs === 0 || this.inFlight === 0 || this.#recover !== undefined || !this.sackPermitted)
      return Number.POSITIVE_INFINITY
    const delayed = this.inFlight <= this.segment ? DELAYED_MS : 0
    return now + Math.max(TAIL_LEAST_MS, 2 * smoothedMs) + delayed
  }

  #probeTail(): void {
    this.#tailAt = Number.POSITIVE_INFINITY
    this.#tailSent = true
    this.#tailEnd = this.nxt
    const start = add(this.nxt, -Math.min(this.segment, this.inFlight))
    this.#flight.lose(start, this.nxt)
  }
}
