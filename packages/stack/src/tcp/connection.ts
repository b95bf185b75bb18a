/**
 * One TCP connection with a machine: what a segment means, what is due, and when (RFC 9293; RFC 5961 against blind resets; RFC 7323 for the
 * window's scale; RFC 2018 for SACK).
 *
 * No bytes, no sockets, no clock: `process` takes the header of a segment and says which part of its payload counts, `send.next()` says what may go
 * out, `pollAt` when to call `onTimer`. Who moves the bytes is in `../flow`.
 *
 * @module
 */
import { AckDelay } from "./ack-delay.ts"
import { ReceiveSide } from "./receive.ts"
import { SendSide } from "./send.ts"
import { add, after, distance } from "./seq.ts"
import { next, type State, type StateEvent } from "./state.ts"

export const FIN = 0x01
export const SYN = 0x02
export const RST = 0x04
export const PSH = 0x08
export const ACK = 0x10

/** Of a header: what `@skep/wire/tcp` parses. */
export interface Segment {
  readonly sequence: number
  readonly acknowledgement: number
  readonly flags: number
  /** As it is on the wire. */
  readonly window: number
  /** 0 where the option is absent. */
  readonly mss: number
  /** -1 where the option is absent. */
  readonly windowScale: number
  readonly sackPermitted: boolean
  readonly sackCount: number
  readonly sackLeft: readonly number[]
  readonly sackRight: readonly number[]
}

export interface ConnectionOptions {
  /** Our first sequence number, unpredictable (RFC 6528). */
  readonly initial: number
  /** The payload of the largest segment that the link takes uncut. */
  readonly mss: number
  /** The most that is kept for a host that does not read; the window is never larger. */
  readonly capacity: number
  /** Hears of each transition, for the trace. */
  readonly onState?: (from: State, to: State, event: StateEvent) => void
}

/** What `process` made of a segment. */
export type Outcome =
  /** `arrival`, `acknowledged` and `state` tell. */
  | "taken"
  /** The guest has reset the connection. */
  | "reset"
  /** It belongs to no connection like this one: to be answered with a reset. */
  | "refused"
  /** Nothing was done, except that an acknowledgement may be due. */
  | "ignored"

/** Maximum segment lifetime in milliseconds. Deviation: not two minutes, since no segment of ours can be that old on a cable. */
const MSL_MS = 5000
/** RFC 9293, section 3.8.3, R2: at least 100 s for data, 3 minutes for a SYN; nobody waits that long for a machine on this host. */
const GIVE_UP_MS = 120_000
const SYN_TRIES = 6
/** RFC 9293, section 3.8.4. */
const KEEP_ALIVE_MS = 2 * 3600_000
const KEEP_ALIVE_AGAIN_MS = 75_000
const KEEP_ALIVE_TRIES = 9
const CHALLENGE_MS = 500
/** RFC 9293, section 3.7.1. */
const MSS_DEFAULT = 536
const MSS_LEAST = 64
const SCALE_MOST = 14

export class Connection {
  readonly send: SendSide
  readonly receive: ReceiveSide
  /** Of the last segment: where its payload goes. `receive.skip` and `receive.take` have the numbers. */
  arrival: "in-order" | "out-of-order" | "none" = "none"
  /** Of the last segment: bytes of our stream that the guest has now. */
  acknowledged = 0
  /** A SYN is due, with or without an acknowledgement. */
  synDue = false
  /** A number may go out in spite of a closed window. */
  probeDue = false
  /** A segment without news is due, to be answered: keep-alive. */
  keepAliveDue = false
  readonly #options: ConnectionOptions
  readonly #scale: number
  readonly #delay: AckDelay
  #state: State
  #heardAt: number
  #synTries = 0
  #challengeAt = 0
  #closesAt = Number.POSITIVE_INFINITY
  #keepAliveAt: number
  #keepAliveTries = 0

