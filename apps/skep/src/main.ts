/**
 * The `skep` command.
 *
 * @module
 */

import { EXIT, exitCodeFor } from "@skep/runtime/exit"
import { CommanderError } from "commander"
import { forUser, Output } from "./cli/output.ts"
import { buildProgram } from "./cli/program.ts"
import { asksForJson } from "./cli/usage.ts"

const program = buildProgram()
try {
  await program.parseAsync()
} catch (error) {
  if (error instanceof CommanderError) {
    // Help or the version is printed; help that nobody asked for stands for a missing command.
    process.exitCode = error.exitCode === 0 ? EXIT.done : EXIT.usage
  } else {
    new Output(asksForJson(process.argv)).error(error)
    process.exitCode = exitCodeFor(forUser(error).code)
  }
}
// Sockets that a library keeps for reuse must not hold the prompt back.
process.exit()
