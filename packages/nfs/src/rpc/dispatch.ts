/**
 * From a record to a procedure, RFC 5531 §9: every call is answered, unless it is no call at all or waits for memory.
 *
 * @module
 */
import type { Chunk, Memory } from "../memory/pool.ts"
import { Call, type Procedure, type Program } from "../procedures/procedure.ts"
import type { Service } from "../service.ts"
import { Cursor } from "../xdr/cursor.ts"
import { AUTH_BADCRED, AUTH_TOOWEAK, CallHeader, type Refusal } from "./call.ts"
import { PROC_UNAVAIL, PROG_MISMATCH, PROG_UNAVAIL, REPLY_HEADER, type Reply } from "./reply.ts"

/** What refusals take beside the header. */
const REFUSAL_ROOM = 16

/** "later": the call goes on. "no-memory": nothing was done, and it is to be given again. "not-a-call": the stream cannot be trusted any more. */
export type Dispatched = "done" | "later" | "no-memory" | "not-a-call"

/** Where replies of a connection are written. */
export interface Replies {
  /** A reply of at most `bytes` with its header; undefined where there is no memory now. */
  reserve(xid: number, bytes: number): Reply | undefined
}

export class Dispatcher {
  readonly #service: Service
  readonly #memory: Memory
  readonly #programs: ReadonlyMap<number, Program>
  readonly #args: Cursor
  readonly #header = new CallHeader()
  readonly #call: Call

  constructor(service: Service, programs: readonly Program[]) {
    this.#service = service
    this.#memory = service.memory
    this.#programs = new Map(programs.map((program) => [program.number, program]))
    this.#args = new Cursor(service.memory)
    this.#call = new Call(service, this.#args, this.#header)
  }

  /** Carries out the call from `start` to `end`, which lies in `chunk`. `now` in milliseconds. */
  dispatch(
    replies: Replies,
    record: { chunk: Chunk | undefined; start: number; end: number },
    now: number,
  ): Dispatched {
    const args = this.#args
    args.reset(record.start, record.end)
    const refusal = this.#header.parse(args)
    if (refusal === "not-a-call") return refusal
    if (refusal !== undefined) return this.#refuse(replies, refusal)
    const { program: number, version, procedure: index } = this.#header
    const program = this.#programs.get(number)
    if (program === undefined) return this.#refuse(replies, "no-program")
    if (version !== program.version) return this.#refuse(replies, "no-version", program.version)
    const procedure = program.procedures[index]
    if (procedure === undefined) return this.#refuse(replies, "no-procedure")
    if (this.#header.anonymous && procedure.anonymous !== true) return this.#refuse(replies, "too-weak")
    this.#call.chunk = record.chunk
    return this.#run(replies, procedure, record, now)
  }

  #run(
    replies: Replies,
    procedure: Procedure,
    record: { start: number; end: number },
    now: number,
  ): Dispatched {
    const { duplicates, counters } = this.#service
    const { bytes } = this.#memory
    const args = this.#args
    const { at } = args
    const room = typeof procedure.room === "number" ? procedure.room : procedure.room(args)
    args.reset(at, record.end)
    const reply = replies.reserve(this.#header.xid, REPLY_HEADER + Math.max(room, REFUSAL_ROOM))
    if (reply === undefined) return "no-memory"
    counters.calls++
    let entry = -1
    if (procedure.once === true) {
      entry = duplicates.find(bytes, record.start, record.end, now)
      if (entry >= 0) return this.#again(reply, entry)
      entry = duplicates.begin(now)
    }
    const later = procedure.run(this.#call, reply)
    if (later === "later") {
      reply.later = true
      return "later"
    }
    if (entry >= 0) duplicates.end(entry, bytes, reply.results - REPLY_HEADER + 4, reply.out.at)
    reply.finish()
    return "done"
  }

  /** The same answer as the first time. */
  #again(reply: Reply, entry: number): Dispatched {
    const { duplicates, counters } = this.#service
    counters.duplicates++
    const kept = duplicates.replyOf(entry)
    if (kept === undefined) {
      reply.cancel()
      return "done"
    }
    reply.out.at = reply.results - REPLY_HEADER + 4
    reply.out.fixed(kept)
    reply.finish()
    return "done"
  }

  #refuse(
    replies: Replies,
    why: Exclude<Refusal, "not-a-call"> | "no-program" | "no-version" | "no-procedure" | "too-weak",
    version = 0,
  ): Dispatched {
    const reply = replies.reserve(this.#header.xid, REPLY_HEADER + REFUSAL_ROOM)
    if (reply === undefined) return "no-memory"
    this.#service.counters.refused++
    switch (why) {
      case "rpc-mismatch":
        reply.denyVersion()
        break
      case "bad-credential":
        reply.denyCaller(AUTH_BADCRED)
        break
      case "unknown-flavor":
      case "too-weak":
        reply.denyCaller(AUTH_TOOWEAK)
        break
      case "no-program":
        reply.refuse(PROG_UNAVAIL)
        break
      case "no-version":
        reply.refuse(PROG_MISMATCH, version, version)
        break
      case "no-procedure":
        reply.refuse(PROC_UNAVAIL)
        break
    }
    reply.finish()
    return "done"
  }
}
