/**
 * The lines of the share agent's protocol (packages/guest/SHARES.md), both ways. Pure. What the guest says is not trusted.
 *
 * ```
 *  guest  hello 1 8cafe1b0-ec95-43fa-845e-3266066b9e5f
 *  host   mount 1 virtiofs skep
 *  guest  done 1
 *  host   bind 2 1 /home/me ro
 *  host   echo 17 write 1/src/main.ts
 *  guest  error 2 refused-target
 *  guest  echoed 17
 * ```
 *
 * @module
 */
import { decode, encode } from "../events/name.ts"

export const VERSION = 1
/** Bytes of a line of the guest. */
export const LINE_MAX = 32_768
const ECHOES_MAX = 65_535

export interface Hello {
  readonly version: number
  /** Another one after each start of the guest's kernel. */
  readonly bootId: string
}

/** What came of a repeated change: 0, or an errno of Linux. */
export interface EchoResult {
  readonly id: number
  readonly errno: number
}

/** What is mounted in the guest. */
export interface BoundShare {
  readonly id: string
  readonly target: string
  readonly readOnly: boolean
}

export type GuestLine =
  | { readonly kind: "hello"; readonly hello: Hello }
  | { readonly kind: "idle" }
  | { readonly kind: "closing"; readonly reason: string }
  | { readonly kind: "done"; readonly token: string }
  | { readonly kind: "error"; readonly token: string; readonly reason: string }
  | { readonly kind: "base"; readonly token: string; readonly type: string; readonly source: string }
  | { readonly kind: "share"; readonly token: string; readonly share: BoundShare }
  | { readonly kind: "echoed"; readonly results: readonly EchoResult[] }

/** Why a line means nothing; also the name of its counter. */
export type Malformed = "unknown-line" | "bad-arguments"

export type Request =
  | { readonly verb: "mount"; readonly how: Mount }
  | { readonly verb: "attach"; readonly id: string; readonly place: Place }
  | { readonly verb: "bind"; readonly id: string; readonly target: string; readonly readOnly: boolean }
  | { readonly verb: "unbind"; readonly target: string }
  | { readonly verb: "mounts" | "ready" }

export type Mount =
  | { readonly kind: "virtiofs"; readonly tag: string }
  | { readonly kind: "nfs"; readonly address: string; readonly port: number }
  /** Each share is a mount of its own: see `attach`. */
  | { readonly kind: "exports" }

/** A directory of an NFS server that knows nothing of shares. */
export interface Place {
  readonly address: string
  readonly port: number
  readonly mountPort: number
  /** How long what was seen is believed. */
  readonly ageS: number
  readonly path: string
}

const TOKEN = /^[A-Za-z0-9._-]{1,64}$/
const BOOT_ID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/
const RESULT = /^(\d{1,5})(?::(\d{1,4}))?$/
const WORD = /^[!-~]{1,256}$/
// oxlint-disable-next-line no-control-regex -- they are what must not get through
const CONTROL = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g

/** Reads a line of the guest, without its line feed. Never throws. */
export function parse(line: string): GuestLine | Malformed {
  const [verb, ...words] = line.split(" ")
  switch (verb) {
    case "hello":
      return parseHello(words)
    case "idle":
      return words.length === 0 ? { kind: "idle" } : "bad-arguments"
    case "closing":
      return { kind: "closing", reason: printable(words.join(" ")) }
    case "echoed":
      return parseEchoed(words)
    case "done":
    case "error":
    case "base":
    case "share":
      return parseAnswer(verb, words)
    case undefined:
    default:
      return "unknown-line"
  }
}

/** Writes a request, with its line feed. */
export function emit(token: string, request: Request): string {
  const words: string[] = [request.verb, token]
  if (request.verb === "mount") {
    const { how } = request
    if (how.kind === "virtiofs") words.push(how.kind, how.tag)
    else if (how.kind === "exports") words.push(how.kind)
    else words.push(how.kind, how.address, String(how.port))
  } else if (request.verb === "attach") {
    const { address, port, mountPort, ageS, path } = request.place
    words.push(request.id, address, String(port), String(mountPort), String(ageS), encodeText(path))
  } else if (request.verb === "bind")
    words.push(request.id, encodeText(request.target), request.readOnly ? "ro" : "rw")
  else if (request.verb === "unbind") words.push(encodeText(request.target))
  return `${words.join(" ")}\n`
}

function parseHello([version, bootId, ...more]: readonly string[]): GuestLine | Malformed {
  if (version === undefined || !/^\d{1,6}$/.test(version)) return "bad-arguments"
  if (bootId === undefined || !BOOT_ID.test(bootId)) return "bad-arguments"
  // A later version may say more here; whoever speaks with it decides by the number.
  if (Number(version) === VERSION && more.length > 0) return "bad-arguments"
  return { kind: "hello", hello: { version: Number(version), bootId } }
}

function parseEchoed(words: readonly string[]): GuestLine | Malformed {
  const results: EchoResult[] = []
  for (const word of words) {
    const [, id, errno] = RESULT.exec(word) ?? []
    if (id === undefined || Number(id) > ECHOES_MAX) return "bad-arguments"
    results.push({ id: Number(id), errno: Number(errno ?? 0) })
  }
  return results.length === 0 ? "bad-arguments" : { kind: "echoed", results }
}

function parseAnswer(
  kind: "done" | "error" | "base" | "share",
  [token, ...words]: readonly string[],
): GuestLine | Malformed {
  if (token === undefined || !TOKEN.test(token)) return "bad-arguments"
  switch (kind) {
    case "done":
      return words.length === 0 ? { kind, token } : "bad-arguments"
    case "error":
      return words.length > 0 ? { kind, token, reason: printable(words.join(" ")) } : "bad-arguments"
    case "base": {
      const [type, source] = words
      if (words.length !== 2 || type === undefined || !WORD.test(type)) return "bad-arguments"
      const text = decodeText(source)
      return text === undefined ? "bad-arguments" : { kind, token, type, source: printable(text) }
    }
    case "share":
      return parseShare(token, words)
  }
}

function parseShare(token: string, words: readonly string[]): GuestLine | Malformed {
  const [id, target, mode] = words
  const [plainId, plainTarget] = [decodeText(id), decodeText(target)]
  if (words.length !== 3 || plainId === undefined || plainTarget === undefined) return "bad-arguments"
  if (mode !== "ro" && mode !== "rw") return "bad-arguments"
  const share = { id: printable(plainId), target: printable(plainTarget), readOnly: mode === "ro" }
  return { kind: "share", token, share }
}

function encodeText(text: string): string {
  return encode(Buffer.from(text))
}

function decodeText(word: string | undefined): string | undefined {
  const bytes = word === undefined || word === "" ? undefined : decode(word)
  return bytes === undefined ? undefined : Buffer.from(bytes).toString("utf8")
}

function printable(text: string): string {
  return text.replace(CONTROL, "\ufffd")
}
