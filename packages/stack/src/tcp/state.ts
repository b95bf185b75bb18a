/**
 * The states of a connection and how they follow each other (RFC 9293, section 3.3.2), with what may be done in each.
 *
 * ```
 *  listen: a SYN of the guest begins in syn-received once the host's side stands; a forward begins in syn-sent
 *
 *  syn-sent ──syn+ack──► established ──fin──► close-wait ──our fin──► last-ack ──ack──► closed
 *  syn-received ──ack──► established ──our fin──► fin-wait-1 ──ack──► fin-wait-2 ──fin──► time-wait ──2 MSL──► closed
 *                                                     └──fin──► closing ──ack──► time-wait
 * ```
 *
 * @module
 */

export type State =
  /** Entered by a forward's SYN to the guest. No data. Left by its SYN, a reset, or the last retransmission. */
  | "syn-sent"
  /** The guest's SYN was answered. Its data is taken already, ours waits. Left by its acknowledgement. */
  | "syn-received"
  /** Data both ways. */
  | "established"
  /** We have sent our FIN, it is not acknowledged. The guest's data is taken. */
  | "fin-wait-1"
  /** Ours is acknowledged; the guest may send for as long as it likes. */
  | "fin-wait-2"
  /** The guest has sent its FIN; ours goes on. */
  | "close-wait"
  /** Both have sent a FIN, neither is known to have ours. */
  | "closing"
  /** Both FINs are out, the guest's first; only the acknowledgement of ours is missing. */
  | "last-ack"
  /** Everything is acknowledged; late duplicates are answered. */
  | "time-wait"
  | "closed"

export type StateEvent =
  /** The guest's SYN answers ours. */
  | "syn-ack"
  /** Our SYN is acknowledged. */
  | "syn-acknowledged"
  /** All of the guest's stream was received, up to its FIN. */
  | "fin"
  /** Our FIN goes out for the first time. */
  | "fin-sent"
  /** Our FIN is acknowledged. */
  | "fin-acknowledged"
  /** 2 MSL in time-wait are over. */
  | "timeout"
  | "reset"

/** Where each event leads; what is not here means nothing in that state. */
const NEXT: Readonly<Record<State, Readonly<Partial<Record<StateEvent, State>>>>> = {
  "syn-sent": { "syn-ack": "established" },
  "syn-received": { "syn-acknowledged": "established" },
  established: { fin: "close-wait", "fin-sent": "fin-wait-1" },
  "fin-wait-1": { fin: "closing", "fin-acknowledged": "fin-wait-2" },
  "fin-wait-2": { fin: "time-wait" },
  "close-wait": { "fin-sent": "last-ack" },
  closing: { "fin-acknowledged": "time-wait" },
  "last-ack": { "fin-acknowledged": "closed" },
  "time-wait": { timeout: "closed" },
  closed: {},
}

/** Returns the state after `event`; the same one where the event means nothing in it. */
export function next(state: State, event: StateEvent): State {
  return event === "reset" ? "closed" : (NEXT[state][event] ?? state)
}