  private constructor(state: State, options: ConnectionOptions, receiveNext: number, now: number) {
    this.#options = options
    this.#state = state
    this.#heardAt = now
    this.#keepAliveAt = now + KEEP_ALIVE_MS
    this.send = new SendSide(options.initial, MSS_DEFAULT)
    this.receive = new ReceiveSide(receiveNext)
    this.#delay = new AckDelay(receiveNext)
    this.#scale = scaleFor(options.capacity)
    this.synDue = true
  }

  /** The answer to a guest's SYN, to be made once the host's side stands. */
  static answer(syn: Segment, options: ConnectionOptions, now: number): Connection {
    const connection = new Connection("syn-received", options, add(syn.sequence, 1), now)
    connection.#takeOptions(syn)
    connection.send.firstWindow(syn.sequence, syn.acknowledgement, syn.window)
    return connection
  }

  /** A connection of ours to the guest. */
  static call(options: ConnectionOptions, now: number): Connection {
    return new Connection("syn-sent", options, 0, now)
  }

  /** Our first sequence number: that of the SYN. */
  get initial(): number {
    return this.#options.initial
  }

  get state(): State {
    return this.#state
  }

  /** Whether data may be sent to the guest. */
  get sends(): boolean {
    const state = this.#state
    return (
      state === "established" ||
      state === "close-wait" ||
      state === "fin-wait-1" ||
      state === "closing" ||
      state === "last-ack"
    )
  }

  /** Whether the guest may still send. */
  get receives(): boolean {
    const state = this.#state
    return state === "established" || state === "fin-wait-1" || state === "fin-wait-2"
  }

  /** Whether an acknowledgement has to go out now, be it alone. */
  ackIsDue(now: number): boolean {
    return this.#delay.at <= now
  }

  /** A segment went out that acknowledges all that was received, `withData` or a FIN, or alone. */
  acknowledges(withData: boolean, now: number): void {
    this.#delay.told(this.receive.next, withData, now)
  }

