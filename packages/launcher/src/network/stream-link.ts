/**
 * Keeps a machine's network joined to the program at a socket.
 *
 * QEMU 7.2 connects a stream once and never again, and a NIC holds on to the network it was made with. So the NIC has a port of a hub, and
 * the stream has another, which can be taken away and put back on a running machine. The guest sees neither its link nor anything else change.
 *
 * A hub of which nobody takes frames lets its NIC wait, and QEMU never tells it to go on when there is somebody again. So while the stream is away a
 * third port stands there with nothing behind it, which takes every frame and drops it.
 *
 * ```
 *   virtio-net ── port net0 ──[ hub 0 ]── port net0-port ── stream net0-stream ──► socket
 *
 *   lost ──try: netdev_add sink; netdev_del port, stream; netdev_add stream, port; netdev_del sink──► joined ──NETDEV_STREAM_DISCONNECTED──► lost
 *     └── nobody listens: again in 20 ms, doubled up to 500 ms ──┘
 * ```
 *
 * @module
 */
import { type Log, SidecarError, type SidecarEvent } from "@skep/contract"
import { monitor, type Qmp, type QmpEvent } from "@skep/qmp"
import { sleep, withResolvers } from "@skep/runtime"
import { HUB } from "../hypervisor/qemu.ts"
import { parseStream, type StreamState } from "./info-network.ts"

const RETRY_FIRST_MS = 20
const RETRY_MAX_MS = 500
/** So that a network that was away for a time is found an eighth of that later. */
const RETRY_GROWTH = 9 / 8
/** QEMU connects in a thread of its own, which takes some milliseconds; it says nothing when that fails, so it is asked. */
const SETTLE_POLL_MS = 5
const SETTLE_POLLS = 200

const STREAM = "net0-stream"
const PORT = "net0-port"
const SINK = "net0-sink"

export type LinkState = "joined" | "lost"

export interface StreamLinkOptions {
  /** Where the program listens. */
  readonly socket: string
  readonly log: Log
  readonly emit: (event: SidecarEvent) => void
}

export class StreamLink {
  readonly #options: StreamLinkOptions
  #state: LinkState = "lost"
  #losses = 0
  #hangUps = 0
  /** Aborted when the monitor is not to be used any more. */
  #monitor: AbortController | undefined
  /** Ends the pause between two attempts. */
  #wake = new AbortController()
  /** Settles with the attempt under way, or with the next one. */
  #attempt = attempt()

  constructor(options: StreamLinkOptions) {
    this.#options = options
  }

  get state(): LinkState {
    return this.#state
  }

