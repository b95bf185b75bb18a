/**
 * A sidecar that does nothing, as a program.
 *
 * @module
 */
import type { Counters, Running, Sidecar } from "@skep/contract"
import { serve, withResolvers } from "../../src/index.ts"

const idle: Sidecar<unknown, { readonly counters: Counters }> = {
  name: "idle",
  parseOptions: (input) => input,
  start: async (): Promise<Running<{ readonly counters: Counters }>> => {
    const closed = withResolvers<void>()
    return {
      endpoints: [],
      closed: closed.promise,
      status: async () => ({ counters: {} }),
      [Symbol.asyncDispose]: async () => closed.resolve(),
    }
  },
}

await serve(idle, { version: "0.0.1", description: "Does nothing" })
