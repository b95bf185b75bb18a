/**
 * The lines of the agent's protocol (AGENT.md), both ways. Pure. What the guest says is not trusted: a line that is not
 * exactly as specified is a reason, never an exception, and no control character gets through to whoever shows it.
 *
 *     guest  hello 1 8cafe1b0-ec95-43fa-845e-3266066b9e5f 5.48
 *     guest  phase docker 4.91
 *     host   time 7
 *     guest  time 7 1795255880.259257000
 *
 * @module
 */
import { decimal, whole } from "./number.ts"

export const VERSION = 1
/** Bytes of a line without its line feed, either way. */
export const LINE_MAX = 4096

/** Something the guest reached while it started. */
export interface ReachedPhase {
  readonly name: string
  /** Seconds since the guest's kernel started, by the guest's clock. */
  readonly guestSeconds: number
}

/** Something that went wrong while the guest started. */
export interface FailedPhase {
  readonly phase: string
  readonly reason: string
}

/** The greeting of a guest. */
export interface Hello {
  readonly version: number
  /** Another one after each start of the guest's kernel. */
  readonly bootId: string
  /** Milliseconds since the guest's kernel started, when it greeted. */
  readonly uptimeMs: number
}

/** What the guest tells of itself, unasked. */
export type GuestEvent =
  | { readonly kind: "phase"; readonly phase: ReachedPhase }
  | { readonly kind: "failed"; readonly failed: FailedPhase }
  | { readonly kind: "stopping" }

/** What a line of the guest says; see AGENT.md for each. */
export type GuestLine =
  | GuestEvent
  | { readonly kind: "hello"; readonly hello: Hello }
  | { readonly kind: "idle" }
  | { readonly kind: "closing"; readonly reason: string }
  | { readonly kind: "time"; readonly token: string; readonly guestMs: number }
  | { readonly kind: "fact"; readonly token: string; readonly words: readonly string[] }
  | { readonly kind: "done"; readonly token: string }
  | { readonly kind: "error"; readonly token: string; readonly reason: string }

/** Why a line means nothing; also the name of its counter. */
export type Malformed = "too-long" | "unknown-line" | "bad-arguments"

export type Request =
  | { readonly verb: "time" | "facts" | "poweroff"; readonly token: string }
  | { readonly verb: "set-time"; readonly token: string; readonly epochMs: number }

/** The guest answers "-" to what it cannot tell the token of. */
const TOKEN = /^[A-Za-z0-9._-]{1,64}$/
const NAME = /^[A-Za-z0-9._-]{1,64}$/
const BOOT_ID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/
const EPOCH = /^(\d{1,11})\.(\d{9})$/
// oxlint-disable-next-line no-control-regex -- they are what must not get through
const CONTROL = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g

/** Reads a line of the guest, without its line feed. Never throws. */
export function parse(line: string): GuestLine | Malformed {
  if (line.length > LINE_MAX) return "too-long"
  const [verb, ...words] = line.split(" ")
  switch (verb) {
    case "hello":
      return parseHello(words)
    case "phase":
      return parsePhase(words)
    case "failed":
      return parseFailed(words)
    case "stopping":
    case "idle":
      return words.length === 0 ? { kind: verb } : "bad-arguments"
    case "closing":
      return { kind: "closing", reason: printable(words.join(" ")) }
    case "time":
      return parseTime(words)
    case "fact":
    case "done":
    case "error":
      return parseAnswer(verb, words)
    case undefined:
    default:
      return "unknown-line"
  }
}

/** Writes a request, with its line feed. The token must be one, and the time after 1970. */
export function emit(request: Request): string {
  const words = [request.verb, request.token]
  if (request.verb === "set-time") words.push(emitEpoch(request.epochMs))
  return `${words.join(" ")}\n`
}

function parseHello(words: readonly string[]): GuestLine | Malformed {
  const [version, bootId, uptime] = words
  const number = whole(version)
  const seconds = decimal(uptime)
  if (number === undefined || seconds === undefined) return "bad-arguments"
  if (bootId === undefined || !BOOT_ID.test(bootId)) return "bad-arguments"
  // A later version may say more here; whoever speaks with it decides by the number.
  if (number === VERSION && words.length !== 3) return "bad-arguments"
  return { kind: "hello", hello: { version: number, bootId, uptimeMs: seconds * 1000 } }
}

function parsePhase(words: readonly string[]): GuestLine | Malformed {
  const [name, seconds] = words
  const guestSeconds = decimal(seconds)
  if (words.length !== 2 || name === undefined || !NAME.test(name) || guestSeconds === undefined)
    return "bad-arguments"
  return { kind: "phase", phase: { name, guestSeconds } }
}

function parseFailed([phase, ...reason]: readonly string[]): GuestLine | Malformed {
  if (phase === undefined || !NAME.test(phase) || reason.length === 0) return "bad-arguments"
  return { kind: "failed", failed: { phase, reason: printable(reason.join(" ")) } }
}

function parseTime(words: readonly string[]): GuestLine | Malformed {
  const [token, epoch] = words
  const parts = EPOCH.exec(epoch ?? "")
  if (words.length !== 2 || token === undefined || !TOKEN.test(token) || parts === null)
    return "bad-arguments"
  return { kind: "time", token, guestMs: Number(parts[1]) * 1000 + Number(parts[2]) / 1e6 }
}

function parseAnswer(
  kind: "fact" | "done" | "error",
  [token, ...words]: readonly string[],
): GuestLine | Malformed {
  if (token === undefined || !TOKEN.test(token)) return "bad-arguments"
  if (kind === "done") return words.length === 0 ? { kind, token } : "bad-arguments"
  if (words.length === 0) return "bad-arguments"
  return kind === "fact" ? { kind, token, words } : { kind, token, reason: printable(words.join(" ")) }
}

function printable(text: string): string {
  return text.replace(CONTROL, "\ufffd")
}

function emitEpoch(epochMs: number): string {
  const microseconds = Math.round(epochMs * 1000)
  const seconds = Math.floor(microseconds / 1e6)
  return `${seconds}.${String(microseconds - seconds * 1e6).padStart(6, "0")}000`
}
