/**
 * How a log is printed: its bytes into a pipe or a file, harmless text on a terminal, an object a line with --json.
 *
 * @module
 */
import { StringDecoder } from "node:string_decoder"
import type { Output } from "./output.ts"
import { PLAIN, printable } from "./printable.ts"

export interface LogPrinter {
  write(bytes: Uint8Array): void
  /** Prints what no newline has ended. */
  end(): void
}

export function logPrinter(output: Output, source: string): LogPrinter {
  if (output.json) return jsonLines(output, source)
  return process.stdout.isTTY ? onTerminal() : { write: (bytes) => print(bytes), end: () => undefined }
}

function onTerminal(): LogPrinter {
  const decoder = new StringDecoder("utf8")
  return {
    write: (bytes) => print(printable(decoder.write(Buffer.from(bytes)))),
    end: () => print(PLAIN), // the guest may have left a colour on
  }
}

function jsonLines(output: Output, source: string): LogPrinter {
  const decoder = new StringDecoder("utf8")
  let rest = ""
  const tell = (lines: readonly string[]): void => {
    for (const line of lines) if (line !== "") output.item({ source, line })
  }
  return {
    write: (bytes) => {
      const lines = (rest + decoder.write(Buffer.from(bytes))).split("\n")
      rest = lines.pop() ?? ""
      tell(lines)
    },
    end: () => tell([rest]),
  }
}

function print(text: string | Uint8Array): void {
  process.stdout.write(text)
}
