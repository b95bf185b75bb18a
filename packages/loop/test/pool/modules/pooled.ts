/**
 * A loop that has a pool: its calls answer when the pool has.
 *
 * @module
 */
import { SyscallPool } from "@skep/loop"
import { type Reply, runLoop } from "@skep/loop/worker"

export interface Pooled {
  sync(fd: number): number
  /** Leaves calls under way. */
  leave(count: number): undefined
}

runLoop<Pooled>(async ({ loop }) => {
  const pool = await SyscallPool.start()
  loop.onDispose(() => pool[Symbol.dispose]())
  pool.attach(loop.root)
  return {
    sync: (fd, call) => {
      const reply: Reply<number> = call.later()
      pool.fsync(fd, (result) => reply.resolve(result))
      return reply
    },
    leave: (count) => {
      for (let index = 0; index < count; index++) pool.fsync(-1, () => undefined)
      return undefined
    },
  }
})
