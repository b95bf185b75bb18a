/**
 * The keeper as a sidecar: it stands between QEMU and the programs that are its vhost-user devices, so that these can be killed, upgraded
 * and swapped under a running machine (`@skep/vhost-user`, keeper). A process of its own, since it has to outlive its launcher too: a
 * machine that loses its keeper loses its devices.
 *
 * @module
 */
import { type Context, type Running, type Sidecar, SidecarError } from "@skep/contract"
import { entryOf, type LoopThread, startLoop } from "@skep/loop"
import { Cleanup, notRunning, withResolvers } from "@skep/runtime"
import { type KeeperOptions, parseKeeperOptions } from "./options.ts"
import type { KeeperStatus } from "./status.ts"
import type { ThreadCalls, ThreadNotice } from "./thread.ts"

const NAME = "keeper"
const THREAD = entryOf(import.meta.url, { built: "keeper-thread", source: "./thread.ts" })

export const keeper: Sidecar<KeeperOptions, KeeperStatus> = {
  name: NAME,
  parseOptions: parseKeeperOptions,
  start,
}

/** Codes: "unsupported" where there is no FFI to be had. */
async function start(options: KeeperOptions, context: Context): Promise<Running<KeeperStatus>> {
  context.signal.throwIfAborted()
  await using cleanup = new Cleanup()
  const lonely = withResolvers<void>()
  const thread = cleanup.use(await startThread(options, context, lonely.resolve))
  const owned = cleanup.move()
  let stopping: Promise<void> | undefined
  const stop = (): Promise<void> => {
    stopping ??= owned[Symbol.asyncDispose]()
    return stopping
  }
  void lonely.promise.then(stop)
  const closed = thread.closed.catch((error: unknown) => {
    throw new SidecarError("crashed", `The keeper crashed: ${String(error)}`, { cause: error })
  })
  closed.catch(() => undefined) // whoever awaits it gets the reason; nobody has to
  return {
    endpoints: [],
    closed,
    status: async () => {
      if (stopping !== undefined) throw notRunning(NAME)
      return await thread.call("status", undefined)
    },
    [Symbol.asyncDispose]: stop,
  }
}

async function startThread(
  options: KeeperOptions,
  { signal, emit, log }: Context,
  onLonely: () => void,
): Promise<LoopThread<ThreadCalls>> {
  try {
    return await startLoop<ThreadCalls, ThreadNotice>(THREAD, {
      name: "skep keeper",
      data: options,
      signal,
      onNotice: (notice) => {
        log.info(notice.type, { ...notice })
        emit(notice)
        if (notice.type === "lonely") onLonely()
      },
    })
  } catch (error) {
    signal.throwIfAborted()
    if (!(error instanceof Error)) throw error
    const unavailable = "code" in error && error.code === "unavailable"
    throw new SidecarError(
      unavailable ? "unsupported" : "internal",
      `Cannot keep the devices of the machine: ${error.message}`,
      { cause: error },
    )
  }
}
