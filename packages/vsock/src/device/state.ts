/**
 * The states of a stream and what leads from one to another: Virtual I/O Device 1.2, section 5.10.6.5 (Stream
 * Sockets). Half-closed directions are flags beside the state, as in the protocol.
 *
 *     requested ──opened──┐                       ┌─finished─► lingering ──┐
 *                         ├──► established ───────┤                        ├─failed─► resetting ──told──► ended
 *     connecting ─opened──┘                       └─owing────► draining ───┼─drained──────────────────────►
 *                                                                          └─forgotten (the guest's RST) ─►
 * @module
 */

export type State =
  /** The guest sent REQUEST; the driver reaches for the host's socket. Leaves by its answer, the deadline or RST. */
  | "requested"
  /** A host client asked; REQUEST is on its way. Nothing may be read from the client. Leaves by RESPONSE, RST, deadline. */
  | "connecting"
  /** Data flows, in the directions that are still open. Leaves when both are over, by RST from either side. */
  | "established"
  /** We said that we neither send nor receive; the host's socket is closed. Leaves by the guest's RST or the deadline. */
  | "lingering"
  /** The host's socket is closed and the guest is owed a RST; leaves when it is sent, or made needless by the guest's own. */
  | "resetting"
  /** The guest is done and forgot the stream, the host is owed bytes. Not in the table. Leaves with the last of them. */
  | "draining"
  | "ended"

export type Event =
  /** The other side accepted: the driver for the guest, RESPONSE for the host. */
  | "opened"
  /** Both directions are over by our doing. */
  | "finished"
  /** The guest has to be told that the stream is over. */
  | "failed"
  /** Given up before the guest heard of it. */
  | "dropped"
  /** The guest's RST, or everything it knew is gone. */
  | "forgotten"
  /** The same, while the host is owed bytes that the guest had properly finished sending. */
  | "owing"
  /** Our RST was put into a buffer of the guest. */
  | "told"
  /** The host took the last byte, or gave up. */
  | "drained"

const NEXT: Readonly<Record<State, Readonly<Partial<Record<Event, State>>>>> = {
  requested: { opened: "established", failed: "resetting", forgotten: "ended" },
  connecting: { opened: "established", failed: "resetting", dropped: "ended", forgotten: "ended" },
  established: { finished: "lingering", failed: "resetting", owing: "draining", forgotten: "ended" },
  lingering: { failed: "resetting", forgotten: "ended" },
  resetting: { told: "ended", forgotten: "ended" },
  draining: { drained: "ended" },
  ended: {},
}

/** The state after `event`, or undefined where it cannot happen: a bug of ours, whatever the guest does. */
export function next(state: State, event: Event): State | undefined {
  return NEXT[state][event]
}
