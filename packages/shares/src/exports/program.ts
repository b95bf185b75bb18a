/**
 * What `skep-exports` does with its words: the one step that runs as root.
 *
 * @module
 */
import { parseArgs } from "node:util"
import { SidecarError } from "@skep/contract"
import { applyExports, previewExports, removeExports } from "./apply.ts"
import { MachineName, parseExportRequest } from "./request.ts"
import { exportedMachines } from "./state.ts"
import { thisSystem } from "./system.ts"

export interface ProgramInput {
  readonly argv: readonly string[]
  /** What is to be exported, as JSON: read for `apply` and `check`. */
  readonly readInput: () => Promise<unknown>
  /** The user who ran sudo; undefined where nobody did. */
  readonly sudoUid: string | undefined
  readonly uid: number
  readonly signal: AbortSignal
}

export const USAGE = `Usage: skep-exports VERB [--etc DIRECTORY]

  check           what apply would change; as any user; JSON on standard input
  apply           exports for a machine what the JSON on standard input says
  remove NAME...  takes back what is exported for machines
  list            machines that have exports; as any user

Answers with a line of JSON. The input: {"machine", "directories": [{"path", "readOnly"}], "client", "uid", "gid"}`

/** Returns what is printed. Throws "bad-options" for wrong words, and what the verbs throw. */
export async function runExports(input: ProgramInput): Promise<unknown> {
  const { verb, names, etc } = wordsOf(input.argv)
  const system = thisSystem(etc)
  switch (verb) {
    case "check":
      return await previewExports(await requestOf(input), system)
    case "apply":
      return await applyExports(await requestOf(input), system, input.signal)
    case "remove": {
      if (names.length === 0) throw wrong("remove wants names of machines")
      const plans = []
      for (const name of names) plans.push(await removeExports(checked(name), system, input.signal))
      return plans
    }
    case "list":
      return await exportedMachines(system)
    default:
      throw wrong(verb === "" ? "there is no verb" : `there is no verb "${verb}"`)
  }
}

function wordsOf(argv: readonly string[]): {
  readonly verb: string
  readonly names: readonly string[]
  readonly etc: string
} {
  try {
    const { values, positionals } = parseArgs({
      args: [...argv],
      allowPositionals: true,
      options: { etc: { type: "string", default: "/etc" } },
    })
    const [verb = "", ...names] = positionals
    if (!values.etc.startsWith("/")) throw new Error("--etc wants an absolute directory")
    return { verb, names, etc: values.etc }
  } catch (error) {
    throw wrong(error instanceof Error ? error.message : String(error))
  }
}

async function requestOf({
  readInput,
  sudoUid,
  uid,
}: ProgramInput): Promise<ReturnType<typeof parseExportRequest>> {
  const request = parseExportRequest(await readInput())
  // Files of others would be everybody's in the machine.
  const asker = sudoUid === undefined ? uid : Number(sudoUid)
  if (asker === 0 || request.uid === asker) return request
  throw new SidecarError(
    "permission-denied",
    `Cannot export as user ${request.uid}: user ${asker} may only export as that user`,
  )
}

function checked(name: string): string {
  const parsed = MachineName.safeParse(name)
  if (parsed.success) return parsed.data
  throw new SidecarError("bad-name", `Cannot use ${JSON.stringify(name)} as the name of a machine`)
}

function wrong(reason: string): SidecarError {
  return new SidecarError("bad-options", `Cannot run skep-exports: ${reason}`, { next: USAGE })
}
