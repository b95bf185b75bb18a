/**
 * The loop thread of the benchmark: answers calls, and rings one eventfd for each ring of another.
 *
 * @module
 */
import * as sys from "@skep/loop/sys"
import { runLoop } from "@skep/loop/worker"

export interface EchoLoop {
  echo(value: number): number
  /** Rings `to` whenever `from` rings. */
  pong(eventfds: { readonly from: number; readonly to: number }): undefined
}

runLoop<EchoLoop>(({ loop }) => ({
  echo: (value) => value,
  pong: ({ from, to }) => {
    loop.add(from, sys.EPOLLIN | sys.EPOLLET, () => void sys.signal(to))
    return undefined
  },
}))
