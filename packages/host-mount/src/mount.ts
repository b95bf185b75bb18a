/**
 * One mount from its beginning to its end: connected, shown, looked after, taken down.
 *
 * It ends by disposal, when the machine is gone, when its way says that it may not come back, and when somebody unmounts it; the directory is free
 * again in every case, lazily where programs still are in it.
 *
 * @module
 */
import { type Context, type Counters, type Running, SidecarError } from "@skep/contract"
import { withResolvers } from "@skep/runtime/deadline"
import { FileError } from "./errno.ts"
import { loadFuse, mountFuse } from "./fuse-native.ts"
import { mountOn, prepareDirectory, unmount, unmountLazily } from "./mount-table.ts"
import { Operations } from "./operations.ts"
import { checkMayMount } from "./permission.ts"
import { type Link, Remote } from "./remote.ts"
import * as sftp from "./sftp.ts"

export interface MountOptions {
  /** Whose files these are: shown in the mount table. Letters, digits and `-`. */
  readonly machine: string
  /** The directory of the machine. */
  readonly path: string
  readonly directory: string
  /** As of `OperationsOptions`. */
  readonly linkBase: string
  readonly readOnly: boolean
  /** How long the kernel and we keep what was learnt of names and attributes. */
  readonly cacheMs: number
  /** How long a program in the directory waits for an answer before it gets EIO. */
  readonly deadlineMs: number
}

export interface MountWays {
  readonly connect: (signal: AbortSignal) => Promise<Link>
  readonly isGone: () => boolean
}

export interface MountStatus {
  readonly machine: string
  readonly path: string
  readonly directory: string
  readonly readOnly: boolean
  readonly openFiles: number
  readonly counters: Counters
}

export interface MountRunning extends Running<MountStatus> {
  /** Unmounts and ends. Without force it throws "busy" while programs use the directory, and stays. */
  unmount(force: boolean): Promise<void>
}

/** How soon it is noticed that somebody else has unmounted the directory. */
const LOOK_MS = 2000
const DIRECTORY_TYPE = 0o040000
const TYPE = 0o170000

/** Resolves when the directory shows the files. Codes: "not-found", "bad-options", "exists", "host-program-missing", "permission-denied", "unsupported". */
export async function mountRemote(
  options: MountOptions,
  ways: MountWays,
  context: Context,
): Promise<MountRunning> {
  if (process.platform !== "linux") {
    throw new SidecarError(
      "unsupported",
      `Cannot mount on this system (${process.platform}): only Linux was tried`,
      {
        next: "Use sshfs with what skep ssh-config prints",
      },
    )
  }
  // Before anything is touched.
  loadFuse()
  checkMayMount()
  const link = await ways.connect(context.signal)
  const remote = new Remote(link, {
    ...ways,
    deadlineMs: options.deadlineMs,
    log: context.log,
  })
  try {
    await checkRoot(remote, options)
    await prepareDirectory(options.directory, context.signal)
    context.signal.throwIfAborted()
    const operations = new Operations(remote, {
      root: options.path,
      linkBase: options.linkBase,
      readOnly: options.readOnly,
      cacheMs: options.cacheMs,
      now: () => performance.now(),
    })
    await mountFuse(options.directory, operations, {
      source: `skep-${options.machine}`,
      readOnly: options.readOnly,
      cacheSeconds: options.cacheMs / 1000,
    })
    const mounted = running(options, remote, operations, context)
    if (context.signal.aborted) {
      await mounted[Symbol.asyncDispose]()
      context.signal.throwIfAborted()
    }
    return mounted
  } catch (error) {
    remote[Symbol.dispose]()
    throw error
  }
}

async function checkRoot(remote: Remote, { machine, path }: MountOptions): Promise<void> {
  const what = `Cannot mount "${path}" of the machine "${machine}"`
  try {
    const { mode } = await remote.use((to) => sftp.stat(to, path), { again: true })
    if ((mode & TYPE) === DIRECTORY_TYPE) return
  } catch (error) {
    if (!(error instanceof FileError)) throw error
    const missing = error.code === "ENOENT"
    throw new SidecarError(
      missing ? "not-found" : "unreachable",
      `${what}: ${missing ? "there is no such directory" : error.code}`,
      { cause: error },
    )
  }
  throw new SidecarError("bad-options", `${what}: it is no directory`)
}

function running(
  options: MountOptions,
  remote: Remote,
  operations: Operations,
  { log }: Context,
): MountRunning {
  const { directory, machine, path, readOnly } = options
  const closed = withResolvers<void>()
  closed.promise.catch(() => undefined) // whoever awaits it sees the reason
  let ending: Promise<void> | undefined
  const end = (why: string, detach: () => Promise<void>): Promise<void> => {
    ending ??= (async () => {
      clearInterval(look)
      log.info("unmounting", { directory, why })
      try {
        await detach()
        closed.resolve()
      } catch (error) {
        closed.reject(error)
      } finally {
        // After the directory is free: nobody gets an error who could still have had an answer.
        remote[Symbol.dispose]()
      }
    })()
    return ending
  }
  const lazily = (): Promise<void> => unmountLazily(directory)
  const look = setInterval(() => {
    void mountOn(directory).then((entry) => {
      if (entry === undefined) void end("somebody else did", async () => undefined)
    })
  }, LOOK_MS)
  look.unref()
  void remote.gone.then(() => end("the machine is gone", lazily))
  return {
    endpoints: [],
    closed: closed.promise,
    status: async () => {
      if (ending !== undefined)
        throw new SidecarError("not-running", `Cannot ask the mount on "${directory}": it has ended`)
      const counters = { ...remote.counters }
      return { machine, path, directory, readOnly, openFiles: operations.openFiles, counters }
    },
    unmount: async (force) => {
      if (!force && ending === undefined) await unmount(directory)
      await end("asked to", force ? lazily : async () => undefined)
      await closed.promise
    },
    [Symbol.asyncDispose]: () => end("stopped", lazily),
  }
}
