/**
 * The messages of the QEMU Machine Protocol (QEMU docs/interop/qmp-spec): one JSON object a line.
 *
 *     server  {"QMP": {"version": {"qemu": {"major": 7, …}}, "capabilities": []}}
 *     client  {"execute": "qmp_capabilities", "id": 1}
 *     server  {"return": {}, "id": 1}
 *     server  {"event": "STOP", "data": {…}, "timestamp": {"seconds": 1, "microseconds": 2}}
 *     server  {"error": {"class": "GenericError", "desc": "…"}, "id": 2}
 *
 * @module
 */

/** What QEMU says without having been asked. */
export interface QmpEvent {
  /** As QEMU writes it, such as "SHUTDOWN". */
  readonly name: string
  readonly data: Readonly<Record<string, unknown>>
}

export type Message =
  | { readonly kind: "greeting"; readonly version: string }
  | { readonly kind: "return"; readonly id: number | undefined; readonly value: unknown }
  | { readonly kind: "error"; readonly id: number | undefined; readonly class: string; readonly desc: string }
  | { readonly kind: "event"; readonly event: QmpEvent }

export type Malformed = "not-json" | "not-an-object" | "unknown-message"

/** Reads one line. Never throws. */
export function parse(line: string): Message | Malformed {
  const value = parseJson(line)
  if (value === undefined) return "not-json"
  if (!isRecord(value)) return "not-an-object"
  if ("return" in value) return { kind: "return", id: idOf(value), value: value["return"] }
  const { event, error, QMP: greeting } = value
  if (typeof event === "string") {
    return { kind: "event", event: { name: event, data: isRecord(value["data"]) ? value["data"] : {} } }
  }
  if (isRecord(error)) {
    return { kind: "error", id: idOf(value), class: textOf(error["class"]), desc: textOf(error["desc"]) }
  }
  if (isRecord(greeting)) return { kind: "greeting", version: versionOf(greeting) }
  return "unknown-message"
}

/** One command as a line, with its line feed. */
export function emit(
  id: number,
  command: string,
  args: Readonly<Record<string, unknown>> | undefined,
): string {
  return `${JSON.stringify({ execute: command, ...(args === undefined ? {} : { arguments: args }), id })}\n`
}

function parseJson(line: string): unknown {
  try {
    const value: unknown = JSON.parse(line)
    return value
  } catch {
    return undefined
  }
}

function idOf(message: Readonly<Record<string, unknown>>): number | undefined {
  return typeof message["id"] === "number" ? message["id"] : undefined
}

/** "7.2.22" */
function versionOf(greeting: Readonly<Record<string, unknown>>): string {
  const version = isRecord(greeting["version"]) ? greeting["version"] : {}
  const qemu = isRecord(version["qemu"]) ? version["qemu"] : {}
  return [qemu["major"], qemu["minor"], qemu["micro"]]
    .map((part) => (typeof part === "number" ? part : "?"))
    .join(".")
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : "unknown"
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value)
}
