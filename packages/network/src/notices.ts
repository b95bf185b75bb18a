/**
 * What the loop thread tells, and what the main thread does about it: files, names, the log, the events.
 *
 * @module
 */
import type { Context } from "@skep/contract"
import type { CaptureFiles } from "./capture-files.ts"
import type { LeaseStore } from "./dhcp/lease-store.ts"
import type { NameService } from "./names/name-service.ts"
import type { RefusalLine } from "./status.ts"
import type { NamedAddresses, Refused, ThreadNotice } from "./thread/calls.ts"
import type { Engine } from "./thread/engine.ts"

/** Lines that are kept for readers. */
const REFUSALS_KEPT = 256

export interface NoticesOptions {
  readonly log: Context["log"]
  readonly emit: Context["emit"]
  readonly leases: LeaseStore
  readonly names: NameService
  readonly captures: CaptureFiles
  /** The names that are reached changed. */
  readonly onNames: (names: readonly NamedAddresses[]) => void
  /** Milliseconds since the epoch. */
  readonly now: () => number
}

export class Notices {
  readonly #options: NoticesOptions
  readonly #refusals: RefusalLine[] = []
  #engine: Engine | undefined
  readonly #counts = { questions: 0, questionsFailed: 0 }

  constructor(options: NoticesOptions) {
    this.#options = options
  }

  /** To whom questions are answered; set once, before the first link. */
  answerTo(engine: Engine): void {
    this.#engine = engine
  }

  /** The latest, oldest first. */
  get refusals(): readonly RefusalLine[] {
    return this.#refusals
  }

  counts(): Readonly<Record<string, number>> {
    return { ...this.#counts }
  }

  hear(notice: ThreadNotice): void {
    const { log, emit, captures, onNames } = this.#options
    switch (notice.type) {
      case "dns-query":
        void this.#answer(notice)
        return
      case "leases":
        void this.#save(notice)
        emit({ type: "leases", count: notice.leases.length })
        return
      case "names":
        onNames(notice.names)
        emit({ type: "names", count: notice.names.length })
        return
      case "capture-bytes":
        captures.take(notice)
        return
      case "refused":
        this.#keep(notice)
        break
      case "machine-connected":
      case "machine-disconnected":
      case "machine-removed":
      case "link-broken":
      case "fault":
      case "forward-closed":
      case "capture-ended":
      case "lonely":
        break
    }
    log.info(notice.type, { ...notice })
    emit({ ...notice })
  }

  async #save({ leases, remembered, save }: ThreadNotice & { readonly type: "leases" }): Promise<void> {
    const written = await this.#options.leases.save(leases, remembered)
    try {
      await this.#engine?.call("leasesSaved", { save, written })
    } catch {
      // The thread is gone, and who waited with it.
    }
  }

  #keep({ machine, protocol, destination, port, reason, count }: Refused): void {
    if (this.#refusals.length >= REFUSALS_KEPT) this.#refusals.shift()
    this.#refusals.push({
      atMs: this.#options.now(),
      machine,
      protocol,
      destination,
      port,
      reason,
      count,
    })
  }

  async #answer({ id, machine, bytes }: ThreadNotice & { readonly type: "dns-query" }): Promise<void> {
    this.#counts.questions++
    let answer: Uint8Array | undefined
    try {
      answer = await this.#options.names.answer(bytes, { transport: "udp", machine })
    } catch (error) {
      this.#counts.questionsFailed++
      this.#options.log.info("cannot answer a question", { machine, reason: String(error) })
    }
    try {
      await this.#engine?.call("dnsAnswer", answer === undefined ? { id } : { id, bytes: answer })
    } catch {
      // The thread is gone, and who asked with it.
    }
  }
}
