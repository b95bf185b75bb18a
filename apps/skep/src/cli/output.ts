/**
 * Where a command prints: for people on a terminal, plain lines elsewhere, JSON with `--json`.
 *
 * @module
 */
import { styleText } from "node:util"
import { SidecarError } from "@skep/contract"
import { printable } from "./printable.ts"

type Style = Parameters<typeof styleText>[0]

export class Output {
  readonly json: boolean

  constructor(json: boolean) {
    this.json = json
  }

  /** Whether a person watches: progress may move the cursor. */
  get interactive(): boolean {
    return (
      !this.json &&
      process.stdout.isTTY &&
      process.stderr.isTTY &&
      process.env["TERM"] !== "dumb" &&
      process.env["CI"] === undefined
    )
  }

  line(text = ""): void {
    process.stdout.write(`${text}\n`)
  }

  /** A remark that is not the result. */
  note(text: string): void {
    if (!this.json) process.stderr.write(`${text}\n`)
  }

  value(value: unknown): void {
    this.line(JSON.stringify(value, undefined, 2))
  }

  /** One JSON line of a stream. */
  item(value: unknown): void {
    this.line(JSON.stringify(value))
  }

  style(style: Style, text: string): string {
    return process.stdout.isTTY && process.env["NO_COLOR"] === undefined ? styleText(style, text) : text
  }

  /** Columns for a terminal and for awk: two spaces between, no borders. */
  table(head: readonly string[], rows: readonly (readonly string[])[]): void {
    const all = [head, ...rows]
    const widths = head.map((_, column) => Math.max(...all.map((row) => (row[column] ?? "").length)))
    for (const [index, row] of all.entries()) {
      const text = row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join("  ")
        .trimEnd()
      this.line(index === 0 ? this.style("bold", text) : text)
    }
  }

  /** One sentence, the facts, the next step. */
  error(error: unknown): void {
    const known = forUser(error)
    if (this.json) {
      this.item({ error: known })
      return
    }
    const red = (text: string): string => (process.stderr.isTTY ? styleText("red", text) : text)
    const lines = [`${red("error:")} ${printable(known.message)} [${known.code}]`]
    for (const line of known.detail) lines.push(`  | ${printable(line)}`)
    if (known.next !== undefined) lines.push(`next: ${printable(known.next)}`)
    process.stderr.write(`${lines.join("\n")}\n`)
  }
}

/** As a user is told of it: what is not ours is a bug, to be reported with its stack. */
export function forUser(error: unknown): SidecarError {
  if (error instanceof SidecarError) return error
  const message = error instanceof Error ? (error.stack ?? error.message) : String(error)
  return new SidecarError("internal", `Internal error: ${message}`, {
    cause: error,
    next: "Please report it with the output of skep doctor",
  })
}

/** 1.5 GiB, 20 GiB, 512 MiB. */
export function formatBytes(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"]
  let value = bytes
  let unit = 0
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024
    unit++
  }
  return `${value >= 100 || Number.isInteger(value) ? Math.round(value) : value.toFixed(1)} ${units[unit]}`
}

/** 12 s, 5 min, 3 h, 2 d. */
export function formatDuration(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000))
  if (seconds < 120) return `${seconds} s`
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`
  if (seconds < 172_800) return `${Math.round(seconds / 3600)} h`
  return `${Math.round(seconds / 86_400)} d`
}
