/**
 * The thread of the sidecar without system calls: a network on Node's sockets, and the calls that the main thread makes.
 *
 * @module
 */
import { isMainThread, parentPort, workerData } from "node:worker_threads"
import { type AnyHandlers, handlersOf } from "./gateway/handlers.ts"
import { NetworkThread } from "./gateway/network-thread.ts"
import { nodeDriver } from "./gateway/node-driver.ts"
import type { ThreadNotice } from "./thread/calls.ts"
import {
  carry,
  type NodeReport,
  type NodeRequest,
  type NodeThreadData,
  UNREAD_MOST,
} from "./thread/node-protocol.ts"

const started: unknown = workerData
if (isMainThread || parentPort === null || !isNodeThreadData(started))
  throw new Error("Cannot run a network here: this module is for its engine")
const port = parentPort
const { data, unread } = started

const driver = nodeDriver(data.limits.maxHeldBytes, (error) => (error === undefined ? stop(0) : crash(error)))
const network = new NetworkThread({ driver, data, notify })
const handlers: AnyHandlers = {
  ...handlersOf(network),
  forward: async (rule) => {
    const added = network.forwards.add(rule)
    // Node says later whether it listens.
    try {
      if (!added.adopted) await network.listeners.opened()
    } catch (error) {
      network.forwards.remove({ id: added.id })
      throw network.forwards.refusal(added.rule, error)
    }
    return added
  },
}

/** One call after the other: each is to find what the one before has made. */
let last: Promise<void> = Promise.resolve()
port.on("message", (request: NodeRequest) => {
  if (request.kind === "stop") {
    stop(0)
    return
  }
  last = last.then(() => answer(request))
})
// A bug of ours, which nothing is to survive but the news of it.
process.on("uncaughtException", crash)
tell({ kind: "ready" })

async function answer({ call, name, argument }: NodeRequest & { readonly kind: "call" }): Promise<void> {
  try {
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- only the engine has the other end
    const value = await handlers[name](argument as never)
    tell({ kind: "answer", call, value })
  } catch (error) {
    tell({ kind: "refusal", call, error: carry(error) })
  }
}

function notify(notice: ThreadNotice): boolean {
  if (Atomics.load(unread, 0) >= UNREAD_MOST) return false
  Atomics.add(unread, 0, 1)
  tell({ kind: "notice", notice })
  return true
}

function tell(report: NodeReport): void {
  port.postMessage(report)
}

function crash(error: Error): void {
  tell({ kind: "crashed", error: carry(error) })
  stop(1)
}

function stop(code: number): void {
  try {
    // Before the links go: guests are to hear of the end.
    network.stop()
    driver[Symbol.dispose]()
  } finally {
    // Sockets are closed in the turn after.
    setImmediate(() => process.exit(code))
  }
}

function isNodeThreadData(value: unknown): value is NodeThreadData {
  return typeof value === "object" && value !== null && "nodeThread" in value
}
