/**
 * Records of the guest's log, as it pushes them to port 514 (AGENT.md): those of its kernel and of its syslog, in the form
 * of /dev/kmsg (Linux, Documentation/ABI/testing/dev-kmsg).
 *
 *     28,273,6528017,-;Nov 21 10:24:25 root: hello w\xc3\xb6rld
 *      SUBSYSTEM=acpi                          a property of the record before: of no use here
 *
 * @module
 */
import { whole } from "./number.ts"

export interface LogRecord {
  /** RFC 5424 section 6.2.1: 0 kernel, 1 user, 3 system daemons, … */
  readonly facility: number
  /** RFC 5424 section 6.2.1: 0 emergency, 3 error, 4 warning, 6 informational, 7 debug. */
  readonly severity: number
  /** Counts up by one from a start of the guest; a gap is what was lost because nobody fetched it in time. */
  readonly sequence: number
  /** Milliseconds since the guest's kernel started. */
  readonly uptimeMs: number
  /** Without control characters. */
  readonly text: string
}

/** The longest line: a record of 1024 bytes, each of which may be written as `\xHH`, and its prefix. */
export const LOG_LINE_MAX = 8192

const RECORD = /^(\d{1,6}),(\d{1,15}),(\d{1,15}),[^;]{0,64};(.*)$/s
// oxlint-disable-next-line no-control-regex -- they are what must not get through
const CONTROL = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g

/** Reads a line of the log; undefined for what is no record: a property of the one before, or garbage. */
export function parseLogRecord(line: string): LogRecord | undefined {
  if (line.length > LOG_LINE_MAX) return undefined
  const [, priority, number, microseconds, text = ""] = RECORD.exec(line) ?? []
  const value = whole(priority)
  const sequence = whole(number)
  const uptime = whole(microseconds)
  if (value === undefined || sequence === undefined || uptime === undefined) return undefined
  return {
    facility: value >> 3,
    severity: value & 7,
    sequence,
    uptimeMs: uptime / 1000,
    text: unescaped(text).replace(CONTROL, "\ufffd"),
  }
}

/** The kernel writes each byte that is not printable ASCII, and the backslash, as `\xHH`. */
function unescaped(text: string): string {
  if (!text.includes("\\x")) return text
  const bytes = Buffer.from(text, "utf8").toString("latin1")
  const plain = bytes.replace(/\\x([0-9a-f]{2})/g, (_, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  )
  return Buffer.from(plain, "latin1").toString("utf8")
}
