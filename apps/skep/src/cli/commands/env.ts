/**
 * `skep env`: shell lines that point Docker clients at a machine (FEATURES DM-04).
 *
 * @module
 */
import { basename } from "node:path"
import { SidecarError } from "@skep/contract"
import { checkExists } from "../../client/backend.ts"
import { checkName, machinePaths } from "../../home/paths.ts"
import { quote } from "../quote.ts"
import type { Session } from "../session.ts"

const SHELLS = ["bash", "zsh", "sh", "fish", "tcsh", "powershell"] as const
type Shell = (typeof SHELLS)[number]

export interface EnvOptions {
  readonly shell?: string
  readonly unset: boolean
}

export async function env(session: Session, name: string, options: EnvOptions): Promise<void> {
  const shell = shellFrom(options.shell)
  if (!options.unset) checkExists(session.home, name)
  const { dockerSocket } = machinePaths(session.home, checkName(name))
  const variables = { DOCKER_HOST: `unix://${dockerSocket}`, SKEP_MACHINE: name }
  if (session.output.json) {
    session.output.value(options.unset ? { DOCKER_HOST: null, SKEP_MACHINE: null } : variables)
    return
  }
  for (const [key, value] of Object.entries(variables))
    session.output.line(options.unset ? unset(shell, key) : set(shell, key, value))
  session.output.line(hint(shell, name, options.unset))
}

function shellFrom(named: string | undefined): Shell {
  const wanted = named ?? basename(process.env["SHELL"] ?? "sh")
  const shell = SHELLS.find((known) => known === wanted)
  if (shell !== undefined) return shell
  if (named === undefined) return "sh"
  throw new SidecarError(
    "bad-options",
    `Cannot print lines for the shell "${named}": Skep knows ${SHELLS.join(", ")}`,
    {
      next: "Choose one of them with --shell",
    },
  )
}

function set(shell: Shell, key: string, value: string): string {
  switch (shell) {
    case "fish":
      return `set -gx ${key} ${quote(value)};`
    case "tcsh":
      return `setenv ${key} ${quote(value)};`
    case "powershell":
      return `$Env:${key} = '${value.replaceAll("'", "''")}'`
    case "bash":
    case "zsh":
    case "sh":
      return `export ${key}=${quote(value)}`
  }
}

function unset(shell: Shell, key: string): string {
  switch (shell) {
    case "fish":
      return `set -e ${key};`
    case "tcsh":
      return `unsetenv ${key};`
    case "powershell":
      return `Remove-Item Env:${key}`
    case "bash":
    case "zsh":
    case "sh":
      return `unset ${key}`
  }
}

function hint(shell: Shell, name: string, undo: boolean): string {
  const command = `skep env${undo ? " --unset" : ""}${name === "default" ? "" : ` ${name}`} --shell ${shell}`
  switch (shell) {
    case "fish":
      return `# Run: ${command} | source`
    case "powershell":
      return `# Run: & ${command} | Invoke-Expression`
    case "tcsh":
      return `# Run: eval \`${command}\``
    case "bash":
    case "zsh":
    case "sh":
      return `# Run: eval "$(${command})"`
  }
}
