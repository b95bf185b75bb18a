/**
 * Writes leases to their file, one write at a time, the newest last.
 *
 * @module
 */
import type { Log } from "@skep/contract"
import type { Lease } from "./lease.ts"
import type { Edits, LeaseFile } from "./lease-file.ts"
import type { Remembered } from "./remembered.ts"

export interface LeaseKeeperOptions {
  /** Already opened. */
  readonly file: LeaseFile
  readonly log: Log
  /** What somebody else did to the file: for `DhcpServer.forget(removed)`, and then `restore(added)`. */
  readonly onEdits: (edits: Edits) => void
}

/** Disposing writes what is not written yet, and rejects where that fails. */
export class LeaseKeeper implements AsyncDisposable {
  readonly #options: LeaseKeeperOptions
  #newest: { readonly leases: readonly Lease[]; readonly remembered: Remembered | undefined } | undefined
  /** Who waits for the newest. */
  #waiting: ((written: boolean) => void)[] = []
  #writing: Promise<void> | undefined

  constructor(options: LeaseKeeperOptions) {
    this.#options = options
  }

  /**
   * Fulfils with whether they, or newer ones, are in the file; never rejects. Of several calls during one write only the last counts. What could
   * not be written is tried again with the next.
   */
  save(leases: readonly Lease[], remembered?: Remembered): Promise<boolean> {
    this.#newest = { leases, remembered }
    const written = new Promise<boolean>((resolve) => this.#waiting.push(resolve))
    this.#writing ??= this.#write().catch((error: unknown) => {
      this.#options.log.info("lease file not written", {
        path: this.#options.file.path,
        reason: error instanceof Error ? error.message : String(error),
      })
    })
    return written
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#writing
    if (this.#newest === undefined) return
    this.#writing = this.#write()
    await this.#writing
  }

  async #write(): Promise<void> {
    const { file, onEdits } = this.#options
    let waiting: ((written: boolean) => void)[] = []
    try {
      while (this.#newest !== undefined) {
        const newest = this.#newest
        waiting = this.#waiting
        this.#waiting = []
        const edits = await file.save(newest.leases, undefined, newest.remembered)
        if (this.#newest === newest) this.#newest = undefined
        for (const tell of waiting.splice(0)) tell(true)
        const { removed, added, remembered } = edits
        if (removed.length > 0 || added.length > 0 || remembered !== undefined) onEdits(edits)
      }
    } finally {
      for (const tell of [...waiting, ...this.#waiting.splice(0)]) tell(false)
      this.#writing = undefined
    }
  }
}
