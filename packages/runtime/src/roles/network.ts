/**
 * The network role over a control socket: the same verbs for every network, ours or an adapter.
 *
 * `GET /forwards`, `POST /forwards` with a rule, `DELETE /forwards` with a rule.
 *
 * @module
 */
import { isIP } from "node:net"
import {
  type Forward,
  type ForwardRule,
  type NetworkRunning,
  type NetworkStatus,
  SidecarError,
} from "@skep/contract"
import * as z from "zod"
import type { Routes } from "../control/routes.ts"
import type { Remote } from "../process/adopt.ts"

const address = z.string().refine((text) => isIP(text) !== 0, "is no IP address")
const port = z.int().min(1).max(65_535)

const Rule = z.strictObject({
  transport: z.enum(["tcp", "udp"]),
  hostAddress: address,
  hostPort: port,
  guestAddress: address.optional(),
  guestPort: port,
  machine: z.string().min(1).max(63).optional(),
  owner: z.string().min(1).max(64).optional(),
})

const counters = z.record(z.string(), z.number())

const Machine = z.object({
  name: z.string(),
  connected: z.boolean(),
  mac: z.string().exactOptional(),
  address: z.string().exactOptional(),
  address6: z.string().exactOptional(),
  counters,
})

const BRIEF = 200

const Status = z.object({
  forwards: z.array(Rule),
  machines: z.array(Machine).exactOptional(),
  counters,
})

/** Checks a rule from outside. Throws "bad-options". */
export function parseForwardRule(input: unknown): ForwardRule {
  const parsed = Rule.safeParse(input)
  if (parsed.success) return withoutUndefined(parsed.data)
  throw new SidecarError(
    "bad-options",
    `Cannot read the forward ${brief(input)}: ${z.prettifyError(parsed.error)}`,
  )
}

/** What was asked for, as far as a message has room for it. */
function brief(input: unknown): string {
  try {
    const text = input === undefined ? "of nothing" : JSON.stringify(input)
    return text.length > BRIEF ? `${text.slice(0, BRIEF)}…` : text
  } catch {
    return "that was sent" // deeper than the stack
  }
}

/** Names a rule in messages and as the key of maps: `tcp 127.0.0.1:8080 -> 10.0.2.15:80`. The owner is not part of it. */
export function forwardName(rule: ForwardRule): string {
  const machine = rule.machine ?? (rule.guestAddress === undefined ? "guest" : undefined)
  const guest = [machine, rule.guestAddress].filter((part) => part !== undefined).join("/")
  return `${rule.transport} ${rule.hostAddress}:${rule.hostPort} -> ${guest}:${rule.guestPort}`
}

/** The verbs for `serve`. Forwards asked for over the socket belong to the network until they are deleted. */
export function networkRoutes(network: NetworkRunning): Routes {
  const held = new Map<string, Forward>()
  return {
    "GET /forwards": async () => (await network.status()).forwards,
    "POST /forwards": async ({ body }) => {
      const forward = await network.forward(parseForwardRule(body))
      held.set(forwardName(forward.rule), forward)
      return forward.rule
    },
    "DELETE /forwards": async ({ body }) => {
      const rule = parseForwardRule(body)
      const forward = held.get(forwardName(rule))
      if (forward === undefined) {
        throw new SidecarError("not-found", `Cannot remove the forward "${forwardName(rule)}": there is none`)
      }
      held.delete(forwardName(rule))
      await forward[Symbol.asyncDispose]()
    },
  }
}

/** Checks a status that came over a socket. */
export function parseNetworkStatus(value: unknown): NetworkStatus {
  const parsed = Status.parse(value)
  return { ...parsed, forwards: parsed.forwards.map(withoutUndefined) }
}

/** A network in another process. */
export function networkClient(remote: Remote<NetworkStatus>): NetworkRunning {
  return {
    ...remote,
    forward: async (wanted) => {
      const rule = parseForwardRule(await remote.request("POST", "/forwards", wanted))
      let removed: Promise<unknown> | undefined
      return {
        rule,
        [Symbol.asyncDispose]: async () => {
          removed ??= remote.request("DELETE", "/forwards", rule)
          await removed
        },
      }
    },
  }
}

function withoutUndefined({ guestAddress, machine, owner, ...rest }: z.infer<typeof Rule>): ForwardRule {
  return {
    ...rest,
    ...(guestAddress === undefined ? {} : { guestAddress }),
    ...(machine === undefined ? {} : { machine }),
    ...(owner === undefined ? {} : { owner }),
  }
}
