/**
 * `skep share owners export`, `import`: what a machine has said of owners in a share, so that it can move with a copy of the files.
 *
 * @module
 */
import { open } from "node:fs/promises"
import { createInterface } from "node:readline"
import { SidecarError } from "@skep/contract"
import { errnoOf } from "@skep/runtime/files"
import { piecesOf, type TakenOwners } from "@skep/shares/client"
import { checkExists, connectBackend } from "../../client/backend.ts"
import { checkName } from "../../home/paths.ts"
import type { Session } from "../session.ts"
import { hostPath } from "../share-choice.ts"

/** A person reads no more. */
const SHOWN = 20

/** Prints a line of JSON for each file that has an owner or a mode of its own, with `--json` and without. */
export async function shareOwnersExport(session: Session, machine: string, named: string): Promise<void> {
  checkExists(session.home, machine)
  const { output } = session
  const backend = await connectBackend(session.home, session.signal)
  let count = 0
  for await (const owner of backend.stream("GET", route(machine, named))) {
    output.item(owner)
    count++
  }
  output.note(
    count === 0
      ? `${machine} has said of no file in ${named} whose it is: each belongs to whoever looks`
      : `${counted(count)} of ${named}. Give them to a copy with: skep share owners import PATH FILE`,
  )
}

/** `file`: "-" for standard input. Throws where a line was left out, when all others are taken. */
export async function shareOwnersImport(
  session: Session,
  machine: string,
  named: string,
  file: string,
): Promise<void> {
  checkExists(session.home, machine)
  const { output } = session
  const backend = await connectBackend(session.home, session.signal)
  let applied = 0
  const refused: string[] = []
  for await (const lines of piecesOf(linesOf(file))) {
    // The backend is of our own build, so its answers have our own types.
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion
    const taken = (await backend.request("POST", route(machine, named), { lines })) as TakenOwners
    applied += taken.applied
    refused.push(...taken.refused)
  }
  if (refused.length > 0) throw leftOut({ applied, refused }, named)
  if (output.json) output.value({ applied, refused })
  else output.note(`${named} in ${machine} has ${counted(applied)} more`)
}

/** What was left out, and why. */
export function leftOut({ applied, refused }: TakenOwners, named: string): SidecarError {
  const more = refused.length - SHOWN
  return new SidecarError(
    "bad-options",
    `Cannot import ${refused.length} of ${counted(applied + refused.length)} into "${named}"`,
    {
      detail: [...refused.slice(0, SHOWN), ...(more > 0 ? [`and ${more} more`] : [])],
      next: applied === 0 ? "Is it a file of skep share owners export?" : "The others are taken",
    },
  )
}

async function* linesOf(file: string): AsyncGenerator<string> {
  try {
    const input = file === "-" ? process.stdin : (await open(file)).createReadStream()
    for await (const line of createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY }))
      if (line.trim() !== "") yield line
  } catch (error) {
    const code = errnoOf(error)
    if (code === undefined) throw error
    throw new SidecarError(
      code === "ENOENT" ? "not-found" : "bad-options",
      `Cannot read owners from "${file}": ${code}`,
      {
        cause: error,
        next: "Make one with skep share owners export PATH > FILE, or say - for standard input",
      },
    )
  }
}

function counted(count: number): string {
  return count === 1 ? "1 owner" : `${count} owners`
}

function route(machine: string, named: string): string {
  const query = new URLSearchParams({ share: hostPath(named) })
  return `/machines/${encodeURIComponent(checkName(machine))}/shares/owners?${query.toString()}`
}
