/**
 * What a connection asks of those around it: the driver, which owns the host's sockets, and the table it is in.
 *
 * @module
 */
import type { Connection } from "./connection.ts"
import type { Counter } from "./counts.ts"
import type { Event, State } from "./state.ts"

/** How a stream ended, as the host's side sees it. */
export type End =
  /** Both directions were finished, and the host got every byte that it was ready to take. */
  | "closed"
  /** The guest refused a connection from the host, or took its own request back. */
  | "refused"
  /** Nobody answered a request in time. */
  | "timeout"
  /** The guest cut the stream off. */
  | "reset"
  /** The guest broke the protocol; the counters say how. */
  | "violation"
  /** The host's socket failed or was refused. */
  | "failed"
  /** The guest's end is gone with all the others: it restarted, or we stop. */
  | "gone"

/**
 * What the driver does at the host's socket. The connection is consistent whenever one of these is called, so the
 * driver may call it from within, and it may be over when that call returns. `endWrites` and `endReads` come at most
 * once; `close` comes exactly once, and last, for every connection of `connect` here and of `Streams.connect`.
 */
export interface HostSide {
  /** The guest asks for `hostPort`: connect, then call `accept` or `refuse`, now or later. */
  connect(connection: Connection): void
  /** The guest accepted what the host asked for: data may flow. */
  opened(connection: Connection): void
  /** The guest sends no more and all it sent was written: shutdown(SHUT_WR). */
  endWrites(connection: Connection): void
  /** The guest takes no more: shutdown(SHUT_RD). */
  endReads(connection: Connection): void
  /** The stream is over: close the socket, drop what is still unwritten. */
  close(connection: Connection, end: End): void
}

/** What a connection needs of its table. */
export interface Table {
  readonly guestCid: number
  readonly host: HostSide
  count(name: Counter, by?: number): void
  /** Accounts for bytes on their way to a host's socket. */
  hold(bytes: number): void
  /** Whether they are no more than all streams together may have. */
  hasRoom(): boolean
  release(bytes: number): void
  /** `connection` left state `from` by `event`. */
  moved(connection: Connection, from: State, event: Event): void
  /** `connection` wants a buffer of the guest. */
  wake(connection: Connection): void
}
