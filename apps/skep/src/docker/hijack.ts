/**
 * Connections that stop being HTTP: attach, exec, BuildKit's /session and /grpc.
 *
 *   client ── request head, body, then whatever ──> engine      raw from the first byte
 *   client <── response head ── engine                          looked at once
 *          <── whatever ──                                      raw if the engine took the connection over, that is with
 *                                                               101, or 200 with neither length nor chunks; otherwise an
 *                                                               ordinary answer, after which the connection is done
 *
 * Each direction ends by itself: a client that ends its input still reads what the container says.
 *
 * @module
 */
import type { Duplex } from "node:stream"
import { SidecarError } from "@skep/contract"
import { BAD_GATEWAY, refuseRaw } from "./refusal.ts"
import { HEADER_BYTES_MAX } from "./relay.ts"

const HEAD_END = "\r\n\r\n"
const HIJACKED =
  /^POST (?:\/v\d+(?:\.\d+)*)?\/(?:containers\/[^/?\s]+\/attach|exec\/[^/?\s]+\/start)(?:\?\S*)? HTTP\/1\.[01]\r\n/
const HIJACKING_METHOD = "POST "
/** A request line longer than this is none of ours. */
const LINE_MAX = 16 << 10

/** What the first bytes of a connection are, as far as one can tell: "more" asks for the next ones. */
export function verdict(first: Buffer): "hijack" | "http" | "more" {
  const text = first.toString("latin1", 0, LINE_MAX)
  const isPrefix = HIJACKING_METHOD.startsWith(text.slice(0, HIJACKING_METHOD.length))
  if (!isPrefix && !text.startsWith(HIJACKING_METHOD)) return "http"
  if (text.includes("\r\n")) return HIJACKED.test(text) ? "hijack" : "http"
  return text.length < LINE_MAX ? "more" : "http"
}

/** Joins `client` to `engine`, to which `first` is sent before anything else. Owns both from now on. */
export function hijack(
  client: Duplex,
  engine: Duplex,
  first: Buffer,
  onBroken: (error: Error) => void,
): void {
  let answered = false
  engine.on("error", (error) => {
    onBroken(error)
    if (answered) client.destroy()
    else refuseRaw(client, BAD_GATEWAY, error)
  })
  client.on("error", () => engine.destroy())
  client.on("close", () => {
    if (!client.readableEnded || !client.writableFinished) engine.destroy()
  })
  engine.on("close", () => {
    // No one is left to read what the client may still say.
    if (client.writableFinished || !engine.readableEnded) client.destroy()
    else client.once("finish", () => client.destroy())
  })
  readHead(engine, (head) => {
    if (head === undefined) {
      const error = new SidecarError(
        "unreachable",
        "The Docker engine closed the connection without an answer",
      )
      onBroken(error)
      refuseRaw(client, BAD_GATEWAY, error)
      engine.destroy()
      return
    }
    if (head.status > 100 && head.status !== 101 && head.status < 200) return
    answered = true
    client.write(head.bytes)
    if (head.status !== 100) engine.pipe(client)
  })
  engine.write(first)
  client.pipe(engine)
}

interface Head {
  readonly status: number
  /** As the client shall see it. */
  readonly bytes: Buffer
}

/** Tells of each head up to the final one, or of `undefined` if none came; what follows the last is left in the stream. */
function readHead(engine: Duplex, tell: (head: Head | undefined) => void): void {
  let held = Buffer.alloc(0)
  const stop = (): void => {
    engine.off("data", onData)
    engine.off("end", onEnd)
  }
  const onEnd = (): void => {
    stop()
    tell(undefined)
  }
  const onData = (chunk: Buffer): void => {
    held = Buffer.concat([held, chunk])
    for (let end = held.indexOf(HEAD_END); end >= 0; end = held.indexOf(HEAD_END)) {
      const head = parseHead(held.subarray(0, end).toString("latin1"))
      held = held.subarray(end + HEAD_END.length)
      if (head === undefined) return onEnd()
      const isFinal = head.status === 101 || head.status >= 200
      if (isFinal) {
        stop()
        engine.pause()
        if (held.length > 0) engine.unshift(held)
      }
      tell(head)
      if (isFinal) return
    }
    if (held.length > HEADER_BYTES_MAX) onEnd()
  }
  engine.on("data", onData)
  engine.on("end", onEnd)
}

function parseHead(text: string): Head | undefined {
  const lines = text.split("\r\n")
  const status = /^HTTP\/1\.[01] (\d{3})/.exec(lines[0] ?? "")?.[1]
  if (status === undefined) return undefined
  const code = Number(status)
  const isFramed = lines.some((line) => /^(?:content-length|transfer-encoding):/i.test(line))
  if (code >= 200 && isFramed) {
    // An ordinary answer: the client's next request shall come on a connection that is looked at again.
    const kept = lines.filter((line) => !/^(?:connection|keep-alive):/i.test(line))
    return { status: code, bytes: Buffer.from([...kept, "Connection: close", "", ""].join("\r\n"), "latin1") }
  }
  return { status: code, bytes: Buffer.from(text + HEAD_END, "latin1") }
}
