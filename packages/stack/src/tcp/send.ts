/**
 * The sending side of a connection: what is to go out now, again or for the first time (RFC 9293 sections 3.4 and 3.8, RFC 6298, RFC 6675).
 *
 * ```
 *        una                  nxt            max     una + window
 *  ───────┼────────────────────┼──────────────┼──────────┼───────►
 *  done   │ on its way, less   │ sent before a │ new      │ not allowed
 *         │ `sacked`, `holes`  │ timeout       │          │
 * ```
 *
 * Knows sequence numbers only; the bytes are read from the host's socket again whenever they go out.
 *
 * @module
 */
import { Congestion } from "./congestion.ts"
import { Holes } from "./holes.ts"
import { Ranges } from "./ranges.ts"
import { RoundTrip } from "./rtt.ts"
import { add, after, before, distance } from "./seq.ts"

/** RFC 5681, section 3.2. */
const DUPLICATES = 3
const SACK_RANGES = 128
/** Probes of a closed window never stop, but they become rare. */
const PROBE_MOST_MS = 60_000

export type Wanted = "data" | "fin" | "nothing"

export class SendSide {
  /** SND.UNA. */
  una: number
  /** SND.NXT. */
  nxt: number
  /** The end of what was ever sent. */
  max: number
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
  readonly #sacked = new Ranges(SACK_RANGES)
  readonly #holes: Holes = new Holes()
  #duplicates = 0
  /** Where the recovery ends that is going on. */
  #recover: number | undefined
  #windowSequence = 0
  #windowAcknowledgement = 0
  /** The number whose acknowledgement gives a sample, and when it was sent. */
  #timed: number | undefined
  #timedAt = 0
  #roundEnd: number
  #expiresAt = Number.POSITIVE_INFINITY
  #probing = false

  constructor(first: number, segment: number) {
    this.una = first
    this.nxt = first
    this.max = first
    this.segment = segment
    this.#roundEnd = first
    this.congestion = new Congestion(segment)
  }

  /** Numbers that were sent and are not acknowledged. */
  get inFlight(): number {
    return distance(this.nxt, this.una)
  }

  /** When `onTimer` has to be called. */
  get expiresAt(): number {
    return this.#expiresAt
  }

  /** Whether our FIN was sent and is acknowledged. */
  get finished(): boolean {
    return this.finAt !== undefined && after(this.una, this.finAt)
  }

