/**
 * The backend's API on backend.sock (docs/architecture.md has it as a table).
 *
 * @module
 */
import { SidecarError } from "@skep/contract"
import type { ControlRequest, Handler, Routes } from "@skep/runtime"
import { parseLines, records } from "@skep/shares/client"
import * as z from "zod"
import { checkName } from "../home/paths.ts"
import { Changes } from "../machine/record.ts"
import { ShareWish } from "../machine/share-rules.ts"
import type { ExportsWish } from "./exports/machine-exports.ts"
import type { Machines } from "./machines.ts"
import type { Progress } from "./operation.ts"

export interface BackendControl {
  /** Told of each request. Throws "not-running" when the backend is ending. */
  readonly touch: () => void
  readonly stop: () => void
}

/** Verbs on machines. Those that take time answer with a stream of progress, one JSON line each. */
export function backendRoutes(machines: Machines, backend: BackendControl): Routes {
  const verbs: Routes = {
    "GET /machines": () => machines.views(),
    "GET /machines/:name": ({ params }) => machines.view(nameIn(params)),
    "POST /machines/:name/up": async (request) => up(machines, request),
    "POST /machines/:name/stop": async ({ params, signal }) => machines.get(nameIn(params)).stop(signal),
    "POST /machines/:name/restart": async ({ params, body, signal }) =>
      machines.get(nameIn(params)).restart(parseChanges(body), signal),
    "POST /machines/:name/kill": ({ params }) => machines.get(nameIn(params)).kill(),
    "DELETE /machines/:name": ({ params, query }) =>
      machines.remove(nameIn(params), {
        force: query.get("force") === "true",
        keepLease: query.get("keep-lease") === "true",
      }),
    "GET /leases": () => machines.leases.view(),
    "PUT /leases/reservations/:name": ({ params, body }) =>
      machines.leases.reserve({ machine: checkName(nameIn(params)), address: parseAddress(body) }),
    "DELETE /leases/reservations/:name": ({ params }) => machines.leases.unreserve(checkName(nameIn(params))),
    "GET /machines/:name/shares": ({ params }) => machines.get(nameIn(params)).shares.view(),
    "POST /machines/:name/shares": ({ params, body, signal }) =>
      machines.get(nameIn(params)).shares.add(parseWish(body), signal),
    "DELETE /machines/:name/shares": ({ params, query, signal }) =>
      machines.get(nameIn(params)).shares.remove(query.get("share") ?? "", signal),
    "GET /machines/:name/shares/owners": async ({ params, query, signal }) =>
      records(await machines.get(nameIn(params)).shares.exportOwners(query.get("share") ?? "", signal)),
    "POST /machines/:name/shares/owners": ({ params, query, body, signal }) =>
      machines.get(nameIn(params)).shares.importOwners(query.get("share") ?? "", parseLines(body), signal),
    "POST /machines/:name/exports": async ({ params, body, signal }) =>
      (await machines.exportsFor(nameIn(params), parseExportsWish(body), signal)) ?? null,
    "POST /release": async () => {
      setImmediate(backend.stop)
    },
  }
  return Object.fromEntries(
    Object.entries(verbs).map(([route, handler]): [string, Handler] => [
      route,
      async (request) => {
        backend.touch()
        return await handler(request)
      },
    ]),
  )
}

/** Creates the machine if there is none. A creation that is interrupted or fails before its first boot leaves nothing. */
async function* up(machines: Machines, { params, body, signal }: ControlRequest): AsyncGenerator<Progress> {
  const name = nameIn(params)
  const changes = parseChanges(body)
  const machine = await machines.getOrCreate(name, changes)
  try {
    yield* machine.up(changes, signal)
  } finally {
    await machines.removeUnborn(name)
  }
}

function parseChanges(body: unknown): Changes {
  const parsed = Changes.safeParse(body ?? {})
  if (parsed.success) return parsed.data
  throw new SidecarError(
    "bad-options",
    `Cannot read the choices for the machine: ${z.prettifyError(parsed.error)}`,
  )
}

function parseWish(body: unknown): ShareWish {
  const parsed = ShareWish.safeParse(body)
  if (parsed.success) return parsed.data
  throw new SidecarError("bad-options", `Cannot read what to share: ${z.prettifyError(parsed.error)}`)
}

function parseExportsWish(body: unknown): ExportsWish {
  const parsed = Wish.safeParse(body ?? {})
  if (parsed.success) return parsed.data
  throw new SidecarError("bad-options", `Cannot read what is to change: ${z.prettifyError(parsed.error)}`)
}

const Wish: z.ZodType<ExportsWish> = z.strictObject({
  changes: Changes.exactOptional(),
  share: ShareWish.exactOptional(),
  restarts: z.boolean().exactOptional(),
})

const Address = z.strictObject({ address: z.ipv4() })

function parseAddress(body: unknown): string {
  const parsed = Address.safeParse(body)
  if (parsed.success) return parsed.data.address
  throw new SidecarError(
    "bad-options",
    `Cannot read which address is meant: ${z.prettifyError(parsed.error)}`,
  )
}

function nameIn(params: Readonly<Record<string, string>>): string {
  return params["name"] ?? ""
}
