/**
 * What the guest may keep of the answers to a repeated change. Its kernel asks for the attributes of a directory before each step in it, and for those of a
 * file before it is opened, unless it may keep for a moment what it was just told: then a change costs half the requests, or fewer.
 *
 * So a directory's attributes are good for the shortest time that a kernel can count, a tick, and a file's until the change of its times, which is the next
 * request and which ends it. Names are not kept longer: whoever asks by name asks anew.
 *
 * @module
 */
import type { Policy, PolicyOf } from "@skep/fuse"
import type { Attributes } from "@skep/vfs"
import { DT_DIRECTORY, type Echo, echoIdOf, typeOf } from "./echo.ts"
import type { EchoQueue } from "./echo-queue.ts"

/** Kernels count in ticks of 1 to 10 ms, and round up. */
const MOMENT_MS = 1

interface Kept {
  readonly opened: Policy
  readonly asked: Policy
}

const kept = new WeakMap<Policy, Kept>()

/** `plain`, but for questions of the echoes that are with the guest. */
export function withEchoes(plain: PolicyOf, queue: Pick<EchoQueue, "at">): PolicyOf {
  return (node, attributes, asker) => {
    const policy = plain(node, attributes)
    const id = asker === undefined ? -1 : echoIdOf(asker)
    const echo = id < 0 ? undefined : queue.at(id)
    return echo === undefined ? policy : echoPolicy(policy, attributes, echo)
  }
}

/** `attributes` are missing where a file is opened. */
function echoPolicy(policy: Policy, attributes: Attributes | undefined, echo: Echo): Policy {
  let own = kept.get(policy)
  if (own === undefined) {
    const attributeMs = Math.max(policy.attributeMs, MOMENT_MS)
    own = { opened: { ...policy, keepCache: false }, asked: { ...policy, attributeMs } }
    kept.set(policy, own)
  }
  // Opened since its content changed: what the guest has read of it goes.
  if (attributes === undefined) return own.opened
  return echo.kind === "write" || typeOf(attributes.mode) === DT_DIRECTORY ? own.asked : policy
}
