/**
 * Owners of a share's files over a control socket: `GET /shares/owners?target=PATH` answers with a record in JSON for each line,
 * `POST /shares/owners?target=PATH` with `{lines}` takes them.
 *
 * @module
 */
import { SidecarError } from "@skep/contract"
import type { Remote, Routes } from "@skep/runtime"
import * as z from "zod"

/** What became of lines that were imported. */
export interface TakenOwners {
  readonly applied: number
  /** A sentence for each line that was left out. */
  readonly refused: readonly string[]
}

/** Codes: "not-found" (no such share), "unsupported" (it keeps none), "not-running" (it is not served), "busy", "bad-options". */
export interface ShareOwners {
  /** A record in JSON for each file that has one. Resolves when the first is on its way; the signal ends it. */
  export(target: string, signal: AbortSignal): Promise<AsyncIterable<string>>
  /** No more at one time than `piecesOf` gives. */
  import(target: string, lines: readonly string[], signal: AbortSignal): Promise<TakenOwners>
}

const Wanted = z.strictObject({ lines: z.array(z.string()) })
const Taken: z.ZodType<TakenOwners> = z.object({ applied: z.int(), refused: z.array(z.string()) })

/** The verbs for `serve`. */
export function ownersRoutes(owners: ShareOwners): Routes {
  return {
    "GET /shares/owners": async ({ query, signal }) => records(await owners.export(targetIn(query), signal)),
    "POST /shares/owners": async ({ query, body, signal }) =>
      await owners.import(targetIn(query), parseLines(body), signal),
  }
}

/** Throws "bad-options". */
export function parseLines(body: unknown): readonly string[] {
  const parsed = Wanted.safeParse(body)
  if (parsed.success) return parsed.data.lines
  throw new SidecarError("bad-options", `Cannot read owners: ${z.prettifyError(parsed.error)}`, {
    next: 'Send {"lines": ["{\\"path\\": …, \\"uid\\": …, \\"gid\\": …}", …]}',
  })
}

/** Lines as what a control socket makes lines of. */
export async function* records(lines: AsyncIterable<string>): AsyncGenerator<unknown> {
  for await (const line of lines) yield JSON.parse(line)
}

/** The owners of another process's shares. */
export function ownersClient(remote: Pick<Remote<unknown>, "request" | "stream">): ShareOwners {
  return {
    export: async (target, signal) => lines(remote.stream(route(target), signal)),
    import: async (target, wanted, signal) =>
      Taken.parse(await remote.request("POST", route(target), { lines: wanted }, signal)),
  }
}

async function* lines(values: AsyncIterable<unknown>): AsyncGenerator<string> {
  for await (const value of values) yield JSON.stringify(value)
}

function route(target: string): string {
  return `/shares/owners?target=${encodeURIComponent(target)}`
}

function targetIn(query: URLSearchParams): string {
  const target = query.get("target")
  if (target !== null) return target
  throw new SidecarError(
    "bad-options",
    "Cannot tell whose owners are meant: the share's target is not said",
    {
      next: "Ask for /shares/owners?target=PATH",
    },
  )
}
