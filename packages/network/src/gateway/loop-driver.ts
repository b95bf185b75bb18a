/**
 * A network's driver by system calls, in a loop.
 *
 * @module
 */
import { SystemMemory } from "@skep/link"
import type { Loop } from "@skep/loop"
import { loopClock, SocketDatagramHost, SocketHost, SocketListenerHost, Transfer } from "@skep/stack"
import type { Driver } from "./driver.ts"
import { heapBytesFor } from "./heap.ts"
import { openLink } from "./links.ts"

/** Everything ends with the loop. `maxHeldBytes` bounds what is kept of what guests have sent. */
export function loopDriver(loop: Loop, maxHeldBytes: number): Driver {
  const scope = loop.scope("network")
  const memory = new SystemMemory({ scope, heapBytes: heapBytesFor(maxHeldBytes) })
  const transfer = new Transfer()
  scope.onDispose(() => transfer[Symbol.dispose]())
  const streams = new SocketHost({ scope, transfer, memory })
  return {
    memory,
    clock: loopClock(scope),
    streams,
    datagrams: new SocketDatagramHost(scope, transfer),
    listeners: new SocketListenerHost(scope, streams),
    later: (callback) => scope.defer(callback),
    onTurnEnd: (callback) => void scope.onBatchEnd(callback),
    openLink: (spec, options) => {
      const own = scope.scope(`link ${spec.machine}`, (error) => options.onError(error))
      try {
        const opened = openLink(spec, { ...options, loop, scope: own, memory })
        return { ...opened, [Symbol.dispose]: () => own[Symbol.dispose]() }
      } catch (error) {
        own[Symbol.dispose]()
        throw error
      }
    },
    end: () => loop.stop(),
    fail: (error) => loop.crash(error),
  }
}
