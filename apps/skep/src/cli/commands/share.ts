/**
 * `skep share add`, `rm`, `ls`, `events`: the directories of this host that a machine has.
 *
 * @module
 */
import type { ShareRule } from "@skep/contract"
import type { SharedDirectory, SharesView } from "../../backend/shares.ts"
import { checkExists, connectBackend } from "../../client/backend.ts"
import { checkName } from "../../home/paths.ts"
import type { ShareWish } from "../../machine/share-rules.ts"
import type { Session } from "../session.ts"
import { hostPath } from "../share-choice.ts"
import { shareSentence, shareTable } from "../share-rows.ts"

export async function shareAdd(session: Session, machine: string, wish: ShareWish): Promise<void> {
  checkExists(session.home, machine)
  const backend = await connectBackend(session.home, session.signal)
  const asked = { ...wish, path: hostPath(wish.path) }
  // The backend is of our own build, so its answers have our own types.
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  const added = (await backend.request("POST", route(machine), asked)) as SharedDirectory
  const { output } = session
  if (output.json) output.value(added)
  else output.note(shareSentence(added, machine))
}

export async function shareRemove(session: Session, machine: string, named: string): Promise<void> {
  checkExists(session.home, machine)
  const backend = await connectBackend(session.home, session.signal)
  const query = new URLSearchParams({ share: hostPath(named) })
  // As above.
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  const removed = (await backend.request("DELETE", `${route(machine)}?${query.toString()}`)) as ShareRule
  const { output } = session
  if (output.json) output.value(removed)
  else output.note(`${removed.path} is not shared with ${machine} any more. Its files stay on this host`)
}

export async function shareList(session: Session, machine: string): Promise<void> {
  checkExists(session.home, machine)
  const backend = await connectBackend(session.home, session.signal)
  // As above.
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  const view = (await backend.request("GET", route(machine))) as SharesView
  const { output } = session
  if (output.json) {
    output.value(view)
    return
  }
  if (view.shares.length === 0) {
    output.note(`${machine} has no shared directories. Share one with: skep share add PATH`)
    return
  }
  const { head, rows, remarks } = shareTable(view)
  output.table(head, rows)
  for (const remark of remarks) output.note(remark)
}

export async function shareEvents(session: Session, machine: string): Promise<void> {
  checkExists(session.home, machine)
  throw new Error("not yet")
}

function route(machine: string): string {
  return `/machines/${encodeURIComponent(checkName(machine))}/shares`
}
