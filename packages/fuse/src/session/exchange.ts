/**
 * One request and its answer, between a transport and a session.
 *
 * ```
 *  transport: bytes of header and arguments in private memory ──handle──► session ──► file system
 *             data and room by address  ◄──source, target──┘  ▲                │ now or later
 *             the guest  ◄──────────────reply─────────────────┴─────done───────┘
 * ```
 *
 * @module
 */
import type { Views } from "@skep/loop/memory"
import type { Done, Pieces } from "@skep/vfs"

export interface Transport {
  /**
   * Answers, once for each exchange: puts the first `length` bytes of `head` at the beginning of the room, and says that `total` bytes are there. 0 of
   * both is no answer, for requests that have none. `head` is the session's and valid during the call.
   */
  reply(exchange: Exchange, head: Views, length: number, total: number): void
  /** The message's data by address: `bytes` of them after the first `skip` of the message. They are there. Kept until the answer. */
  source(exchange: Exchange, skip: number, bytes: number): Pieces
  /** Room for the answer's data by address, after the first `skip` bytes of it. It is there. Kept until the answer. */
  target(exchange: Exchange, skip: number, bytes: number): Pieces
}

/** Reused from request to request by its transport; not before it was answered. */
export class Exchange {
  /** The transport's own number of it. */
  readonly index: number
  /** Called by the file system when what it was asked for is done. */
  readonly done: Done
  /** Where a `Memo` keeps it; -1 where nothing is kept. Set by the transport. */
  slot = -1
  /** Whether a process before this one may have done the request already. Set by the transport. */
  again = false
  /** Bytes of the whole message, and of the room for the answer. Set by the transport. */
  readable = 0
  writable = 0
  // What is left of the request when it is answered later.
  opcode = 0
  uniqueLow = 0
  uniqueHigh = 0
  /** Bytes that a READ asked for. */
  asked = 0

  constructor(index: number, settle: (exchange: Exchange, result: number) => void) {
    this.index = index
    this.done = (result) => settle(this, result)
  }
}
