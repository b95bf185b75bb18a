/**
 * `skep leases`: hands its words to the command of the package.
 *
 * @module
 */
import { leasesCommand } from "@skep/leases/command"
import type { Command } from "commander"
import { VERSION } from "../../version.ts"
import { Output } from "../output.ts"
import { addReserveCommands } from "../reserve-commands.ts"
import { openSession, type Session } from "../session.ts"
import { throwUsageErrors } from "../usage.ts"

export async function leases(words: readonly string[]): Promise<void> {
  const command = leasesVerbs(openSession(false))
  throwUsageErrors(command)
  await command.parseAsync(words.length === 0 ? ["--help"] : [...words], { from: "user" })
}

/** Its verbs and their options. Nothing runs until it is parsed. */
export function leasesVerbs(session: Session): Command {
  const { signal } = session
  const command = leasesCommand("skep leases", VERSION, {
    streams: { input: process.stdin, output: process.stdout, errors: process.stderr, env: process.env },
    signal,
    program: [process.execPath, ...process.execArgv, process.argv[1] ?? "", "leases"],
  })
  addReserveCommands(command, (json) => ({ ...session, output: new Output(json) }))
  return command
}
