/**
 * Runs the command: its words, its errors, its exit code.
 *
 * @module
 */
import { SidecarError } from "@skep/contract"
import { EXIT, exitCodeFor } from "@skep/runtime/exit"
import { type Command, CommanderError } from "commander"
import { leasesCommand } from "./program.ts"
import { type Streams, Terminal } from "./terminal.ts"

/** Resolves with the exit code. */
export async function runLeases(
  words: readonly string[],
  version: string,
  streams: Streams,
): Promise<number> {
  const stop = new AbortController()
  const end = (name: string): void => stop.abort(new SidecarError("aborted", `Stopped by ${name}`))
  for (const name of ["SIGINT", "SIGTERM"] as const) process.on(name, () => end(name))
  const command = leasesCommand("skep-leases", version, {
    streams,
    signal: stop.signal,
    program: [process.execPath, ...process.execArgv, process.argv[1] ?? ""],
  })
  throwing(command)
  try {
    await command.parseAsync([...words], { from: "user" })
    return Number(process.exitCode ?? EXIT.done)
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.done : EXIT.usage
    const known = SidecarError.of(error)
    new Terminal(words.includes("--json"), streams).error(known)
    return exitCodeFor(known.code)
  }
}

function throwing(command: Command): void {
  command.exitOverride()
  for (const each of command.commands) throwing(each)
}
