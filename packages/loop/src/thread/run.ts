/**
 * The loop thread's side: what an entry module calls to run a loop.
 *
 * @module
 */
import { workerData } from "node:worker_threads"
import { Counters } from "../loop/counters.ts"
import { Loop } from "../loop/loop.ts"
import { threadId } from "../sys/epoll.ts"
import { carry, LoopError } from "./error.ts"
import { type Call, type Handlers, Inbox } from "./inbox.ts"
import * as protocol from "./protocol.ts"
import type { Reply } from "./reply.ts"

export type { Call, Handlers, Loop, Reply }

/** What a module has to work with. */
export interface LoopContext<Data, Notice> {
  readonly loop: Loop
  /** What `startLoop` was given. */
  readonly data: Data
  /**
   * Tells the main thread. Returns false, and drops the notice, where too many are unread there. Notices and answers arrive in the order they
   * were given, while the loop runs on.
   */
  readonly notify: (notice: Notice, transfer?: readonly ArrayBuffer[]) => boolean
}

type SetUp<Calls, Data, Notice> = (
  context: LoopContext<Data, Notice>,
) => Handlers<Calls> | Promise<Handlers<Calls>>

/**
 * Sets up and runs the loop of this thread: for the entry module of `startLoop`, once, as its last act. The set-up may be asynchronous; once
 * the loop runs nothing asynchronous goes on in this thread. What the set-up throws rejects `startLoop`.
 */
export function runLoop<Calls, Data = undefined, Notice = never>(setUp: SetUp<Calls, Data, Notice>): void {
  const started: unknown = workerData
  if (!isLoopThreadData(started))
    throw new LoopError("no-loop", "Cannot run a loop here: this module is for startLoop")
  void run(started, setUp)
}

async function run<Calls, Data, Notice>(
  started: protocol.LoopThreadData,
  setUp: SetUp<Calls, Data, Notice>,
): Promise<never> {
  const { port, control } = started
  let code = 0
  const crash = (error: unknown): void => {
    code = 1
    port.postMessage({ kind: "crashed", error: carry(error) })
  }
  try {
    const loop = new Loop({
      counters: new Counters(started.counters),
      maxWaitMs: started.maxWaitMs,
      ...(started.busyPollMs === undefined ? {} : { busyPollMs: started.busyPollMs }),
      ...(started.maxEvents === undefined ? {} : { maxEvents: started.maxEvents }),
    })
    // A handler may call process.exit(), and nothing after it runs.
    const exit = (): void => {
      loop[Symbol.dispose]()
      tellEnded(control)
    }
    process.once("exit", exit)
    try {
      await runSetUp(loop, started, setUp)
      loop.run()
    } catch (error) {
      crash(error)
    }
    process.off("exit", exit)
    loop[Symbol.dispose]()
  } catch (error) {
    crash(error)
  }
  tellEnded(control)
  // Whatever the module left open must not keep the thread.
  process.exit(code)
}

async function runSetUp<Calls, Data, Notice>(
  loop: Loop,
  started: protocol.LoopThreadData,
  setUp: SetUp<Calls, Data, Notice>,
): Promise<void> {
  const { control, port } = started
  Atomics.store(control, protocol.THREAD_ID, threadId())
  const handlers = await setUp({
    loop,
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- what startLoop was given for this very module
    data: started.data as Data,
    notify: (notice, transfer = []) => {
      const sent = Atomics.load(control, protocol.NOTICES_SENT)
      if (((sent - Atomics.load(control, protocol.NOTICES_TAKEN)) | 0) >= started.maxNotices) return false
      port.postMessage({ kind: "notice", notice }, [...transfer])
      Atomics.store(control, protocol.NOTICES_SENT, (sent + 1) | 0)
      return true
    },
  })
  new Inbox(loop, started, handlers).open()
  Atomics.store(control, protocol.STATE, protocol.RUNNING)
  port.postMessage({ kind: "ready" })
}

function tellEnded(control: Int32Array): void {
  Atomics.store(control, protocol.STATE, protocol.ENDED)
  Atomics.notify(control, protocol.STATE)
}

function isLoopThreadData(data: unknown): data is protocol.LoopThreadData {
  return typeof data === "object" && data !== null && "loopThread" in data
}
