/**
 * A step that may need root: a program run by sudo, by words and never through a shell, with what is to be done on its standard input. It answers with one JSON
 * value, or with `{"error": …}`.
 *
 * @module
 */
import { spawn } from "node:child_process"
import { type ErrorBody, SidecarError } from "@skep/contract"

export interface RootStep {
  /** The program and its words. */
  readonly line: readonly [string, ...string[]]
  readonly input: string
  /** Whether sudo may ask for a password: there is a terminal. */
  readonly interactive: boolean
  /** What it then asks. */
  readonly prompt: string
  /** "sudo"; undefined runs the program itself. */
  readonly sudo: string | undefined
  /** Bytes of the answer. */
  readonly outputMax: number
  readonly signal: AbortSignal
  /** The sentence for a sudo that did not run it, and what to type instead. */
  readonly refused: { readonly message: string; readonly next: string }
  /** What to do where there is no sudo. */
  readonly withoutSudo: string
}

/** Resolves with its answer. Rejects with its error, or with "permission-denied", "host-program-missing", "internal" (it says too much) and the signal's reason. */
export async function runRootStep(step: RootStep): Promise<unknown> {
  const flags = step.interactive ? ["-p", step.prompt] : ["-n"]
  const [file, ...args] = step.sudo === undefined ? step.line : [step.sudo, ...flags, "--", ...step.line]
  const { code, output } = await ended(file, args, step)
  const answer = parsed(output)
  if (code === 0 && answer !== undefined) return answer
  if (isError(answer)) throw new SidecarError(answer.error.code, answer.error.message, answer.error)
  throw new SidecarError("permission-denied", step.refused.message, { next: step.refused.next })
}

/** The other side: what the step was told, as JSON on its standard input. Throws "bad-options" for what is none, and for more than `most` bytes. */
export async function readOrder(input: AsyncIterable<string | Uint8Array>, most: number): Promise<unknown> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of input) {
    const part = Buffer.from(chunk)
    bytes += part.length
    if (bytes > most)
      throw new SidecarError("bad-options", `Cannot read what is to be done: over ${most} bytes`)
    chunks.push(part)
  }
  try {
    const value: unknown = JSON.parse(Buffer.concat(chunks).toString("utf8"))
    return value
  } catch (cause) {
    throw new SidecarError("bad-options", "Cannot read what is to be done: it is no JSON", { cause })
  }
}

function ended(
  file: string,
  args: readonly string[],
  { input, signal, outputMax, withoutSudo }: RootStep,
): Promise<{ readonly code: number | null; readonly output: string }> {
  return new Promise((resolve, reject) => {
    // Its errors, and sudo's question, are for the user.
    const child = spawn(file, args, { stdio: ["pipe", "pipe", "inherit"], signal })
    const chunks: Buffer[] = []
    let bytes = 0
    child.stdout.on("data", (chunk: Buffer) => {
      bytes += chunk.length
      if (bytes <= outputMax) chunks.push(chunk)
    })
    child.stdin.on("error", () => undefined) // it ended before it read; its exit tells
    child.stdin.end(input)
    child.once("error", (cause) => {
      if (signal.aborted) return reject(signal.reason)
      const message = `Cannot run ${file}: ${cause.message}`
      reject(new SidecarError("host-program-missing", message, { cause, next: withoutSudo }))
    })
    child.once("close", (code) => {
      if (bytes <= outputMax) return resolve({ code, output: Buffer.concat(chunks).toString("utf8") })
      reject(new SidecarError("internal", `Cannot read what ${file} answered: it is over ${outputMax} bytes`))
    })
  })
}

function parsed(text: string): unknown {
  try {
    const value: unknown = JSON.parse(text)
    return value
  } catch {
    return undefined
  }
}

function isError(value: unknown): value is { readonly error: ErrorBody } {
  return typeof value === "object" && value !== null && "error" in value
}