  get counters(): Readonly<Record<string, number>> {
    return { networkLosses: this.#losses }
  }

  /** Takes a machine's monitor, and resolves after the first attempt to join, whatever came of it: a guest may boot without a network. */
  async start(qmp: Qmp): Promise<void> {
    this.stop()
    const over = new AbortController()
    this.#monitor = over
    void qmp.closed.then(
      () => over.abort(),
      () => over.abort(),
    )
    const first = this.#attempt.promise
    void this.#keep(qmp, over.signal)
    await first.catch(() => undefined) // the next attempts go on
  }

  /** Lets go of the monitor: the machine is over. */
  stop(): void {
    this.#monitor?.abort()
    this.#monitor = undefined
    this.#state = "lost"
    this.#attempt.reject(gone())
    this.#attempt = attempt()
  }

  /** Takes what the monitor says. */
  hear({ name, data }: QmpEvent): void {
    if (name !== "NETDEV_STREAM_DISCONNECTED" || data["netdev-id"] !== STREAM) return
    this.#hangUps++
    this.#lose("the program at its other end hung up")
  }

  /** Joins anew, also where nothing seems to be lost. Rejects with "unreachable" where nobody listens; attempts go on then. */
  async reconnect(): Promise<void> {
    if (this.#monitor === undefined) throw gone()
    this.#lose("somebody asked for it")
    const joined = this.#attempt.promise
    this.#wake.abort()
    await joined
  }

  #lose(reason: string): void {
    if (this.#state === "lost") return
    this.#state = "lost"
    this.#losses++
    this.#options.log.info("network lost", { reason })
    this.#options.emit({ type: "network-lost", reason })
    this.#wake.abort()
  }

  /** Never rejects. */
  async #keep(qmp: Qmp, over: AbortSignal): Promise<void> {
    // A machine that was taken over may be joined already.
    if (await isJoined(qmp, over).catch(() => false)) this.#join()
    let retryMs = RETRY_FIRST_MS
    while (!over.aborted) {
      this.#wake = new AbortController()
      const wake = AbortSignal.any([over, this.#wake.signal])
      if (this.#state === "joined") {
        retryMs = RETRY_FIRST_MS
        await aborted(wake)
        continue
      }
      const mine = this.#attempt
      try {
        const before = this.#hangUps
        await join(qmp, this.#options.socket, over)
        if (this.#hangUps !== before) throw refused(this.#options.socket, "it hung up at once")
        this.#join()
      } catch (error) {
        if (this.#attempt === mine) this.#attempt = attempt()
        mine.reject(error)
        this.#options.log.debug("network not joined", { reason: String(error) })
        await sleep(retryMs, wake).catch(() => undefined) // woken, or over
        retryMs = Math.min(RETRY_GROWTH * retryMs, RETRY_MAX_MS)
      }
    }
  }

  #join(): void {
    this.#state = "joined"
    const { log, emit, socket } = this.#options
    log.info("network joined", { socket })
    emit({ type: "network-joined" })
    const done = this.#attempt
    this.#attempt = attempt()
    done.resolve()
  }
}

/** Takes away what is left of the stream before, and puts another in its place. */
async function join(qmp: Qmp, socket: string, signal: AbortSignal): Promise<void> {
  await tolerant(qmp.execute("netdev_add", { type: "hubport", id: SINK, hubid: HUB }, signal))
  await remove(qmp, PORT, signal)
  await remove(qmp, STREAM, signal)
  const addr = { type: "unix", path: socket }
  await qmp.execute("netdev_add", { type: "stream", id: STREAM, server: false, addr }, signal)
  if (!(await connects(qmp, signal))) throw refused(socket, "nobody listens there")
  await qmp.execute("netdev_add", { type: "hubport", id: PORT, hubid: HUB, netdev: STREAM }, signal)
  await remove(qmp, SINK, signal)
}

function refused(socket: string, reason: string): SidecarError {
  return new SidecarError("unreachable", `Cannot join the network at "unix:${socket}": ${reason}`, {
    next: "Start the program that serves it; the machine joins by itself then",
  })
}

/** What is not there need not be removed. */
async function remove(qmp: Qmp, id: string, signal: AbortSignal): Promise<void> {
  await tolerant(qmp.execute("netdev_del", { id }, signal))
}

/** What is there, or gone, already is as it should be. */
async function tolerant(command: Promise<unknown>): Promise<void> {
  try {
    await command
  } catch (error) {
    if (!(error instanceof SidecarError) || error.code !== "protocol") throw error
  }
}

async function connects(qmp: Qmp, signal: AbortSignal): Promise<boolean> {
  for (let poll = 0; poll < SETTLE_POLLS; poll++) {
    const state = await stateOf(qmp, signal)
    if (state !== "connecting") return state === "up"
    await sleep(SETTLE_POLL_MS, signal)
  }
  return false
}

async function isJoined(qmp: Qmp, signal: AbortSignal): Promise<boolean> {
  const text = await monitor(qmp, "info network", signal)
  return parseStream(text, STREAM) === "up" && text.includes(`${PORT}: ${STREAM}: `)
}

async function stateOf(qmp: Qmp, signal: AbortSignal): Promise<StreamState> {
  return parseStream(await monitor(qmp, "info network", signal), STREAM)
}

interface Attempt {
  readonly promise: Promise<void>
  readonly resolve: () => void
  readonly reject: (reason: unknown) => void
}

function attempt(): Attempt {
  const resolvers = withResolvers<void>()
  resolvers.promise.catch(() => undefined) // whoever waits for it gets the reason; nobody has to
  return { ...resolvers, resolve: () => resolvers.resolve() }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener("abort", () => resolve(), { once: true })
  })
}

function gone(): SidecarError {
  return new SidecarError("not-running", "Cannot join a network: the machine is not running")
}
