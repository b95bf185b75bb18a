/**
 * The last lines of a console log, for error messages.
 *
 * @module
 */
import { open } from "node:fs/promises"
import { plain } from "../../cli/printable.ts"

const TAIL_BYTES = 8192

/** At most `lines` last lines, without control characters; empty when there is no log. */
export async function consoleTail(path: string, lines: number): Promise<readonly string[]> {
  try {
    await using file = await open(path)
    const { size } = await file.stat()
    const length = Math.min(size, TAIL_BYTES)
    const { buffer } = await file.read(Buffer.alloc(length), 0, length, size - length)
    return plain(buffer.toString("utf8"))
      .split("\n")
      .filter((line) => line.trim() !== "")
      .slice(-lines)
  } catch {
    return [] // no console yet: nothing to show
  }
}
