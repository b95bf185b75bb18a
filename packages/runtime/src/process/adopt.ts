/**
 * A sidecar that runs in another process, seen through its control socket.
 *
 * @module
 */
import { type Identity, type Instance, type Running, SidecarError, type SidecarEvent } from "@skep/contract"
import * as z from "zod"
import { type ControlCall, call, stream, subscribe } from "../control/client.ts"
import { sleep, within, withResolvers } from "../deadline.ts"
import { isAlive, signalProcess } from "../identity.ts"
import { readHolder, socketLockOf } from "../lock-holder.ts"
import { LIVENESS, type Liveness, untilSilent } from "./liveness.ts"

const SUBSCRIBE_DEADLINE_MS = 5000
const STOP_DEADLINE_MS = 10_000
const POLL_MS = 25

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
  /** Types of events that `emit` is not told. */
  readonly without?: readonly string[]
  /** How long a stop may take before the process is killed; 10 s unless told. */
  readonly stopDeadlineMs?: number
  /** When a process that does not answer is taken for one that hangs, and is killed: after some 15 s unless told. */
  readonly liveness?: Liveness
}

/** A running sidecar of another process, with the verbs of its role behind `request`. */
export interface Remote<Status> extends Running<Status> {
  readonly name: string
  readonly version: string
  readonly identity: Instance
  /** Asks that very instance: one that came after it on the same socket refuses with "not-running". */
  request(method: ControlCall["method"], path: string, body?: unknown, signal?: AbortSignal): Promise<unknown>
  /** The lines of an answer as they come, from that very instance. */
  stream(path: string, signal: AbortSignal): AsyncGenerator<unknown>
  /** Stops watching and leaves the process running. `closed` never settles after this. */
  release(): void
}

/**
 * Connects to a running sidecar, and looks from then on whether it answers: one that hangs is killed, and `closed` says so. Rejects with
 * "unreachable" when nobody listens on the control socket, or who did hung and was killed; "timeout" when somebody does who cannot be
 * named, and does not answer; "not-running" when it is not the one that was meant.
 */
export async function adopt<Status>(options: AdoptOptions<Status>): Promise<Remote<Status>> {
  const { control, liveness = LIVENESS } = options
  const health = await patiently(options, liveness)
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
    within(SUBSCRIBE_DEADLINE_MS, options.signal),
    { instance, ...(options.without === undefined ? {} : { without: options.without }) },
  )
  const watch = new AbortController()
  let hang: SidecarError | undefined
  void untilSilent((signal) => subscription.ping(signal), liveness, watch.signal).then((seconds) => {
    if (seconds === undefined) return
    hang = hung(`The sidecar "${health.name}"`, seconds)
    // Its end closes the subscription.
    signalProcess(health.identity, "SIGKILL")
  })
  void subscription.ended.then(() => {
    over = true
    watch.abort()
    if (released) return
    if (last?.type === "stopped") resolve()
    else reject(hang ?? crash(health.name, last))
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
    stream: (path, streamSignal) => {
      if (over) throw notRunning(health.name)
      return stream(control, { method: "GET", path, instance, signal: streamSignal })
    },
    status: async () => options.parseStatus(await request("GET", "/status")),
    release: () => {
      released = true
      watch.abort()
      subscription[Symbol.dispose]()
    },
    [Symbol.asyncDispose]: () => {
      watch.abort() // a stop has a deadline of its own
      stopping ??= stop(health.identity, request, options.stopDeadlineMs ?? STOP_DEADLINE_MS)
      return stopping
    },
  }
}

/** Asks until there is an answer or it is clear that there will be none; then the way is free for another one. */
async function patiently<Status>(
  options: AdoptOptions<Status>,
  { answerMs, misses }: Liveness,
): Promise<z.infer<typeof HealthBody>> {
  const { control, signal } = options
  const began = performance.now()
  for (let missed = 1; ; missed++) {
    try {
      return await healthOf(options, within(answerMs, signal))
    } catch (error) {
      signal.throwIfAborted()
      if (!(error instanceof SidecarError) || error.code !== "timeout") throw error
      if (missed < misses) continue
      const holder = readHolder(socketLockOf(control))
      if (holder === undefined || holder.pid === process.pid) throw error
      await kill(holder)
      const { message } = hung(`Process ${holder.pid}`, Math.round((performance.now() - began) / 1000))
      throw new SidecarError("unreachable", `Cannot adopt "unix:${control}": ${message}`, { cause: error })
    }
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
  const end = performance.now() + deadlineMs
  await request("POST", "/stop", undefined, AbortSignal.timeout(deadlineMs)).catch(() => undefined) // gone already, or about to be killed
  while (isAlive(identity) && performance.now() < end) await sleep(POLL_MS, neverAborts)
  await kill(identity)
}

async function kill(identity: Identity): Promise<void> {
  signalProcess(identity, "SIGKILL")
  while (isAlive(identity)) await sleep(POLL_MS, neverAborts)
}

const neverAborts = new AbortController().signal

function crash(name: string, last: SidecarEvent | undefined): SidecarError {
  // Its own last words say what it was that crashed.
  const reason = last?.["reason"]
  const message =
    typeof reason === "string" ? reason : `The sidecar "${name}" crashed: its process ended without a word`
  return new SidecarError("crashed", message)
}

function hung(who: string, seconds: number): SidecarError {
  return new SidecarError("timeout", `${who} did not answer for ${seconds} s and was ended`)
}

export function notRunning(name: string): SidecarError {
  return new SidecarError("not-running", `Cannot ask "${name}": it is not running`)
}
