/**
 * An operation of the file system that may be over before the call that began it returns, or long after: then its connection has gone on with others.
 *
 * @module
 */
import type { Claimant } from "../files/permission.ts"
import type { Reply } from "../rpc/reply.ts"
import type { Service } from "../service.ts"
import type { Call } from "./procedure.ts"

export class Operation {
  /** Whoever asked: the call's own while that lasts, then a copy. */
  who: Claimant
  readonly reply: Reply
  readonly service: Service
  #ended = false
  #later = false

  /** The server's memory stays from now on until `end`. */
  constructor(call: Call, reply: Reply) {
    this.who = call.caller
    this.reply = reply
    this.service = call.service
    this.service.memory.begin()
  }

  /** It is over: `write` writes the results, unless there is no server any more that could send them. */
  end(write: () => void): void {
    this.#ended = true
    const { service } = this
    if (!service.memory.disposed) {
      write()
      if (this.#later) {
        service.counters.underWay--
        this.reply.finish()
      }
    }
    service.memory.end()
  }

  /** What the procedure returns. `keep` copies what else of the call will be needed, where it goes on. */
  returned(keep: () => void): "later" | undefined {
    if (this.#ended) return undefined
    const { uid, gid, pid, groups } = this.who
    this.who = { uid, gid, pid, groups: [...groups] }
    keep()
    this.#later = true
    this.service.counters.underWay++
    return "later"
  }
}
