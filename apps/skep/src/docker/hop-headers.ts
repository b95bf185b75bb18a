/**
 * The headers that concern one connection and not the message: RFC 9110 §7.6.1.
 *
 * Header lists are Node's `rawHeaders`: name, value, name, value; order, case and repetitions survive.
 *
 * @module
 */

// RFC 9110 §7.6.1: MUST remove the fields that Connection names, and SHOULD remove these whether it names them or not.
const HOP_BY_HOP = new Set([
  "connection",
  "keep-alive",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
])
/** RFC 9110 §7.6.3: a gateway MUST say in each request that it passed it on. */
const VIA = ["Via", "1.1 skep"]
/** Methods for which Node would invent a chunked body where the client sent none. */
const BODY_EXPECTED = new Set(["POST", "PUT", "PATCH"])

export type RawHeaders = readonly string[]

/** What to send to the engine. The framing of the body is the client's, written anew. */
export function forRequest(method: string, raw: RawHeaders): string[] {
  const headers = endToEnd(raw)
  if (isChunked(raw)) headers.push("Transfer-Encoding", "chunked", ...trailersOf(raw))
  else if (BODY_EXPECTED.has(method) && valueOf(raw, "content-length") === undefined) {
    headers.push("Content-Length", "0")
  }
  headers.push(...VIA)
  return headers
}

/** The same for a body that was read, and may have been changed: it has a length, and nobody waits for a leave to send it. */
export function withBody(raw: RawHeaders, length: number): string[] {
  const kept: string[] = []
  for (const [name, value] of pairs(endToEnd(raw))) {
    if (name.toLowerCase() !== "content-length" && name.toLowerCase() !== "expect") kept.push(name, value)
  }
  return [...kept, "Content-Length", String(length), ...VIA]
}

/** What to send to the client. Node writes the framing. */
export function forResponse(raw: RawHeaders): string[] {
  const headers = endToEnd(raw)
  if (isChunked(raw)) headers.push(...trailersOf(raw))
  return headers
}

/** True if the body ends with the connection: neither a length nor chunks. */
export function endsWithConnection(raw: RawHeaders): boolean {
  return !isChunked(raw) && valueOf(raw, "content-length") === undefined
}

/** The value of the first field of that name, which is given in lower case. */
export function valueOf(raw: RawHeaders, name: string): string | undefined {
  for (const [field, value] of pairs(raw)) if (field.toLowerCase() === name) return value
  return undefined
}

export function* pairs(raw: RawHeaders): Generator<[string, string]> {
  for (let at = 0; at + 1 < raw.length; at += 2) yield [raw[at] ?? "", raw[at + 1] ?? ""]
}

function endToEnd(raw: RawHeaders): string[] {
  const named = new Set<string>()
  for (const [name, value] of pairs(raw)) {
    if (name.toLowerCase() !== "connection") continue
    for (const token of value.split(",")) named.add(token.trim().toLowerCase())
  }
  const kept: string[] = []
  for (const [name, value] of pairs(raw)) {
    const lower = name.toLowerCase()
    // A Connection that names them would take the body's length or the host away from an honest client: RFC 9110 §7.6.1
    // forbids a sender to do so, hence nothing of ours is lost by keeping them.
    const vital = lower === "content-length" || lower === "host"
    if (!HOP_BY_HOP.has(lower) && (vital || !named.has(lower))) kept.push(name, value)
  }
  return kept
}

function isChunked(raw: RawHeaders): boolean {
  return valueOf(raw, "transfer-encoding")?.toLowerCase().includes("chunked") ?? false
}

function trailersOf(raw: RawHeaders): string[] {
  const value = valueOf(raw, "trailer")
  return value === undefined ? [] : ["Trailer", value]
}
