/**
 * The kernel's vsock device in the vsock role: the same Unix sockets as those of `@skep/vsock`, led to the kernel's AF_VSOCK sockets.
 *
 * Theory of operation. QEMU has the device (`qemu-arguments.ts`) and the kernel moves its packets; all that is left to do here is the host's
 * side, one relay a stream. This process may die and come back: the kernel ends its streams, which the guest hears, and the device stays.
 * Limits, declared as gaps in the contract suite: a host's port is reached only if it was known at the start, and a service that is gone
 * is an end for the guest where it should be a refusal. Ports of the host are the whole host's: two machines cannot have the same one.
 *
 * @module
 */
import { type Context, type Sidecar, SidecarError, type VsockRunning, type VsockStatus } from "@skep/contract"
import { entryOf, type LoopThread, startLoop } from "@skep/loop"
import { Cleanup, notRunning, privateDirectory, tryLock } from "@skep/runtime"
import { hostPaths } from "@skep/vsock-host/options"
import { parseVhostVsockOptions, type VhostVsockOptions } from "./options.ts"
import { probeVhostVsock, type VhostVsock } from "./probe.ts"
import type { ThreadCalls } from "./set-up.ts"

const NAME = "vhost-vsock"

const THREAD = entryOf(import.meta.url, { built: "vhost-vsock-thread", source: "./thread.ts" })

export type VhostVsockSidecar = Sidecar<VhostVsockOptions, VsockStatus, VsockRunning>

/** What the adapter stands on; tests put other sockets in the place of the kernel's. */
export interface Ground {
  /** The entry of its loop thread. */
  readonly thread: URL
  readonly probe: () => VhostVsock
}

/** Throws at `start`: "unsupported" and "permission-denied" by the probe, "address-in-use" for a path or a port of the host. */
export function vhostVsockOn(ground: Ground): VhostVsockSidecar {
  return {
    name: NAME,
    parseOptions: (input) => parseVhostVsockOptions(input),
    start: (options, context) => start(ground, options, context),
  }
}

export const vhostVsock: VhostVsockSidecar = vhostVsockOn({ thread: THREAD, probe: () => probeVhostVsock() })

async function start(ground: Ground, options: VhostVsockOptions, context: Context): Promise<VsockRunning> {
  context.signal.throwIfAborted()
  refuseUnless(ground.probe(), options)
  await using cleanup = new Cleanup()
  if (options.directory !== undefined) await privateDirectory(options.directory)
  for (const path of hostPaths(options)) {
    const lock = tryLock(`${path}.lock`)
    if (lock === undefined)
      throw new SidecarError("address-in-use", `Cannot listen on "${path}": another process does`, {
        next: "Stop it, or choose another path",
      })
    cleanup.defer(() => lock[Symbol.dispose]())
  }
  const thread = await startThread(ground.thread, options, context)
  cleanup.use(thread)
  return running(options, thread, cleanup.move())
}

function refuseUnless(found: VhostVsock, { guestCid }: VhostVsockOptions): void {
  if (found.state === "opens") return
  throw new SidecarError(
    found.state === "denied" ? "permission-denied" : "unsupported",
    `Cannot serve the vsock of guest ${guestCid} by the kernel: ${found.reason}`,
    { next: found.next },
  )
}

async function startThread(
  entry: URL,
  options: VhostVsockOptions,
  { signal }: Context,
): Promise<LoopThread<ThreadCalls>> {
  try {
    return await startLoop<ThreadCalls>(entry, { name: "skep vhost-vsock", data: options, signal })
  } catch (error) {
    signal.throwIfAborted()
    if (error instanceof SidecarError || !(error instanceof Error)) throw error
    const known = REFUSALS[String("code" in error ? error.code : undefined)]
    throw new SidecarError(
      known?.code ?? "internal",
      `Cannot serve the vsock of guest ${options.guestCid} by the kernel: ${error.message}`,
      { cause: error, ...(known?.next === undefined ? {} : { next: known.next }) },
    )
  }
}

interface Refusal {
  readonly code: "address-in-use" | "permission-denied" | "unsupported"
  readonly next?: string
}

const REFUSALS: Readonly<Record<string, Refusal>> = {
  EADDRINUSE: {
    code: "address-in-use",
    next: "Ports of the host are shared by all its machines: serve this one on another port, or stop who has it",
  },
  EACCES: {
    code: "permission-denied",
    next: "Ports of the host below 1024 are for root: choose another one",
  },
  unavailable: { code: "unsupported" },
}

function running(options: VhostVsockOptions, thread: LoopThread<ThreadCalls>, owned: Cleanup): VsockRunning {
  let over = false
  let stopping: Promise<void> | undefined
  const stop = (): Promise<void> => {
    over = true
    stopping ??= owned[Symbol.asyncDispose]()
    return stopping
  }
  const closed = thread.closed.then(stop, async (error: unknown) => {
    await stop()
    throw new SidecarError("crashed", `The relay of ${NAME} crashed: ${String(error)}`, { cause: error })
  })
  closed.catch(() => undefined) // whoever awaits it gets the reason; nobody has to
  return {
    endpoints: hostPaths(options),
    closed,
    status: async () => {
      if (over) throw notRunning(NAME)
      return await thread.call("status", undefined)
    },
    [Symbol.asyncDispose]: stop,
  }
}