  /** What can go out now. */
  next(): Wanted {
    const hole = this.#holes.first()
    if (hole !== undefined) return this.#offer(hole.start, distance(hole.end, hole.start), true)
    const allowed = Math.min(
      this.window - this.inFlight,
      Math.floor(this.congestion.window) - (this.inFlight - this.#sacked.bytes - this.#holes.bytes),
    )
    // The FIN is never kept back by a window of whole bytes that is full.
    if (this.nxt === this.finAt)
      return allowed >= 0 ? this.#offer(this.nxt, 1, before(this.nxt, this.max)) : "nothing"
    // RFC 9293, section 3.8.6.2.1: no crumbs while an acknowledgement is on its way.
    if (allowed < this.segment && this.inFlight > 0) return "nothing"
    if (allowed <= 0 || (this.finAt !== undefined && after(this.nxt, this.finAt))) return "nothing"
    return this.#offer(this.nxt, allowed, before(this.nxt, this.max))
  }

  /** `length` numbers from `from` on went out. */
  sent(from: number, length: number, now: number): void {
    const end = add(from, length)
    const isNew = !before(from, this.max)
    if (isNew && this.#timed === undefined) {
      this.#timed = end
      this.#timedAt = now
    }
    if (!isNew) {
      this.retransmitted += length
      // Karn: whatever is timed may be this one.
      if (this.#timed !== undefined && after(this.#timed, from)) this.#timed = undefined
    }
    if (before(from, this.nxt)) this.#holes.sent(from, end)
    else this.#holes.sentNew(end)
    if (after(end, this.nxt)) this.nxt = end
    if (after(end, this.max)) this.max = end
    this.#probing = false
    if (this.#expiresAt === Number.POSITIVE_INFINITY) this.#expiresAt = now + this.roundTrip.timeoutMs
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

  /** The timer expired: "probe" where one number may go out in spite of the window, "again" where all goes out again from `una` on. */
  onTimer(now: number): "probe" | "again" | "nothing" {
    if (now < this.#expiresAt) return "nothing"
    this.roundTrip.expired()
    this.#expiresAt = now + this.roundTrip.timeoutMs
    if (this.#probing) return "probe"
    if (this.inFlight === 0) {
      this.#expiresAt = Number.POSITIVE_INFINITY
      return "nothing"
    }
    this.timeouts++
    this.congestion.timeout(this.inFlight)
    // RFC 2018, section 8: what was told to be there may be gone by now.
    this.#sacked.clear()
    this.#holes.clear()
    this.#recover = undefined
    this.#duplicates = 0
    this.#timed = undefined
    this.nxt = this.una
    return "again"
  }

  /** Whether `acknowledgement` speaks of what we have sent. */
  plausible(acknowledgement: number): boolean {
    return !after(acknowledgement, this.max)
  }

  /** The guest says by SACK that it has [start, end). Before `acknowledge`. */
  sack(start: number, end: number): void {
    if (!before(start, end) || before(start, this.una) || after(end, this.max)) return
    const had = this.#sacked.bytes
    if (!this.#sacked.add(start, end)) return
    this.congestion.delivered(this.#sacked.bytes - had)
    this.#holes.filled(start, end)
  }

  /** Takes an acknowledgement. Returns the numbers that it acknowledges for the first time. */
  acknowledge(acknowledgement: number, isEmpty: boolean, windowChanged: boolean, now: number): number {
    const fresh = distance(acknowledgement, this.una)
    if (fresh <= 0) {
      if (fresh === 0 && isEmpty && !windowChanged && this.inFlight > 0) this.#duplicates++
      if (this.inFlight > 0) this.#look()
      return 0
    }
    const sackedBefore = this.#sacked.bytes
    this.una = acknowledgement
    if (before(this.nxt, this.una)) this.nxt = this.una
    this.#sacked.forgetBefore(this.una)
    this.#holes.filled(add(acknowledgement, -fresh), acknowledgement)
    this.congestion.delivered(Math.max(0, fresh - (sackedBefore - this.#sacked.bytes)))
    this.#measure(now)
    this.#duplicates = 0
    if (this.#recover !== undefined && !before(this.una, this.#recover)) this.#recover = undefined
    if (this.inFlight > 0) this.#look()
    this.#expiresAt = this.inFlight > 0 ? now + this.roundTrip.timeoutMs : Number.POSITIVE_INFINITY
    this.#probing = false
    return fresh
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
    this.window = window
    return changed
  }

  /** The first window, of a SYN: never scaled (RFC 7323, section 2.2). */
  firstWindow(sequence: number, acknowledgement: number, field: number): void {
    this.#windowSequence = sequence
    this.#windowAcknowledgement = acknowledgement
    this.window = field
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

  #measure(now: number): void {
    this.roundTrip.progressed()
    if (this.#timed !== undefined && !before(this.una, this.#timed)) {
      this.roundTrip.sample(now - this.#timedAt)
      this.#timed = undefined
    }
    if (!before(this.una, this.#roundEnd)) {
      this.congestion.roundTrip()
      this.#roundEnd = this.nxt
    }
  }

  /** Looks for what must be lost: with enough of what is after it arrived (RFC 6675, section 4, IsLost). */
  #look(): void {
    const { list } = this.#sacked
    if (!this.sackPermitted || list.length === 0) {
      const partial = this.#recover !== undefined && this.#holes.bytes === 0 && this.#duplicates === 0
      if (this.#duplicates === DUPLICATES || partial) this.#lose(this.una, this.#firstSegment())
      return
    }
    let above = this.#sacked.bytes
    let start = this.una
    for (const range of list) {
      const enough = above >= DUPLICATES * this.segment || this.#duplicates >= DUPLICATES
      if (!enough) return
      if (before(start, range.start)) this.#lose(start, range.start)
      above -= distance(range.end, range.start)
      start = range.end
    }
  }

  #firstSegment(): number {
    const end = add(this.una, this.segment)
    return after(end, this.nxt) ? this.nxt : end
  }

  #lose(start: number, end: number): void {
    if (!this.#holes.add(start, end)) return
    if (this.#recover !== undefined) return
    this.#recover = this.max
    this.congestion.lost(this.inFlight)
  }
}
