/**
 * A program that a test starts and listens to.
 *
 * @module
 */
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { createInterface } from "node:readline"

/** Nothing that tests start takes a tenth of it; what does hangs, and the test says so instead of waiting. */
const PATIENCE_MS = 30_000

export interface Program extends AsyncDisposable {
  readonly child: ChildProcess
  /** What it has said so far, on either stream. */
  readonly lines: readonly string[]
  /** The first line that matches, said before or still to come. Rejects with all lines when the program ends without it, or keeps silent. */
  line(matches: (line: string) => boolean): Promise<string>
}

/** Starts one. Disposing it says SIGTERM and waits for its end; it may have ended by itself. */
export function startProgram(file: string, args: readonly string[]): Program {
  const child = spawn(file, args, { stdio: "pipe" })
  const lines: string[] = []
  const waiting = new Set<() => void>()
  const wake = (): void => {
    for (const each of waiting) each()
  }
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream }).on("line", (line) => {
      lines.push(line)
      wake()
    })
  }
  const closed = once(child, "close").then(wake)
  const hasEnded = (): boolean => child.exitCode !== null || child.signalCode !== null
  return {
    child,
    lines,
    line: async (matches) => {
      const end = AbortSignal.timeout(PATIENCE_MS)
      end.addEventListener("abort", wake)
      for (;;) {
        const found = lines.find(matches)
        if (found !== undefined) return found
        if (hasEnded() || end.aborted)
          throw new Error(`no such line of ${file} ${args.join(" ")}:\n${lines.join("\n")}`)
        await new Promise<void>((resolve) => {
          const go = (): void => {
            waiting.delete(go)
            resolve()
          }
          waiting.add(go)
        })
      }
    },
    [Symbol.asyncDispose]: async () => {
      if (!hasEnded()) child.kill("SIGTERM")
      await closed
    },
  }
}