  /** The offset in our stream of a sequence number, as far as it is not acknowledged. */
  offsetOf(sequence: number): number {
    const { send } = this
    const first = after(send.una, this.#options.initial) ? send.una : add(this.#options.initial, 1)
    return distance(sequence, first)
  }

  // ---- Segments

  /** Takes the header of a segment with `length` bytes of payload. */
  process(segment: Segment, length: number, now: number): Outcome {
    this.arrival = "none"
    this.acknowledged = 0
    this.#heard(now)
    if (this.#state === "closed") return (segment.flags & RST) === 0 ? "refused" : "ignored"
    if (this.#state === "syn-sent") return this.#processAnswer(segment, now)
    const fault = this.#check(segment, length)
    if (fault !== undefined) return fault
    const { flags } = segment
    if (this.#state === "syn-received") {
      if (distance(segment.acknowledgement, this.send.una) <= 0) return "refused"
      this.#move("syn-acknowledged")
    }
    this.#takeAcknowledgement(segment, length, now)
    if (length > 0) this.#takeData(segment.sequence, length, now)
    if ((flags & FIN) !== 0) {
      const end = add(segment.sequence, length)
      this.receive.end(end)
      this.#received(end === this.receive.next, now)
    }
    return "taken"
  }

  /** The data that was missing is there: the guest's FIN may be next. Returns whether its stream has ended now. */
  takeFin(): boolean {
    if (!this.receive.takeFin()) return false
    this.#move("fin")
    this.#received(this.sends, this.#heardAt)
    if (this.#state === "time-wait") this.#closesAt = this.#heardAt + 2 * MSL_MS
    return true
  }

  /** Our stream ends after the bytes that were sent and those that `left` counts. */
  endAfter(left: number): void {
    if (this.send.finAt !== undefined) return
    this.send.finAt = add(this.send.nxt, left)
  }

  /** Our FIN went out. */
  finSent(): void {
    this.#move("fin-sent")
  }

  /** Our SYN went out. */
  synSent(now: number): void {
    this.synDue = false
    this.acknowledges(false, now)
    if (this.#synTries++ === 0) this.send.sent(this.#options.initial, 1, now)
  }

  /** The scale that our SYN offers; -1 for none. */
  get scaleOffer(): number {
    return this.#state === "syn-sent" || this.receive.scale > 0 ? this.#scale : -1
  }

  /** The connection is over; nothing goes out any more. */
  reset(): void {
    this.#move("reset")
  }

  // ---- Time

  get pollAt(): number {
    return Math.min(this.send.expiresAt, this.#closesAt, this.#keepAliveAt, this.#delay.at)
  }

  /** Call at `pollAt` or later. Returns "dead" where the guest is given up: both sides are to be reset. */
  onTimer(now: number): "dead" | "alive" {
    if (now >= this.#closesAt) {
      this.#move("timeout")
      this.#closesAt = Number.POSITIVE_INFINITY
      return "alive"
    }
    if (now >= this.#keepAliveAt && !this.#keepAlive(now)) return "dead"
    const due = this.send.onTimer(now)
    if (due === "nothing") return "alive"
    const silent = now - this.#heardAt > GIVE_UP_MS
    const handshake = this.#state === "syn-sent" || this.#state === "syn-received"
    if (handshake ? this.#synTries >= SYN_TRIES : silent && this.send.roundTrip.backoff > 3) return "dead"
    if (handshake) this.synDue = true
    else if (due === "probe") this.probeDue = true
    return "alive"
  }

  #keepAlive(now: number): boolean {
    this.#keepAliveAt = now + KEEP_ALIVE_AGAIN_MS
    this.keepAliveDue = true
    return this.#keepAliveTries++ < KEEP_ALIVE_TRIES
  }

  #heard(now: number): void {
    this.#heardAt = now
    this.#keepAliveAt = now + KEEP_ALIVE_MS
    this.#keepAliveTries = 0
  }

  // ---- The steps of RFC 9293, section 3.10.7

  /** Section 3.10.7.3: SYN-SENT. */
  #processAnswer(segment: Segment, now: number): Outcome {
    const { flags, acknowledgement } = segment
    const acknowledges = (flags & ACK) !== 0 && acknowledgement === this.send.nxt
    if ((flags & RST) !== 0) return acknowledges ? this.#wasReset() : "ignored"
    if (!acknowledges) return (flags & ACK) !== 0 ? "refused" : "ignored"
    if ((flags & SYN) === 0) return "ignored"
    this.receive.begin(add(segment.sequence, 1))
    this.#takeOptions(segment)
    this.send.firstWindow(segment.sequence, acknowledgement, segment.window)
    const { una } = this.send
    this.send.acknowledge(acknowledgement, true, true, now)
    this.send.acknowledged(una, now)
    this.#openWindow()
    this.#move("syn-ack")
    this.#delay.now()
    return "taken"
  }

  /** Section 3.10.7.4, first to fifth: what is not acceptable. */
  #check(segment: Segment, length: number): Outcome | undefined {
    const { flags, sequence } = segment
    const data = length + (flags & FIN) // which is 1
    const span = data + ((flags & SYN) === 0 ? 0 : 1)
    const acceptable = this.receive.acceptable(sequence, span)
    if ((flags & RST) !== 0) return this.#checkReset(sequence, acceptable)
    const answered = this.#state !== "syn-received"
    if (!answered && this.#isSynAgain(segment)) {
      this.synDue = true // the guest has not got ours
      return "ignored"
    }
    if (!acceptable || (flags & SYN) !== 0) {
      this.#challenge(data)
      // Old data may bring a new acknowledgement: a guest whose window probe we have answered before must not wait for it.
      const isOld = (flags & (SYN | ACK)) === ACK && distance(sequence, this.receive.next) <= 0
      return isOld && answered && this.send.plausible(segment.acknowledgement) ? undefined : "ignored"
    }
    if ((flags & ACK) === 0) return "ignored"
    if (this.send.plausible(segment.acknowledgement)) return undefined
    if (!answered) return "refused"
    this.#challenge(0)
    return "ignored"
  }

  #isSynAgain({ flags, sequence }: Segment): boolean {
    return (flags & SYN) !== 0 && add(sequence, 1) === this.receive.next
  }

  /** RFC 5961, section 3.2: only the exact number resets, another one in the window is asked about. */
  #checkReset(sequence: number, acceptable: boolean): Outcome {
    if (sequence === this.receive.next) return this.#wasReset()
    if (acceptable) this.#challenge(0)
    return "ignored"
  }

  /** RFC 5961, sections 4.2 and 7: answers what is outside, but never more often than that where no data was to be taken. */
  #challenge(data: number): void {
    if (data === 0 && this.#heardAt < this.#challengeAt) return
    this.#challengeAt = this.#heardAt + CHALLENGE_MS
    this.#delay.now()
  }

  #takeAcknowledgement(segment: Segment, length: number, now: number): void {
    const { send } = this
    const wasAt = this.#acknowledgedData()
    const { una } = send
    const handshake = una === this.#options.initial
    const changed = send.updateWindow(segment.sequence, segment.acknowledgement, segment.window)
    send.acknowledge(segment.acknowledgement, length === 0, changed, now)
    if (send.sackPermitted) {
      for (let index = 0; index < segment.sackCount; index++) {
        send.sack(segment.sackLeft[index] ?? 0, segment.sackRight[index] ?? 0, now)
      }
    }
    send.acknowledged(una, now)
    if (handshake) this.#openWindow()
    this.acknowledged = distance(this.#acknowledgedData(), wasAt)
    if (send.finished) this.#finAcknowledged()
  }

  #finAcknowledged(): void {
    const before = this.#state
    this.#move("fin-acknowledged")
    if (this.#state === "time-wait" && before !== "time-wait") this.#closesAt = this.#heardAt + 2 * MSL_MS
  }

  #takeData(sequence: number, length: number, now: number): void {
    const { receive } = this
    if (this.#state === "time-wait" || this.#state === "last-ack" || this.#state === "closing") return
    // RFC 5681, section 4.2: at once where something is missing, and when it comes.
    const missing = receive.held.list.length > 0
    const arrival = receive.accept(sequence, length)
    this.#received(arrival === "in-order" && !missing, now)
    if (arrival === "in-order" || arrival === "out-of-order") this.arrival = arrival
  }

  #received(mayWait: boolean, now: number): void {
    if (mayWait) this.#delay.received(this.receive.next, this.#options.mss, now)
    else this.#delay.now()
  }

  /** The end of our stream as far as the guest has it, without SYN and FIN. */
  #acknowledgedData(): number {
    const { send } = this
    const first = add(this.#options.initial, 1)
    if (!after(send.una, first)) return first
    return send.finAt !== undefined && after(send.una, send.finAt) ? send.finAt : send.una
  }

  #takeOptions({ mss, windowScale, sackPermitted }: Segment): void {
    const { send, receive } = this
    send.segment = Math.max(MSS_LEAST, Math.min(mss === 0 ? MSS_DEFAULT : mss, this.#options.mss))
    send.sackPermitted = sackPermitted
    // RFC 7323, section 2.2: only where both offer it. Our answer offers what the guest did.
    send.scale = windowScale < 0 ? 0 : Math.min(SCALE_MOST, windowScale)
    receive.scale = windowScale < 0 ? 0 : this.#scale
  }

  /** What we take until the first window is told with the acknowledgement of the handshake. */
  #openWindow(): void {
    this.receive.window(this.#options.capacity, this.send.segment)
  }

  #wasReset(): Outcome {
    this.#move("reset")
    return "reset"
  }

  #move(event: StateEvent): void {
    const from = this.#state
    const to = next(from, event)
    if (from === to) return
    this.#state = to
    this.#options.onState?.(from, to, event)
  }
}

/** The smallest shift by which the capacity fits into 16 bits. */
function scaleFor(capacity: number): number {
  let scale = 0
  while (scale < SCALE_MOST && capacity >>> scale > 0xffff) scale++
  // 1 at least: 0 would say "none" to `scaleOffer`, and costs nothing.
  return Math.max(1, scale)
}
