/**
 * Where the command prints: tables and colours for a person, plain lines for a pipe, JSON where it was asked for.
 *
 * @module
 */
import { createInterface } from "node:readline/promises"
import { styleText } from "node:util"
import { SidecarError } from "@skep/contract"
import { shown } from "../model.ts"

type Style = Parameters<typeof styleText>[0]

export interface Streams {
  readonly input: NodeJS.ReadableStream & { readonly isTTY?: boolean }
  readonly output: NodeJS.WritableStream & { readonly isTTY?: boolean }
  readonly errors: NodeJS.WritableStream & { readonly isTTY?: boolean }
  readonly env: Readonly<Record<string, string | undefined>>
}

const CHUNK = 1 << 16

export class Terminal {
  readonly json: boolean
  readonly #streams: Streams

  constructor(json: boolean, streams: Streams) {
    this.json = json
    this.#streams = streams
  }

  /** Whether a person is there to be asked. */
  get interactive(): boolean {
    const { input, errors } = this.#streams
    return !this.json && input.isTTY === true && errors.isTTY === true
  }

  style(style: Style, text: string): string {
    const { output, env } = this.#streams
    return output.isTTY === true && env["NO_COLOR"] === undefined && env["TERM"] !== "dumb"
      ? styleText(style, text, { validateStream: false })
      : text
  }

  line(text: string): void {
    this.#streams.output.write(`${text}\n`)
  }

  /** Many lines, a few writes. */
  lines(lines: Iterable<string>): void {
    let chunk = ""
    for (const line of lines) {
      chunk += `${line}\n`
      if (chunk.length < CHUNK) continue
      this.#streams.output.write(chunk)
      chunk = ""
    }
    if (chunk !== "") this.#streams.output.write(chunk)
  }

  /** What is not the result. */
  note(text: string): void {
    if (!this.json) this.#streams.errors.write(`${text}\n`)
  }

  value(value: unknown): void {
    this.line(JSON.stringify(value, undefined, 2))
  }

  /** Columns, two spaces between them. The rows are made twice, so that they need no memory. */
  table(
    head: readonly string[],
    rows: () => Iterable<readonly string[]>,
    colour: (row: readonly string[]) => Style | undefined,
  ): void {
    const widths = head.map(({ length }) => length)
    for (const row of rows())
      for (let column = 0; column < row.length; column++)
        widths[column] = Math.max(widths[column] ?? 0, row[column]?.length ?? 0)
    const padded = (row: readonly string[]): string => {
      let line = ""
      for (let column = 0; column < row.length; column++) {
        const cell = row[column] ?? ""
        line += column === row.length - 1 ? cell : `${cell.padEnd(widths[column] ?? 0)}  `
      }
      return line
    }
    this.line(this.style("bold", padded(head)))
    const styled = (row: readonly string[]): string => {
      const style = colour(row)
      return style === undefined ? padded(row) : this.style(style, padded(row))
    }
    this.lines(mapped(rows(), styled))
  }

  /** One sentence, the facts, the next step. */
  error(error: SidecarError): void {
    const { errors, output } = this.#streams
    if (this.json) {
      output.write(`${JSON.stringify({ error })}\n`)
      return
    }
    const lines = [
      `${errors.isTTY === true ? styleText("red", "error:") : "error:"} ${error.message} [${error.code}]`,
    ]
    for (const line of error.detail) lines.push(`  | ${shown(line)}`)
    if (error.next !== undefined) lines.push(`next: ${error.next}`)
    errors.write(`${lines.join("\n")}\n`)
  }

  /** Throws "bad-options" where nobody can be asked. */
  async confirm(question: string, signal: AbortSignal): Promise<boolean> {
    if (!this.interactive)
      throw new SidecarError(
        "bad-options",
        "Cannot change anything without being told: there is nobody to ask",
        {
          next: "Look at it with --dry-run, then say --yes",
        },
      )
    const { input, errors } = this.#streams
    const asked = createInterface({ input, output: errors })
    try {
      return /^y(es)?$/i.test((await asked.question(`${question} [y/N] `, { signal })).trim())
    } finally {
      asked.close()
    }
  }
}

function* mapped<From, To>(items: Iterable<From>, map: (item: From) => To): Generator<To> {
  for (const item of items) yield map(item)
}
