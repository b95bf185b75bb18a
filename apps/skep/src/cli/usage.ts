/**
 * Wrong usage, as commander finds it, told in the form of every other error: one sentence, a code, the next step.
 *
 * @module
 */
import { SidecarError } from "@skep/contract"
import type { Command, CommanderError } from "commander"

/** Makes a command and all below it throw "bad-options" for wrong usage, and commander's own error after help or the version. */
export function throwUsageErrors(command: Command): void {
  command.configureOutput({ outputError: () => undefined })
  command.exitOverride((error) => {
    throw isPrinted(error) ? error : usageError(command, error)
  })
  for (const sub of command.commands) throwUsageErrors(sub)
}

/** Whether the words before any `--` ask for JSON: what is behind it is for the machine. */
export function asksForJson(argv: readonly string[]): boolean {
  const end = argv.indexOf("--")
  return argv.slice(0, end < 0 ? argv.length : end).includes("--json")
}

/** "commander.help", "commander.helpDisplayed", "commander.version": no error, the text is out already. */
function isPrinted({ code }: CommanderError): boolean {
  return code.startsWith("commander.help") || code === "commander.version"
}

/** Commander's text is `error: REASON`, and on a second line `(Did you mean X?)`. */
function usageError(command: Command, cause: CommanderError): SidecarError {
  const [first = "", suggestion] = cause.message.split("\n")
  const name = pathOf(command)
  const help = `See ${name} --help`
  const reason = first.replace(/^error: /, "").replace(/\.$/, "")
  return new SidecarError("bad-options", `Cannot run "${name}": ${reason}`, {
    cause,
    next: suggestion === undefined ? help : `${suggestion.replace(/^\(|\)$/g, "")} ${help}`,
  })
}

function pathOf(command: Command): string {
  return command.parent === null ? command.name() : `${pathOf(command.parent)} ${command.name()}`
}
