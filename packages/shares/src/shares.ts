/**
 * The share manager: directories of the host in one machine.
 *
 * All work on files is in a loop thread (`thread.ts`); here is what a sidecar has beside it: options, the lock, checks, the guest's part, an end that
 * is told.
 *
 * @module
 */
import { dirname, join } from "node:path"
import { type Context, type ErrorCode, type ShareRule, type Sidecar, SidecarError } from "@skep/contract"
import { entryOf, type LoopThread, startLoop } from "@skep/loop"
import { Cleanup, privateDirectory, removeStaleSocket, tryLock } from "@skep/runtime"
import { openRelay } from "./exports/relay.ts"
import { ownSockets, parseSharesOptions, type SharesOptions } from "./options.ts"
import { checkDirectory, checkTarget } from "./rules/check.ts"
import { type Refused, RunningShares } from "./running.ts"
import type { SkepSharesStatus } from "./status.ts"
import type { ThreadCalls, ThreadData, ThreadNotice } from "./thread/calls.ts"

/** A question of one at a time waits for this thread to wake more than for the answer: docs/decisions/busy-polling.md. */
const BUSY_POLL_MS = 0.1
const THREAD = entryOf(import.meta.url, { built: "shares-thread", source: "./thread.ts" })

export const shares: Sidecar<SharesOptions, SkepSharesStatus, RunningShares> = {
  name: "shares",
  parseOptions: (input) => parseSharesOptions(input),
  start,
}

async function start(options: SharesOptions, context: Context): Promise<RunningShares> {
  context.signal.throwIfAborted()
  await using cleanup = new Cleanup()
  await privateDirectory(dirname(options.socket))
  await privateDirectory(options.stateDirectory)
  for (const path of [join(options.stateDirectory, "shares"), ...ownSockets(options)]) {
    const lock = tryLock(`${path}.lock`)
    if (lock === undefined) {
      throw new SidecarError("address-in-use", `Cannot serve shares on "${path}": another process does`, {
        next: "Stop it, or choose another socket and another directory",
      })
    }
    cleanup.defer(() => lock[Symbol.dispose]())
  }
  for (const path of ownSockets(options)) removeStaleSocket(path)
  const { rules, refused } = sorted(options)
  let running: RunningShares | undefined
  const thread = await startThread({ options, rules }, context, (notice) => running?.hear(notice))
  cleanup.use(thread)
  running = new RunningShares({ options, thread, context, refused })
  if (options.exports !== undefined) cleanup.use(await openRelay(options.exports, context))
  await running.begin()
  context.signal.throwIfAborted()
  running.own(cleanup.move())
  return running
}

/** What can be shared from the start on, and what cannot: that is said in the status, and keeps nobody from the rest. */
function sorted({ shares: wanted, hidden }: SharesOptions): {
  readonly rules: readonly ShareRule[] | undefined
  readonly refused: readonly Refused[]
} {
  if (wanted === undefined) return { rules: undefined, refused: [] }
  const rules: ShareRule[] = []
  const refused: Refused[] = []
  for (const rule of wanted) {
    try {
      checkTarget(rule, { others: rules, hidden })
      checkDirectory(rule, { hidden })
      rules.push(rule)
    } catch (error) {
      if (!(error instanceof SidecarError)) throw error
      // One that is not there yet may come.
      if (error.code === "not-found") rules.push(rule)
      else refused.push({ rule, reason: error.message })
    }
  }
  return { rules, refused }
}

async function startThread(
  data: ThreadData,
  { signal, log, emit }: Context,
  hear: (notice: ThreadNotice) => void,
): Promise<LoopThread<ThreadCalls>> {
  try {
    return await startLoop<ThreadCalls, ThreadNotice>(THREAD, {
      name: "skep shares",
      busyPollMs: BUSY_POLL_MS,
      data,
      signal,
      onNotice: (notice) => {
        hear(notice)
        if (notice.type === "echo") return
        // Every change of a file is for those who ask for events, and too much for a log.
        if (notice.type !== "file-event") log.info(notice.type, { ...notice })
        emit(notice)
      },
    })
  } catch (error) {
    signal.throwIfAborted()
    if (error instanceof SidecarError || !(error instanceof Error)) throw error
    const code = "code" in error ? error.code : undefined
    const reason = `Cannot serve shares on "${data.options.socket}": ${error.message}`
    throw new SidecarError(CODES[String(code)] ?? "internal", reason, { cause: error })
  }
}

const CODES: Readonly<Record<string, ErrorCode>> = {
  EADDRINUSE: "address-in-use",
  EACCES: "permission-denied",
  unavailable: "unsupported",
}
