/**
 * `skep share add`, `rm`, `ls`, `events`: the directories of this host that a machine has.
 *
 * @module
 */
import { type ShareRule, SidecarError, type SidecarEvent } from "@skep/contract"
import { subscribe } from "@skep/runtime/control-client"
import { orAborted, sleep } from "@skep/runtime/deadline"
import type { SharedDirectory, SharesView } from "../../backend/shares.ts"
import { checkExists, connectBackend } from "../../client/backend.ts"
import { checkName, machinePaths } from "../../home/paths.ts"
import type { ShareWish } from "../../machine/share-rules.ts"
import { exportFirst, takeBackRest } from "../exports-step.ts"
import { plain } from "../printable.ts"
import type { Session } from "../session.ts"
import { hostPath } from "../share-choice.ts"
import { shareEventLine, shareSentence, shareTable } from "../share-rows.ts"

const RETRY_MS = 500

export async function shareAdd(session: Session, machine: string, wish: ShareWish): Promise<void> {
  checkExists(session.home, machine)
  const backend = await connectBackend(session.home, session.signal)
  const asked = { ...wish, path: hostPath(wish.path) }
  await exportFirst({ session, backend, machine }, { share: asked })
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
  await takeBackRest({ session, backend, machine })
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

/** Until Ctrl-C, over restarts of the sidecar; while the machine is down it waits for it. */
export async function shareEvents(session: Session, machine: string): Promise<void> {
  checkExists(session.home, machine)
  const { home, output, signal } = session
  const control = `${machinePaths(home, checkName(machine)).sharesSocket}.control`
  const show = (event: SidecarEvent): void => {
    const line = shareEventLine(event, new Date())
    if (line === undefined) return
    if (output.json) output.item({ at: new Date().toISOString(), ...event })
    else output.line(plain(line).replaceAll("\n", "\\n"))
  }
  let isTold = false
  for (;;) {
    if (signal.aborted) return
    try {
      using events = await subscribe(control, show, signal)
      if (!output.json) output.note(`Watching what is shared with ${machine}. Ctrl-C ends it`)
      isTold = false
      await orAborted(events.ended, signal)
    } catch (error) {
      if (error === signal.reason) return
      if (!(error instanceof SidecarError) || error.code !== "unreachable") throw error
      if (!isTold)
        output.note(`${machine} serves no shares now: waiting for it. Start it with skep up ${machine}`)
      isTold = true
    }
    await sleep(RETRY_MS, signal).catch(() => undefined) // the loop sees the abort
  }
}

function route(machine: string): string {
  return `/machines/${encodeURIComponent(checkName(machine))}/shares`
}
