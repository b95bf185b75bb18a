/**
 * What was sent and is not acknowledged, in order, and what became of each piece: the scoreboard of RFC 6675, with the loss detection of RACK
 * (RFC 8985): a piece is lost when one that was sent later has arrived, and as much time as the network may take to reorder has gone by.
 *
 * ```
 *   una                                                    max
 *    ├── lost ──┼── out ──┼── arrived ──┼── out, again ──┼── out ──┤
 * ```
 *
 * Each number from una to max is in one piece. A piece is what went out at once, up to several frames, and is divided where the guest's news divide it.
 *
 * @module
 */
import { after, before, distance } from "./seq.ts"

/** Pieces at most; beyond, new ones are joined to the last and news that would divide one are not taken. */
const PIECES = 1024
/** The share of the least round trip by which a network may reorder (RFC 8985, section 6.2.1), times `#tolerance`. */
const REORDERING = 1 / 4

interface Piece {
  start: number
  end: number
  /** When it went out last, and as which sending of this connection. */
  sentAt: number
  order: number
  again: boolean
  state: "out" | "lost" | "arrived"
}

export interface DetectOptions {
  readonly now: number
  /** Enough has arrived after it for no reordering to be suspected, or losses are being made good already. */
  readonly certain: boolean
  readonly smoothedMs: number
}

export class Flight {
  /** Bytes of each kind. */
  lost = 0
  out = 0
  arrived = 0
  /** Of the acknowledgement that is being taken: bytes that the guest has now for the first time. */
  delivered = 0
  /** Of the same: the round trip of the newest piece, where it was sent but once; -1 where there is none. */
  roundTripMs = -1
  /** Of the same: all that had gone out when the round began has arrived or was overtaken. */
  roundEnded = false
  readonly #list: Piece[] = []
  #order = 0
  #roundOrder = 0
  /** The piece sent last of those that arrived. */
  #newestOrder = 0
  #newestEnd = 0
  #newestMs = 0
  #leastMs = Number.POSITIVE_INFINITY
  /** The highest number that arrived, before this acknowledgement and now. */
  #highest: number
  #highestNow: number
  #reorders = false
  #tolerance = 1
  #tolerantSince = 0

  constructor(first: number) {
    this.#highest = first
    this.#highestNow = first
  }

  /** How many pieces are remembered. */
  get pieces(): number {
    return this.#list.length
  }

  // ---- What goes out

  /** New numbers went out. */
  sent(start: number, end: number, now: number): void {
    const order = ++this.#order
    const last = this.#list.at(-1)
    this.out += distance(end, start)
    if (this.#list.length >= PIECES && last?.state === "out") {
      last.end = end
      last.order = order
      last.sentAt = now
    } else this.#list.push({ start, end, sentAt: now, order, again: false, state: "out" })
  }

  /** Where the first lost numbers begin, and how many there are in a row. */
  firstLost(): { readonly start: number; readonly end: number } | undefined {
    if (this.lost === 0) return undefined
    const list = this.#list
    let index = 0
    while (list[index] !== undefined && list[index]!.state !== "lost") index++
    const { start } = list[index]!
    while (list[index + 1]?.state === "lost") index++
    return { start, end: list[index]!.end }
  }

