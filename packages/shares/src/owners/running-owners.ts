/**
 * Owners of the shares that are served here: asked of the loop thread, piece by piece.
 *
 * @module
 */
import { type ErrorCode, SidecarError } from "@skep/contract"
import type { ArgumentOf, ResultOf } from "@skep/loop"
import type { ServedShare } from "../serving/served-shares.ts"
import type { ThreadCalls } from "../thread/calls.ts"
import type { ShareOwners, TakenOwners } from "./verbs.ts"

/** The thread has other work to do between so many. */
const LINES = 64

/** Rejects with a `SidecarError` that says `doing`. */
export type CallThread = <Name extends keyof ThreadCalls>(
  name: Name,
  argument: ArgumentOf<ThreadCalls, Name>,
  doing?: string,
) => Promise<ResultOf<ThreadCalls, Name>>

export function runningOwners(call: CallThread): ShareOwners {
  return {
    export: async (target, signal) => {
      const doing = `export the owners of "${target}"`
      const share = await keeping(call, target, doing)
      const number = await call("beginOwners", share.rule.target, doing)
      if (number === undefined) throw refusal("not-running", doing, "it is not served now", TRY_AGAIN)
      return exported(call, number, doing, signal)
    },
    import: async (target, lines, signal) => {
      const doing = `import owners into "${target}"`
      const { rule } = await keeping(call, target, doing)
      if (rule.readOnly)
        throw refusal("bad-options", doing, "it is shared for reading only", "Share it without --read-only")
      let applied = 0
      const refused: string[] = []
      for (let at = 0; at < lines.length; at += LINES) {
        signal.throwIfAborted()
        const taken: TakenOwners | undefined = await call(
          "importOwners",
          { target, lines: lines.slice(at, at + LINES) },
          doing,
        )
        if (taken === undefined) throw refusal("not-running", doing, "it is not served now", TRY_AGAIN)
        applied += taken.applied
        refused.push(...taken.refused)
      }
      return { applied, refused }
    },
  }
}

const TRY_AGAIN = "Try again"

async function* exported(
  call: CallThread,
  number: number,
  doing: string,
  signal: AbortSignal,
): AsyncGenerator<string> {
  let isOver = false
  try {
    while (!isOver) {
      signal.throwIfAborted()
      const { lines, done } = await call("nextOwners", number, doing)
      isOver = done
      yield* lines
    }
  } finally {
    // Where the thread is gone there is nothing to end.
    if (!isOver) await call("endOwners", number).catch(() => undefined)
  }
}

/** The share at a target, if it keeps owners. */
async function keeping(call: CallThread, target: string, doing: string): Promise<ServedShare> {
  const { shares } = await call("status", undefined, doing)
  const share = shares.find(({ rule }) => rule.target === target)
  if (share === undefined) throw refusal("not-found", doing, "there is no such share", "See GET /shares")
  if (share.rule.ownership === "real") {
    const next = "Copy the tree with tar as root, which takes owners along"
    throw refusal("unsupported", doing, 'its ownership is "real", so owners are those of the host', next)
  }
  if (share.gone !== undefined)
    throw refusal("not-running", doing, share.gone, "Make the directory again, or remove the share")
  return share
}

function refusal(code: ErrorCode, doing: string, why: string, next: string): SidecarError {
  return new SidecarError(code, `Cannot ${doing}: ${why}`, { next })
}
