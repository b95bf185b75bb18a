/**
 * The lease file: written whole or not at all, and shared with whoever else prunes it. See lease-file.md.
 *
 * @module
 */
import { readFile, rename, stat } from "node:fs/promises"
import type { Log } from "@skep/contract"
import { describeFileError, errnoOf, waitForLock, writeFileWhole } from "@skep/runtime"
import type { Lease } from "./lease.ts"
import { EMPTY, idOf, type LeaseText, parseLeases, printLeases } from "./lease-text.ts"

export interface LeaseFileOptions {
  readonly path: string
  /** "192.168.64.0/24", told to whoever reads the file. */
  readonly network: string
  readonly log: Log
}

/** What somebody else did to the file since it was read or written here. A lease that was changed is in both. */
export interface Edits {
  readonly removed: readonly Lease[]
  readonly added: readonly Lease[]
}

const LOCK_DEADLINE_MS = 5000
/** The lock's deadline ends every wait. */
const NEVER = new AbortController().signal
const NO_EDITS: Edits = { removed: [], added: [] }
const NOTHING = "nothing"

/** The network that the leases of a file are of; undefined where there is no file that says so. */
export async function networkOfLeases(path: string): Promise<string | undefined> {
  try {
    const text = parseLeases(await readFile(path, "utf8"))
    return typeof text === "string" ? undefined : text.network
  } catch {
    return undefined // whoever opens it says what is wrong with it
  }
}

/** One at a time: neither call may be made while another is under way. */
export class LeaseFile {
  readonly path: string
  readonly #network: string
  readonly #log: Log
  #text: LeaseText = EMPTY
  /** Which file it was that `#text` was read from or written to. */
  #seen: string = NOTHING

  constructor({ path, network, log }: LeaseFileOptions) {
    this.path = path
    this.#network = network
    this.#log = log
  }

  /**
   * The leases of the file; none where there is no file. What cannot be read as a lease file is set aside as `PATH.corrupt`, and said in the log.
   * Throws "permission-denied" and the like where the system refuses.
   */
  async open(): Promise<readonly Lease[]> {
    await this.#read()
    return this.#text.leases
  }

  /**
   * Writes these leases, but for those that somebody else removed from the file and that are as they were when it was written last; and those
   * that somebody added. Returns what that was, so that it can be done to the server's leases too. Throws "busy" where another process has the
   * lock for too long, "disk-full" and the like: the old file is still there then.
   */
  async save(leases: readonly Lease[], signal: AbortSignal = NEVER): Promise<Edits> {
    using _lock = await waitForLock(`${this.path}.lock`, LOCK_DEADLINE_MS, signal)
    const edits = await this.#edits(leases)
    const removed = new Set(edits.removed.map(idOf))
    const ids = new Set(leases.map(idOf))
    const kept = leases.filter((lease) => !removed.has(idOf(lease)))
    const added = edits.added.filter((lease) => removed.has(idOf(lease)) || !ids.has(idOf(lease)))
    const text = { ...this.#text, leases: [...kept, ...added] }
    await writeFileWhole(this.path, printLeases(text, this.#network))
    this.#text = { ...text, moreOf: onlyOf(text) }
    this.#seen = await this.#stat()
    return { removed: edits.removed, added }
  }

  async #edits(leases: readonly Lease[]): Promise<Edits> {
    if ((await this.#stat()) === this.#seen) return NO_EDITS
    const before = new Map(this.#text.leases.map((lease) => [idOf(lease), lease]))
    // Without the file everybody would lose his address to the next who comes: that is no way to say that nobody has one.
    if (!(await this.#read())) return NO_EDITS
    const after = new Map(this.#text.leases.map((lease) => [idOf(lease), lease]))
    const ours = new Map(leases.map((lease) => [idOf(lease), lease]))
    const unchanged = (lease: Lease): boolean => ours.get(idOf(lease))?.renewed === lease.renewed
    const differs = (lease: Lease): boolean => before.get(idOf(lease))?.expires !== lease.expires
    return {
      removed: [...before.values()].filter((lease) => {
        const theirs = after.get(idOf(lease))
        return (theirs === undefined || differs(theirs)) && unchanged(lease)
      }),
      added: [...after.values()].filter((lease) => {
        const former = before.get(idOf(lease))
        return differs(lease) && (former === undefined ? !ours.has(idOf(lease)) : unchanged(former))
      }),
    }
  }

  /** False where there was nothing to be read. */
  async #read(): Promise<boolean> {
    // Asked before: a file that changes while it is read is read again the next time.
    this.#seen = await this.#stat()
    const content = await this.#content()
    if (content === undefined) return false
    const text = parseLeases(content)
    if (typeof text === "string") {
      const aside = `${this.path}.corrupt`
      await rename(this.path, aside)
      this.#log.info("lease file set aside", { path: this.path, aside, reason: text })
      return false
    }
    if (text.strange.length > 0) {
      this.#log.info("lease file has entries that are no leases", {
        path: this.path,
        count: text.strange.length,
      })
    }
    this.#text = text
    return true
  }

  async #content(): Promise<string | undefined> {
    try {
      return await readFile(this.path, "utf8")
    } catch (error) {
      if (errnoOf(error) === "ENOENT") return undefined
      throw describeFileError("read", this.path, error)
    }
  }

  async #stat(): Promise<string> {
    try {
      const { ino, mtimeNs, size } = await stat(this.path, { bigint: true })
      return `${ino} ${mtimeNs} ${size}`
    } catch (error) {
      if (errnoOf(error) === "ENOENT") return NOTHING
      throw describeFileError("read", this.path, error)
    }
  }
}

/** Fields that others wrote to leases which are not there any more go with them. */
function onlyOf({ leases, moreOf }: LeaseText): LeaseText["moreOf"] {
  const ids = new Set(leases.map(idOf))
  return new Map([...moreOf].filter(([id]) => ids.has(id)))
}