  /** Lost numbers went out again, from the start of `firstLost` on. */
  sentAgain(start: number, end: number, now: number): void {
    const index = this.#indexOf(start)
    const first = this.#list[index]
    if (first === undefined) return
    let count = 0
    for (let piece: Piece | undefined = first; piece?.state === "lost" && before(piece.start, end); ) {
      if (after(piece.end, end)) this.#divide(index + count, end)
      piece = this.#list[index + ++count]
    }
    const length = distance(end, start)
    this.lost -= length
    this.out += length
    const piece: Piece = { start, end, sentAt: now, order: ++this.#order, again: true, state: "out" }
    this.#list.splice(index, count, piece)
  }

  // ---- What the guest says

  /** The guest has everything before `una`. First of what an acknowledgement says. */
  acknowledge(una: number, now: number): void {
    this.delivered = 0
    this.roundTripMs = -1
    this.roundEnded = false
    this.#highest = this.#highestNow
    const list = this.#list
    let done = 0
    for (; done < list.length && before(list[done]!.start, una); done++) {
      const piece = list[done]!
      const whole = !after(piece.end, una)
      this.#arrive(piece, piece.start, whole ? piece.end : una, now)
      this.#count(piece, -distance(whole ? piece.end : una, piece.start))
      if (whole) continue
      piece.start = una
      break
    }
    if (done === 1) list.shift()
    else if (done > 1) list.splice(0, done)
  }

  /** The guest has [start, end), which is between una and max. */
  sack(start: number, end: number, now: number): void {
    const list = this.#list
    let index = this.#indexOf(start)
    for (; index < list.length && before(list[index]!.start, end); index++) {
      const piece = list[index]!
      if (piece.state === "arrived") continue
      const divides = before(piece.start, start) || after(piece.end, end)
      if (divides && list.length >= PIECES) continue
      if (before(piece.start, start)) this.#divide(index++, start)
      if (after(list[index]!.end, end)) this.#divide(index, end)
      const part = list[index]!
      this.#arrive(part, part.start, part.end, now)
      this.#become(part, "arrived")
      index = this.#join(index)
    }
  }

  /** Something went out again that had not been lost. */
  spurious(): void {
    if (this.#tolerantSince > this.#newestOrder) return // once a round trip
    this.#tolerantSince = this.#order
    this.#reorders = true
    this.#tolerance++
  }

  // ---- What must be lost

  /** Marks what is lost by now. Returns how many bytes that are, and leaves in `lookAt` when there may be more. */
  detect({ now, certain, smoothedMs }: DetectOptions): number {
    this.lookAt = Number.POSITIVE_INFINITY
    if (this.#leastMs === Number.POSITIVE_INFINITY) return 0
    const patience = certain && !this.#reorders ? 0 : this.#leastMs * REORDERING * this.#tolerance
    const allowed = this.#newestMs + Math.min(patience, smoothedMs)
    let lost = 0
    for (const piece of this.#list) {
      if (piece.state !== "out" || !this.#overtaken(piece)) continue
      const at = piece.sentAt + allowed
      if (at > now) this.lookAt = Math.min(this.lookAt, at)
      else {
        lost += distance(piece.end, piece.start)
        this.#become(piece, "lost")
      }
    }
    return lost
  }

  /** When `detect` is to be called again. */
  lookAt: number = Number.POSITIVE_INFINITY

  /** Gives [start, end) up where it is on its way. Returns how many bytes that are. */
  lose(start: number, end: number): number {
    let lost = 0
    for (let index = this.#indexOf(start); index < this.#list.length; index++) {
      if (!before(this.#list[index]!.start, end)) break
      if (this.#list[index]!.state !== "out") continue
      if (before(this.#list[index]!.start, start)) this.#divide(index++, start)
      if (after(this.#list[index]!.end, end)) this.#divide(index, end)
      const piece = this.#list[index]!
      lost += distance(piece.end, piece.start)
      this.#become(piece, "lost")
    }
    return lost
  }

  /**
   * A timeout: nothing is on its way any more. What was told to have arrived still counts, unless the guest is seen to have dropped it: then it
   * would have acknowledged the first of it (RFC 2018, section 8).
   */
  loseAll(): void {
    const dropped = this.#list[0]?.state === "arrived"
    for (const piece of this.#list)
      if (piece.state === "out" || (dropped && piece.state === "arrived")) this.#become(piece, "lost")
    this.lookAt = Number.POSITIVE_INFINITY
    this.#tolerance = 1
    this.#roundOrder = this.#order
  }

  /** Takes note of what arrives, before its state is changed. */
  #arrive(piece: Piece, start: number, end: number, now: number): void {
    if (piece.state === "arrived") return
    this.delivered += distance(end, start)
    if (after(end, this.#highestNow)) this.#highestNow = end
    const ms = now - piece.sentAt
    if (piece.again) {
      // RFC 8985, section 6.2, step 2: too soon to be the answer to what went out again.
      if (ms < this.#leastMs) return this.spurious()
    } else {
      if (before(end, this.#highest)) this.#reorders = true
      if (ms < this.#leastMs) this.#leastMs = ms
    }
    if (piece.order > this.#roundOrder) {
      this.#roundOrder = this.#order
      this.roundEnded = true
      if (!piece.again) this.roundTripMs = ms
    }
    const isNewer =
      piece.order > this.#newestOrder || (piece.order === this.#newestOrder && after(end, this.#newestEnd))
    if (!isNewer) return
    this.#newestOrder = piece.order
    this.#newestEnd = end
    this.#newestMs = ms
  }

  #overtaken({ order, end }: Piece): boolean {
    return order < this.#newestOrder || (order === this.#newestOrder && !after(end, this.#newestEnd))
  }

  #become(piece: Piece, state: Piece["state"]): void {
    const length = distance(piece.end, piece.start)
    this.#count(piece, -length)
    piece.state = state
    this.#count(piece, length)
  }

  #count({ state }: Piece, bytes: number): void {
    if (state === "out") this.out += bytes
    else if (state === "lost") this.lost += bytes
    else this.arrived += bytes
  }

  /** Divides a piece in two at a number inside it. */
  #divide(index: number, at: number): void {
    const piece = this.#list[index]!
    this.#list.splice(index + 1, 0, { ...piece, start: at })
    piece.end = at
  }

  /** Joins a piece that arrived with such neighbours. Returns the index of the whole. */
  #join(index: number): number {
    const list = this.#list
    let at = index
    const next = list[at + 1]
    if (next?.state === "arrived") {
      list[at]!.end = next.end
      list.splice(at + 1, 1)
    }
    const previous = list[at - 1]
    if (previous?.state === "arrived") {
      previous.end = list[at]!.end
      list.splice(at--, 1)
    }
    return at
  }

  /** The index of the piece that holds `sequence`, or the first after it. */
  #indexOf(sequence: number): number {
    const list = this.#list
    let low = 0
    let high = list.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (after(list[middle]!.end, sequence)) high = middle
      else low = middle + 1
    }
    return low
  }
}
