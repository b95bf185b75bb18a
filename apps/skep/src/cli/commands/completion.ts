/**
 * `skep completion SHELL`: scripts for bash, zsh and fish that ask `skep complete` for the words.
 *
 * @module
 */
import { readdir } from "node:fs/promises"
import { SidecarError } from "@skep/contract"
import type { Command } from "commander"
import { checkName, machinePaths } from "../../home/paths.ts"
import { type MachineRecord, readRecord } from "../../machine/record.ts"
import type { Session } from "../session.ts"

const SCRIPTS: Readonly<Record<string, string>> = {
  bash: `# skep completion for bash. Run: source <(skep completion bash)
_skep() {
  local IFS=$'\\n'
  COMPREPLY=($(compgen -W "$(skep complete -- "\${COMP_WORDS[@]:1:COMP_CWORD-1}" 2>/dev/null)" -- "\${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -F _skep skep
`,
  zsh: `#compdef skep
# skep completion for zsh. Run: source <(skep completion zsh)
_skep() {
  local -a words_of_skep
  words_of_skep=(\${(f)"$(skep complete -- "\${words[@]:1:CURRENT-2}" 2>/dev/null)"})
  compadd -a words_of_skep || _files
}
compdef _skep skep
`,
  fish: `# skep completion for fish. Run: skep completion fish | source
complete -c skep -F -n '__fish_seen_subcommand_from add'
complete -c skep -f -a '(skep complete -- (commandline -opc)[2..-1] 2>/dev/null)'
`,
}

const LEASES = "leases"
/** Arguments that no machine is named by, and nothing else that is known here. */
const NOT_KNOWN: readonly string[] = ["path", "address"]

export async function completion(session: Session, shell: string): Promise<void> {
  const script = SCRIPTS[shell]
  if (script === undefined) {
    throw new SidecarError(
      "bad-options",
      `Cannot complete for the shell "${shell}": Skep knows ${Object.keys(SCRIPTS).join(", ")}`,
    )
  }
  if (session.output.json) session.output.value({ shell, script })
  else process.stdout.write(script)
}

/** The words that may follow: commands at first, then machines, shares, options and subcommands of the command. Where there are none, files. */
export async function complete(session: Session, program: Command, words: readonly string[]): Promise<void> {
  if (words.at(-1) === "-m" || words.at(-1) === "--machine") {
    for (const name of await machineNames(session)) session.output.line(name)
    return
  }
  const command = await commandAt(session, program, words)
  const options = command.options.map((option) => option.long ?? option.short ?? "")
  const visible = new Set(command.createHelp().visibleCommands(command))
  const subcommands = command.commands.filter((sub) => visible.has(sub)).map((sub) => sub.name())
  const known = command === program ? [] : await argumentsOf(session, command, words)
  for (const word of [...subcommands, ...known, ...options]) if (word !== "") session.output.line(word)
}

/** The command that the words lead to. */
async function commandAt(session: Session, program: Command, words: readonly string[]): Promise<Command> {
  let at = program
  for (const word of words) {
    const sub = at.commands.find((each) => each.name() === word || each.aliases().includes(word))
    if (sub === undefined) continue
    at = sub
    // Its verbs are another package's: to be asked for, as when one of them runs.
    if (sub.parent === program && sub.name() === LEASES)
      at = (await import("./leases.ts")).leasesVerbs(session)
  }
  return at
}

/** What a command's first argument may be, as far as that is known. */
async function argumentsOf(
  session: Session,
  command: Command,
  words: readonly string[],
): Promise<readonly string[]> {
  const [argument] = command.registeredArguments
  if (argument === undefined || NOT_KNOWN.includes(argument.name())) return []
  if (argument.name() !== "target") return await machineNames(session)
  const flag = words.findLastIndex((word) => word === "-m" || word === "--machine")
  const record = await recordOf(session, (flag < 0 ? undefined : words[flag + 1]) ?? "default")
  return (record?.shares ?? []).map(({ target }) => target)
}

async function recordOf(session: Session, name: string): Promise<MachineRecord | undefined> {
  try {
    return await readRecord(machinePaths(session.home, checkName(name)).record)
  } catch (error) {
    if (error instanceof SidecarError) return undefined // nothing to choose from
    throw error
  }
}

async function machineNames(session: Session): Promise<readonly string[]> {
  return await readdir(session.home.machines).catch(() => [])
}
