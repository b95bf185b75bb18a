/**
 * A sidecar that runs in another process, seen through its control socket.
 *
 * @module
 */
import { type Identity, type Instance, type Running, SidecarError, type SidecarEvent } from "@skep/contract"
import * as z from "zod"
import { type ControlCall, call, subscribe } from "../control/client.ts"
import { sleep, within, withResolvers } from "../deadline.ts"
import { isAlive, signalProcess } from "../identity.ts"

const HEALTH_DEADLINE_MS = 3000
const STOP_DEADLINE_MS = 10_000
const KILL_POLL_MS = 25

export const InstanceBody: z.ZodType<Instance> = z.object({
  pid: z.int().min(1),
  startTime: z.string(),
  nonce: z.string(),
})

const HealthBody = z.object({
  name: z.string(),
  version: z.string(),
  identity: InstanceBody,
  endpoints: z.array(z.string()),
})

export interface AdoptOptions<Status> {
  readonly control: string
  /** Who must answer there; whoever does unless told. */
  readonly identity?: Instance
  readonly parseStatus: (value: unknown) => Status
  readonly signal: AbortSignal
  readonly emit?: (event: SidecarEvent) => void
  /** How long a stop may take before the process is killed; 10 s unless told. */
  readonly stopDeadlineMs?: number
}

/** A running sidecar of another process, with the verbs of its role behind `request`. */
export interface Remote<Status> extends Running<Status> {
  readonly name: string
  readonly version: string
  readonly identity: Instance
  /** Asks that very instance: one that came after it on the same socket refuses with "not-running". */
  request(method: ControlCall["method"], path: string, body?: unknown, signal?: AbortSignal): Promise<unknown>
  /** Stops watching and leaves the process running. `closed` never settles after this. */
  release(): void
}

/**
 * Connects to a running sidecar. Rejects with "unreachable" when nobody listens on the control socket, "timeout" when
 * somebody does and does not answer, "not-running" when it is not the one that was meant.
 */
export async function adopt<Status>(options: AdoptOptions<Status>): Promise<Remote<Status>> {
  const { control } = options
  const limit = (): AbortSignal => within(HEALTH_DEADLINE_MS, options.signal)
  const health = await healthOf(options, limit())
  const instance = health.identity.nonce
  const { promise: closed, resolve, reject } = withResolvers<void>()
  closed.catch(() => undefined) // whoever awaits `closed` gets the reason; nobody has to
  let last: SidecarEvent | undefined
  let released = false
  let over = false
  const subscription = await subscribe(
    control,
    (event) => {
      last = event
      options.emit?.(event)
    },
    limit(),
    { instance },
  )
  void subscription.ended.then(() => {
    over = true
    if (released) return
    if (last?.type === "stopped") resolve()
    else reject(crash(health.name, last))
  })
  const request: Remote<Status>["request"] = async (method, path, body, requestSignal) => {
    if (over) throw notRunning(health.name)
    return await call(control, {
      method,
      path,
      body,
      instance,
      signal: requestSignal ?? AbortSignal.timeout(STOP_DEADLINE_MS),
    })
  }
  let stopping: Promise<void> | undefined
  return {
    ...health,
    closed,
    request,
    status: async () => options.parseStatus(await request("GET", "/status")),
    release: () => {
      released = true
      subscription[Symbol.dispose]()
    },
    [Symbol.asyncDispose]: () => {
      stopping ??= stop(health.identity, request, options.stopDeadlineMs ?? STOP_DEADLINE_MS)
      return stopping
    },
  }
}

async function healthOf<Status>(
  { control, identity }: AdoptOptions<Status>,
  signal: AbortSignal,
): Promise<z.infer<typeof HealthBody>> {
  const health = HealthBody.parse(await call(control, { method: "GET", path: "/health", signal }))
  if (identity === undefined || health.identity.nonce === identity.nonce) return health
  throw new SidecarError(
    "not-running",
    `Cannot adopt "unix:${control}": process ${health.identity.pid} answers there, not process ${identity.pid}`,
  )
}

async function stop(
  identity: Identity,
  request: Remote<unknown>["request"],
  deadlineMs: number,
): Promise<void> {
  await request("POST", "/stop").catch(() => undefined) // gone already, or about to be killed
  const end = Date.now() + deadlineMs
  while (isAlive(identity)) {
    if (Date.now() >= end) signalProcess(identity, "SIGKILL")
    await sleep(KILL_POLL_MS, neverAborts)
  }
}

const neverAborts = new AbortController().signal

function crash(name: string, last: SidecarEvent | undefined): SidecarError {
  // Its own last words say what it was that crashed.
  const reason = last?.["reason"]
  const message =
    typeof reason === "string" ? reason : `The sidecar "${name}" crashed: its process ended without a word`
  return new SidecarError("crashed", message)
}

export function notRunning(name: string): SidecarError {
  return new SidecarError("not-running", `Cannot ask "${name}": it is not running`)
}
