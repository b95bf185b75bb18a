/**
 * The vsock sidecar: a vhost-user back end for a machine's vsock device, with its bridge to Unix sockets.
 *
 * All work is in a loop thread (`thread.ts`); here is what a sidecar has beside it: options, the lock, status, an end that is told.
 *
 * @module
 */
import { dirname } from "node:path"
import { type Context, type Sidecar, SidecarError } from "@skep/contract"
import { entryOf, type LoopThread, startLoop } from "@skep/loop"
import { Cleanup, notRunning, privateDirectory, removeStaleSocket, tryLock } from "@skep/runtime"
import { ownPaths, parseVsockOptions, type VsockOptions } from "./options.ts"
import type { VsockRunning, VsockStatus } from "./status.ts"
import type { ThreadCalls, ThreadNotice } from "./thread.ts"

const NAME = "vsock"

const THREAD = entryOf(import.meta.url, { built: "vsock-thread", source: "./thread.ts" })

export const vsock: Sidecar<VsockOptions, VsockStatus, VsockRunning> = {
  name: NAME,
  parseOptions: (input) => parseVsockOptions(input),
  start,
}

async function start(options: VsockOptions, context: Context): Promise<VsockRunning> {
  context.signal.throwIfAborted()
  await using cleanup = new Cleanup()
  await privateDirectory(dirname(options.socket))
  const lock = tryLock(`${options.socket}.lock`)
  if (lock === undefined) {
    throw new SidecarError(
      "address-in-use",
      `Cannot serve a vsock device on "${options.socket}": another process does`,
      { next: "Stop it, or choose another socket" },
    )
  }
  cleanup.defer(() => lock[Symbol.dispose]())
  removeStaleSocket(options.socket)
  const thread = await startThread(options, context)
  cleanup.use(thread)
  return running(options, thread, cleanup.move())
}

async function startThread(
  options: VsockOptions,
  { signal, emit, log }: Context,
): Promise<LoopThread<ThreadCalls>> {
  try {
    return await startLoop<ThreadCalls, ThreadNotice>(THREAD, {
      name: "skep vsock",
      data: options,
      signal,
      onNotice: (notice) => {
        log.info(notice.type, { ...notice })
        emit(notice)
      },
    })
  } catch (error) {
    signal.throwIfAborted()
    if (error instanceof SidecarError || !(error instanceof Error)) throw error
    const code = "code" in error ? error.code : undefined
    const reason = `Cannot serve a vsock device on "${options.socket}": ${error.message}`
    throw new SidecarError(CODES[String(code)] ?? "internal", reason, { cause: error })
  }
}

const CODES: Readonly<Record<string, "address-in-use" | "permission-denied" | "unsupported">> = {
  EADDRINUSE: "address-in-use",
  EACCES: "permission-denied",
  unavailable: "unsupported",
}

function running(options: VsockOptions, thread: LoopThread<ThreadCalls>, owned: Cleanup): VsockRunning {
  let over = false
  let stopping: Promise<void> | undefined
  const stop = (): Promise<void> => {
    over = true
    stopping ??= owned[Symbol.asyncDispose]()
    return stopping
  }
  const closed = thread.closed.then(stop, async (error: unknown) => {
    await stop()
    throw new SidecarError("crashed", `The vsock device crashed: ${String(error)}`, { cause: error })
  })
  closed.catch(() => undefined) // whoever awaits it gets the reason; nobody has to
  return {
    endpoints: ownPaths(options),
    closed,
    status: async () => {
      if (over) throw notRunning(NAME)
      return await thread.call("status", undefined)
    },
    [Symbol.asyncDispose]: stop,
  }
}
