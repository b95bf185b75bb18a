/**
 * A loop that answers what the tests ask of it.
 *
 * @module
 */

import * as sys from "@skep/loop/sys"
import { runLoop } from "@skep/loop/worker"

export interface Echo {
  echo(value: unknown): unknown
  /** Answers from a timer. */
  later(ms: number): string
  /** Answers with the length of what was moved here, and moves it back. */
  move(buffer: ArrayBuffer): ArrayBuffer
  refuse(code: string): never
  connectNowhere(path: string): number
  /** An exception in an event handler outside any scope. */
  crash(text: string): undefined
  /** The same inside a scope with a listener, which notifies. */
  crashScope(text: string): undefined
  notify(count: number): number
  spin(): undefined
  uncloneable(): unknown
  exit(code: number): undefined
  stopYourself(): undefined
  never(): undefined
  promises(): boolean
}

export type Notice = { readonly text: string } | { readonly number: number }

runLoop<
  Echo,
  { readonly onStop?: string; readonly fail?: string; readonly order?: boolean } | undefined,
  Notice
>(({ loop, data, notify }) => {
  if (data?.fail !== undefined) throw Object.assign(new Error(data.fail), { code: "bad-options" })
  if (data?.onStop !== undefined) {
    const { onStop } = data
    loop.onDispose(() => notify({ text: `second ${onStop}` }))
    loop.onDispose(() => notify({ text: `first ${onStop}` }))
  }
  let tick = false
  return {
    echo: (value) => value,
    later: (ms, call) => {
      const reply = call.later()
      loop.timer(() => reply.resolve(`after ${ms}`)).after(ms)
      return reply
    },
    move: (buffer, call) => {
      call.transfer(buffer)
      return buffer
    },
    refuse: (code) => {
      throw Object.assign(new Error(`refused with ${code}`), { code })
    },
    connectNowhere: (path) => {
      const fd = sys.check(sys.socket(sys.AF_UNIX, sys.SOCK_STREAM), "socket")
      try {
        return sys.check(sys.connect(fd, { family: "unix", path }), "connect", `nobody at ${path}`)
      } finally {
        sys.close(fd)
      }
    },
    crash: (text) => {
      const fd = sys.eventfd(1)
      loop.adopt(fd, sys.EPOLLIN, () => {
        throw new Error(text)
      })
      return undefined
    },
    crashScope: (text) => {
      const scope = loop.scope("device", (error, source) =>
        notify({ text: `${source.scope} ${source.kind}: ${String(error)}` }),
      )
      scope.adopt(sys.eventfd(1), sys.EPOLLIN, () => {
        throw new Error(text)
      })
      return undefined
    },
    notify: (count) => {
      let taken = 0
      for (let number = 0; number < count; number++) if (notify({ number })) taken++
      return taken
    },
    spin: () => {
      notify({ text: "spinning" })
      for (;;) tick = !tick
    },
    uncloneable: () => () => undefined,
    exit: (code) => process.exit(code),
    stopYourself: () => {
      loop.stop()
      return undefined
    },
    never: (_, call) => call.later(),
    promises: () => {
      queueMicrotask(() => {
        tick = true
      })
      return tick
    },
  }
})
