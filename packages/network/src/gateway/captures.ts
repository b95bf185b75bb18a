/**
 * Captures of a running network: one of each machine at most, and one of all. Their files are written elsewhere: a slow disk holds up no packet.
 *
 * @module
 */
import { SidecarError } from "@skep/contract"
import { Capture } from "@skep/link"
import {
  CAPTURE_UNWRITTEN_MAX,
  type CaptureSpec,
  type CaptureStatus,
  type ThreadCalls,
  type ThreadNotice,
} from "../thread/calls.ts"
import type { Machine, Machines } from "./machines.ts"

/** How long a frame waits at most to be in the file. */
const FLUSH_MS = 1000

export interface CapturesOptions {
  readonly machines: Machines
  readonly notify: (notice: ThreadNotice) => boolean
  /** A timer of the network. */
  readonly timer: (callback: () => void) => { after(ms: number): void; cancel(): void }
}

type FileSpec = Parameters<ThreadCalls["startCapture"]>[0]

interface Running {
  readonly spec: FileSpec
  readonly capture: Capture
  /** What takes it out of each link it is in. */
  readonly watched: Map<Machine, () => void>
}

export class Captures {
  readonly #options: CapturesOptions
  /** By machine; undefined is the one of all. */
  readonly #running = new Map<string | undefined, Running>()
  readonly #flush

  constructor(options: CapturesOptions) {
    this.#options = options
    this.#flush = options.timer(() => {
      // A capture whose disk is full ends meanwhile.
      for (const { capture } of this.#running.values()) capture.flush()
      if (this.#running.size > 0) this.#flush.after(FLUSH_MS)
    })
  }

  /** Begins to capture. Throws "busy", or "not-found" (no such machine). */
  start(spec: FileSpec): void {
    const { machines } = this.#options
    const { machine } = spec
    const what = machine === undefined ? "all machines" : `"${machine}"`
    if (this.#running.has(machine))
      throw new SidecarError("busy", `Cannot capture the frames of ${what}: a capture of them runs`)
    if (machine !== undefined && machines.get(machine) === undefined)
      throw new SidecarError("not-found", `Cannot capture the frames of ${what}: it is not here`)
    const running: Running = { spec, capture: this.#open(spec), watched: new Map() }
    this.#running.set(machine, running)
    for (const each of machines) if (machine === undefined || each.name === machine) watch(running, each)
    this.#flush.after(FLUSH_MS)
  }

  /** What became of bytes that were given away. */
  written({ file, bytes, error }: Parameters<ThreadCalls["captureWritten"]>[0]): void {
    const running = [...this.#running.values()].find(({ spec }) => spec.file === file)
    running?.capture.written(bytes)
    if (error !== undefined) running?.capture.fail(error)
  }

  /** Ends a capture, whose file is whole when what was told before is written. Throws "not-found". */
  stop(machine: string | undefined): CaptureStatus {
    const running = this.#running.get(machine)
    if (running === undefined) throw new SidecarError("not-found", "Cannot stop a capture: there is none")
    this.#end(machine, running)
    return statusOf(running)
  }

  status(machine: string | undefined): CaptureStatus | undefined {
    const running = this.#running.get(machine)
    return running === undefined ? undefined : statusOf(running)
  }

  /** A machine has come: the capture of all is one of its as well. */
  attach(machine: Machine): void {
    const all = this.#running.get(undefined)
    if (all !== undefined) watch(all, machine)
  }

  /** A machine has gone, with its own capture. */
  detach(machine: Machine): void {
    for (const { watched } of this.#running.values()) {
      watched.get(machine)?.()
      watched.delete(machine)
    }
    const own = this.#running.get(machine.name)
    if (own === undefined) return
    this.#end(machine.name, own)
    this.#options.notify({
      type: "capture-ended",
      reason: "its machine was removed",
      ...statusOf(own),
    })
  }

  /** Writes all that waits, and ends them all. */
  [Symbol.dispose](): void {
    for (const [machine, running] of this.#running) this.#end(machine, running)
  }

  #open({ file, machine, maxBytes, snapLength }: FileSpec): Capture {
    const { notify } = this.#options
    return new Capture(
      (bytes) => notify({ type: "capture-bytes", file, bytes, last: false }),
      {
        maxBytes,
        snapLength,
        maxUnwritten: CAPTURE_UNWRITTEN_MAX,
        onEnd: (reason) => this.#ended(machine, reason),
      },
      () => void notify({ type: "capture-bytes", file, bytes: new Uint8Array(0), last: true }),
    )
  }

  #ended(machine: string | undefined, reason: string): void {
    const running = this.#running.get(machine)
    if (running === undefined) return // its file had no room for its first bytes, or it is being stopped
    this.#end(machine, running)
    this.#options.notify({ type: "capture-ended", reason, ...statusOf(running) })
  }

  #end(machine: string | undefined, { capture, watched }: Running): void {
    this.#running.delete(machine)
    if (this.#running.size === 0) this.#flush.cancel()
    for (const forget of watched.values()) forget()
    watched.clear()
    capture[Symbol.dispose]()
  }
}

function watch({ capture, watched }: Running, machine: Machine): void {
  watched.set(machine, machine.link.observe(capture.observer(machine.name)))
}

function statusOf({ spec, capture }: Running): CaptureStatus {
  const { machine, path }: CaptureSpec = spec
  const { frames, bytes, dropped } = capture
  return { ...(machine === undefined ? {} : { machine }), path, frames, bytes, dropped }
}
