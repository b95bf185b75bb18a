/**
 * What a new back end is told, step by step, and what in its answers is a reason to refuse it.
 *
 * A back end without a feature that the guest uses would corrupt it; one without a protocol feature that the front end uses would leave it
 * waiting. The memory is acknowledged, as it can be refused. The last question only proves that all before it was taken.
 *
 * @module
 */
import * as payload from "../protocol/payload.ts"
import * as request from "../protocol/request.ts"
import type { Handshake, Told } from "./handshake.ts"

/** One message; with `check` its answer is waited for and may be a reason to refuse the back end. */
export interface Step {
  readonly told: Told
  readonly check?: (answer: Uint8Array) => string | undefined
}

/** Begins with the rings' positions as they are when it is asked for them. */
export function* replay(handshake: Handshake): Generator<Step> {
  const { features, protocolFeatures } = handshake
  yield offers(request.GET_FEATURES, features ?? 0n, "the features", "the guest")
  if (protocolFeatures !== undefined) {
    yield offers(request.GET_PROTOCOL_FEATURES, protocolFeatures, "the protocol features", "the front end")
  }
  for (const told of handshake.retell()) {
    const memory = told.request === request.SET_MEM_TABLE || told.request === request.ADD_MEM_REG
    if (memory && handshake.acknowledges)
      yield { told, check: (answer) => (isDone(answer) ? undefined : "it refused the memory") }
    else yield { told }
  }
  yield { told: question(request.GET_FEATURES), check: () => undefined }
}

function offers(number: number, wanted: bigint, what: string, who: string): Step {
  return {
    told: question(number),
    check: (answer) => {
      const offered = payload.parseBits(answer, 0, answer.length)
      if (typeof offered === "string") return `${what} it offers are malformed: ${offered}`
      const lacks = wanted & ~offered
      return lacks === 0n ? undefined : `it lacks ${what} 0x${lacks.toString(16)}, which ${who} uses`
    },
  }
}

function question(number: number): Told {
  return { request: number, body: new Uint8Array(0), fds: [] }
}

/** Whether an acknowledgement says that the request was fulfilled. */
export function isDone(answer: Uint8Array): boolean {
  return payload.parseBits(answer, 0, answer.length) === 0n
}
