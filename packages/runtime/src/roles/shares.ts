/**
 * The shares role over a control socket: the same verbs for every provider, ours or an adapter.
 *
 * `GET /shares`, `POST /shares` with a rule, `DELETE /shares?target=PATH`.
 *
 * @module
 */
import { posix } from "node:path"
import {
  type ShareRule,
  type ShareState,
  type SharesRunning,
  type SharesStatus,
  SidecarError,
} from "@skep/contract"
import * as z from "zod"
import type { Routes } from "../control/routes.ts"
import type { Remote } from "../process/adopt.ts"

/** PATH_MAX without its closing zero byte. */
const PATH_MAX = 4095
const BRIEF = 200

/** Absolute, without anything that could mean another place. */
const path = z
  .string()
  .max(PATH_MAX)
  .regex(/^\/[^\n\0]*$/, "must be an absolute path")
  .refine((text) => posix.normalize(text) === text && (text === "/" || !text.endsWith("/")), {
    error: 'must be written without "..", "." and slashes that are not needed',
  })

const fields = {
  path,
  target: path,
  readOnly: z.boolean(),
  cache: z.enum(["consistent", "cached", "delegated"]),
  ownership: z.enum(["virtual", "real"]),
}

const Rule: z.ZodType<ShareRule> = z.strictObject({
  ...fields,
  readOnly: fields.readOnly.default(false),
  cache: fields.cache.default("consistent"),
  ownership: fields.ownership.default("virtual"),
})

const protocol = z.enum(["virtiofs", "nfs", "exports"])

const State: z.ZodType<ShareState> = z.object({
  ...fields,
  protocol,
  state: z.enum(["waiting", "mounted", "gone", "failed"]),
  reason: z.string().exactOptional(),
})

const Status: z.ZodType<SharesStatus> = z.looseObject({
  protocol,
  reason: z.string(),
  guestReady: z.boolean(),
  shares: z.array(State),
  counters: z.record(z.string(), z.number()),
})

/** Checks a rule from outside; what is not said is writable, consistent and owned virtually. Throws "bad-options". */
export function parseShareRule(input: unknown): ShareRule {
  const withTarget = typeof input === "object" && input !== null && !("target" in input) && "path" in input
  const parsed = Rule.safeParse(withTarget ? { ...input, target: input.path } : input)
  if (parsed.success) return parsed.data
  const issue = parsed.error.issues[0]
  const field = issue?.path.length ? `"${issue.path.join(".")}" of the share` : "the share"
  throw new SidecarError(
    "bad-options",
    `Cannot use ${field}: ${brief(input)}: ${issue?.message ?? "not valid"}`,
    {
      cause: parsed.error,
    },
  )
}

/** What was asked for, as far as a message has room for it. */
function brief(input: unknown): string {
  try {
    const text = input === undefined ? "nothing was said" : JSON.stringify(input)
    return text.length > BRIEF ? `${text.slice(0, BRIEF)}…` : text
  } catch {
    return "what was sent" // deeper than the stack
  }
}

/** Whether two rules ask for the same. */
export function sameShare(left: ShareRule, right: ShareRule): boolean {
  return (
    left.path === right.path &&
    left.target === right.target &&
    left.readOnly === right.readOnly &&
    left.cache === right.cache &&
    left.ownership === right.ownership
  )
}

/** The verbs for `serve`. Shares asked for over the socket stay until they are deleted. */
export function sharesRoutes(shares: SharesRunning & Unshare): Routes {
  return {
    "GET /shares": async () => (await shares.status()).shares,
    "POST /shares": async ({ body }) => (await shares.share(parseShareRule(body))).rule,
    "DELETE /shares": async ({ query }) => {
      const target = query.get("target")
      if (target === null)
        throw new SidecarError("bad-options", "Cannot remove a share: its target is not said", {
          next: "Ask for DELETE /shares?target=PATH",
        })
      await shares.unshare(target)
    },
  }
}

export interface Unshare {
  /** Takes the share at `target` away, whoever asked for it. Code "not-found". */
  unshare(target: string): Promise<void>
}

/** Checks a status that came over a socket. */
export function parseSharesStatus(value: unknown): SharesStatus {
  return Status.parse(value)
}

/** How long a share may take: the guest may have to mount first. */
const SHARE_DEADLINE_MS = 30_000

/** The shares of a machine, in another process. */
export function sharesClient<Status extends SharesStatus>(
  remote: Remote<Status>,
): Remote<Status> & SharesRunning & Unshare {
  const remove = async (target: string): Promise<void> => {
    const signal = AbortSignal.timeout(SHARE_DEADLINE_MS)
    await remote.request("DELETE", `/shares?target=${encodeURIComponent(target)}`, undefined, signal)
  }
  return {
    ...remote,
    unshare: remove,
    share: async (wanted) => {
      const signal = AbortSignal.timeout(SHARE_DEADLINE_MS)
      const rule = parseShareRule(await remote.request("POST", "/shares", wanted, signal))
      let removed: Promise<void> | undefined
      return {
        rule,
        [Symbol.asyncDispose]: async () => {
          removed ??= remove(rule.target)
          await removed
        },
      }
    },
  }
}
