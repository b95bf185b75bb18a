/**
 * The `skep` command.
 *
 * @module
 */

import { exitCodeFor } from "./cli/exit.ts"
import { asSidecarError, Output } from "./cli/output.ts"
import { buildProgram } from "./cli/program.ts"

const program = buildProgram()
try {
  await program.parseAsync()
} catch (error) {
  new Output(process.argv.includes("--json")).error(error)
  process.exitCode = exitCodeFor(asSidecarError(error).code)
}
// Sockets that a library keeps for reuse must not hold the prompt back.
process.exit()
