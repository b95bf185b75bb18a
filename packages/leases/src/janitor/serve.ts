/**
 * The sidecar as a process: `skep-leases serve`, and what its control socket is asked.
 *
 * ```
 *  GET /leases      POST /leases/give-back CHOICE      POST /leases/sweep RULE
 * ```
 *
 * @module
 */
import type { LeaseChoice, LeasePool, LeasesRunning, LeasesStatus, SweepRule } from "@skep/contract"
import { SidecarError } from "@skep/contract"
import { type Remote, type Routes, serve } from "@skep/runtime"
import * as z from "zod"
import type { HostOptions } from "../owners/host.ts"
import { leasesSidecar } from "./leases.ts"

const Choice: z.ZodType<LeaseChoice> = z.strictObject({
  key: z.string().exactOptional(),
  address: z.string().exactOptional(),
  mac: z.string().exactOptional(),
  machine: z.string().exactOptional(),
})
const Rule: z.ZodType<SweepRule> = z.strictObject({
  olderThanMs: z.number().nonnegative().exactOptional(),
  stale: z.boolean().exactOptional(),
})

/** `env`: where the tools have their files, if not in the home directory. */
export async function serveLeases(
  version: string,
  argv: readonly string[],
  env: NonNullable<HostOptions["env"]>,
): Promise<void> {
  await serve(
    leasesSidecar({ tools: { env } }),
    {
      version,
      description: "Looks after the leases of a DHCP server: takes back what no machine has",
      routes: leasesRoutes,
      flags: [
        { flags: "--path <file>", description: "the lease file", key: "path" },
        {
          flags: "--format <name>",
          description: "what it is, where it does not say so itself",
          key: "format",
        },
        {
          flags: "--settings <file>",
          description: "a file beside it with networks or reservations; may be repeated",
          key: "settings",
          parse: (text: string, before: readonly string[] = []) => [...before, text],
        },
        {
          flags: "--every-ms <ms>",
          description: "between two sweeps; an hour unless told, 0 is never",
          key: "everyMs",
          parse: Number,
        },
        { flags: "--stale", description: "take stale leases too, not only what is over", key: "stale" },
      ],
      examples: ["skep-leases serve --path /var/db/dhcpd_leases --control /tmp/leases.sock"],
    },
    argv,
  )
}

/** The verbs of the role for `serve`. */
export function leasesRoutes(running: LeasesRunning): Routes {
  return {
    "GET /leases": () => running.leases(),
    "POST /leases/give-back": ({ body }) => running.giveBack(checked(Choice, body, "choice")),
    "POST /leases/sweep": ({ body }) => running.sweep(checked(Rule, body ?? {}, "rule")),
  }
}

const Pool: z.ZodType<LeasePool> = z.object({
  network: z.string(),
  first: z.string(),
  last: z.string(),
  size: z.number(),
  used: z.number(),
  free: z.number(),
  nextFree: z.number().exactOptional(),
  exhausted: z.number().exactOptional(),
})
const Status: z.ZodType<LeasesStatus> = z.looseObject({
  server: z.string(),
  serving: z.boolean().exactOptional(),
  paths: z.array(z.string()),
  leases: z.number(),
  pools: z.array(Pool),
  counters: z.record(z.string(), z.number()),
})

/** Checks a status that came over a socket. */
export function parseLeasesStatus(value: unknown): LeasesStatus {
  return Status.parse(value)
}

const CHANGE_MS = 60_000

/** The role over a control socket. The other side is of our own build: its answers have our own types. */
export function leasesClient(
  remote: Remote<LeasesStatus>,
): Remote<LeasesStatus> & Pick<LeasesRunning, "leases" | "giveBack" | "sweep"> {
  const ask = async (method: "GET" | "POST", path: string, body?: unknown): Promise<unknown> =>
    await remote.request(method, path, body, AbortSignal.timeout(CHANGE_MS))
  return {
    ...remote,
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion
    leases: async () => (await ask("GET", "/leases")) as Awaited<ReturnType<LeasesRunning["leases"]>>,
    giveBack: async (choice) =>
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion
      (await ask("POST", "/leases/give-back", choice)) as Awaited<ReturnType<LeasesRunning["giveBack"]>>,
    sweep: async (rule = {}) =>
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion
      (await ask("POST", "/leases/sweep", rule)) as Awaited<ReturnType<LeasesRunning["sweep"]>>,
  }
}

function checked<T>(schema: z.ZodType<T>, body: unknown, what: string): T {
  const parsed = schema.safeParse(body)
  if (parsed.success) return parsed.data
  const issue = parsed.error.issues[0]
  throw new SidecarError(
    "bad-options",
    `Cannot use the ${what}: "${issue?.path.join(".")}": ${issue?.message}`,
    {
      cause: parsed.error,
    },
  )
}
