/**
 * One question to one name server: over UDP, and over TCP where the answer was cut.
 *
 * Each question has a socket of its own, so its port is as hard to guess as its id (RFC 5452).
 *
 * @module
 */
import { randomInt } from "node:crypto"
import { createSocket } from "node:dgram"
import { connect, isIPv6 } from "node:net"
import { fullRcode, MESSAGE_MAX, type Message, parseMessage } from "../message/message.ts"
import { FLAG, RCODE } from "../message/number.ts"
import { type Asked, emitQuery } from "../message/query.ts"
import { framed, Messages } from "../stream.ts"
import type { NameServer } from "./resolv-conf.ts"

export interface Response {
  readonly bytes: Uint8Array
  readonly message: Message
}

export type ExchangeFailure = "timeout" | "unreachable" | "malformed" | "aborted"

export interface ExchangeOptions {
  /** TCP from the start. */
  readonly tcp: boolean
  /** For each transport. */
  readonly timeoutMs: number
  readonly signal: AbortSignal
}

/** Messages that are no answer to what was asked, after which nobody listens any longer. */
const STRAY_MAX = 64

/**
 * Resolves with a whole response to this question, whatever its code. A server that does not understand EDNS is asked without it (RFC 6891
 * section 7). Never rejects.
 */
export async function exchange(
  server: NameServer,
  asked: Asked,
  options: ExchangeOptions,
): Promise<Response | ExchangeFailure> {
  const response = await exchangeOnce(server, asked, { ...options, edns: true })
  if (typeof response === "string" || response.message.edns !== undefined) return response
  const code = fullRcode(response.message)
  if (code !== RCODE.FORMERR && code !== RCODE.NOTIMP) return response
  return await exchangeOnce(server, asked, { ...options, edns: false })
}

interface Once extends ExchangeOptions {
  readonly edns: boolean
}

async function exchangeOnce(
  server: NameServer,
  asked: Asked,
  once: Once,
): Promise<Response | ExchangeFailure> {
  const id = randomInt(0x1_0000)
  const query = emitQuery(asked, id, once.edns)
  const isAnswer = (bytes: Uint8Array): Response | undefined => answerIn(bytes, id, asked)
  if (!once.tcp) {
    const response = await overUdp(server, query, isAnswer, once)
    if (typeof response === "string" || (response.message.flags & FLAG.TC) === 0) return response
  }
  return await overTcp(server, query, isAnswer, once)
}

type IsAnswer = (bytes: Uint8Array) => Response | undefined

function answerIn(bytes: Uint8Array, id: number, asked: Asked): Response | undefined {
  const message = parseMessage(bytes)
  if (typeof message === "string" || message.id !== id || (message.flags & FLAG.QR) === 0) return undefined
  const { question } = message
  // What was not understood may be answered without the question.
  if (question === undefined) return fullRcode(message) === RCODE.NOERROR ? undefined : { bytes, message }
  const { name, type, class: of } = asked.question
  if (question.name !== name || question.type !== type || question.class !== of) return undefined
  return { bytes, message }
}

/** Runs `start` until it is done, the time is over or nobody wants it any more; then the undo that it returned. */
function until(
  { timeoutMs, signal }: ExchangeOptions,
  start: (done: (result: Response | ExchangeFailure) => void) => () => void,
): Promise<Response | ExchangeFailure> {
  if (signal.aborted) return Promise.resolve("aborted")
  return new Promise((resolve) => {
    const done = (result: Response | ExchangeFailure): void => {
      clearTimeout(timer)
      signal.removeEventListener("abort", onAbort)
      undo()
      resolve(result)
    }
    const onAbort = (): void => done("aborted")
    const timer = setTimeout(done, timeoutMs, "timeout")
    signal.addEventListener("abort", onAbort, { once: true })
    const undo = start(done)
  })
}

function overUdp(
  { address, port }: NameServer,
  query: Uint8Array,
  isAnswer: IsAnswer,
  options: ExchangeOptions,
): Promise<Response | ExchangeFailure> {
  return until(options, (done) => {
    const socket = createSocket(isIPv6(address) ? "udp6" : "udp4")
    let open = true
    let stray = 0
    const end = (result: Response | ExchangeFailure): void => {
      if (open) done(result)
    }
    // Refused, unreachable, no route: the next server may do better.
    socket.on("error", () => end("unreachable"))
    socket.on("message", (bytes) => {
      const response = isAnswer(bytes)
      if (response !== undefined) end(response)
      else if (++stray >= STRAY_MAX) end("malformed")
    })
    socket.connect(port, address, () => {
      if (open) socket.send(query)
    })
    return () => {
      open = false
      socket.close()
    }
  })
}

function overTcp(
  { address, port }: NameServer,
  query: Uint8Array,
  isAnswer: IsAnswer,
  options: ExchangeOptions,
): Promise<Response | ExchangeFailure> {
  return until(options, (done) => {
    const messages = new Messages(MESSAGE_MAX)
    const socket = connect({ host: address, port })
    let open = true
    const end = (result: Response | ExchangeFailure): void => {
      if (open) done(result)
    }
    socket.on("error", () => end("unreachable"))
    socket.on("close", () => end("unreachable"))
    socket.on("data", (chunk) => {
      const read = messages.read(chunk)
      const first = read === "oversize" ? undefined : read[0]
      if (first !== undefined) end(isAnswer(first) ?? "malformed")
    })
    socket.write(framed(query))
    return () => {
      open = false
      socket.destroy()
    }
  })
}
