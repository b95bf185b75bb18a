/**
 * The lease file: written whole or not at all, and shared with whoever else prunes it. See lease-file.md.
 *
 * @module
 */
import { readFile, rename, stat } from "node:fs/promises"
import { type Log, SidecarError } from "@skep/contract"
import { errnoOf, tryLock, waitForLock, writeFileWhole } from "@skep/runtime"
import { refusedPath } from "../refused-path.ts"
import type { Lease } from "./lease.ts"
import { EMPTY, idOf, isOfOthers, type LeaseText, parseLeases, printLeases } from "./lease-text.ts"
import { type Remembered, sameKept } from "./remembered.ts"

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
  /** What is remembered beside them, where somebody changed that. */
  readonly remembered?: Remembered
}

const LOCK_DEADLINE_MS = 5000
/** The lock's deadline ends every wait. */
const NEVER = new AbortController().signal
const NO_EDITS: Edits = { removed: [], added: [] }
const NOTHING = "nothing"
const CHOOSE = "Choose another file for the leases, one that this user can write"

/** The network that the leases of a file are of; undefined where there is no file that says so. */
export async function networkOfLeases(path: string): Promise<string | undefined> {
  try {
    if (!(await stat(path)).isFile()) return undefined
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
   * The leases of the file; none where there is no file. What is left of a lease file that cannot be read is set aside as `PATH.corrupt`, and said in
   * the log. Throws "exists" where a file of others is there, "bad-options" where there can be none, "permission-denied" where it cannot be read, or not
   * be written. A full disk is no reason: leases are kept in memory then.
   */
  async open(): Promise<readonly Lease[]> {
    this.#probe()
    await this.#read(true)
    return this.#text.leases
  }

  /** What the file says beside the leases, as it was read or written last. */
  get remembered(): Remembered {
    return this.#text.remembered
  }

  /**
   * Writes these leases, but for those that somebody else removed from the file and that are as they were when it was written last; and those
   * that somebody added. Returns what that was, so that it can be done to the server's leases too. Throws "busy" where another process has the
   * lock for too long, "disk-full" and the like: the old file is still there then. `remembered` stays as it is in the file unless told.
   */
  async save(leases: readonly Lease[], signal: AbortSignal = NEVER, remembered?: Remembered): Promise<Edits> {
    using _lock = await waitForLock(`${this.path}.lock`, LOCK_DEADLINE_MS, signal)
    const edits = await this.#edits(leases)
    const removed = new Set(edits.removed.map(idOf))
    const ids = new Set(leases.map(idOf))
    const kept = leases.filter((lease) => !removed.has(idOf(lease)))
    const added = edits.added.filter((lease) => removed.has(idOf(lease)) || !ids.has(idOf(lease)))
    const beside = edits.remembered ?? remembered ?? this.#text.remembered
    const text = { ...this.#text, leases: [...kept, ...added], remembered: beside }
    await this.#write(printLeases(text, this.#network))
    this.#text = { ...text, moreOf: onlyOf(text) }
    this.#seen = await this.#stat()
    return { ...edits, added }
  }

  async #edits(leases: readonly Lease[]): Promise<Edits> {
    if ((await this.#stat()) === this.#seen) return NO_EDITS
    const { remembered } = this.#text
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
      ...(same(remembered, this.#text.remembered) ? {} : { remembered: this.#text.remembered }),
    }
  }

  /** Makes the lock beside the file, as each write does. That another process has it now is as good. */
  #probe(): void {
    try {
      tryLock(`${this.path}.lock`)?.[Symbol.dispose]()
    } catch (error) {
      const refused = refusedPath("keep leases in", this.path, error, CHOOSE)
      if (!(refused instanceof SidecarError) || refused.code !== "disk-full") throw refused
      this.#log.info("lease file cannot be written", { path: this.path, reason: refused.message })
    }
  }

  /** False where there was nothing to be read. `first` is when the file may be anybody's. */
  async #read(first = false): Promise<boolean> {
    // Asked before: a file that changes while it is read is read again the next time.
    this.#seen = await this.#stat()
    const content = await this.#content()
    if (content === undefined) return false
    const text = parseLeases(content)
    if (typeof text === "string") {
      if (first && isOfOthers(content))
        throw this.#refused(
          "exists",
          `it is no lease file: ${text}`,
          "Move it away, or choose another file for the leases",
        )
      const aside = `${this.path}.corrupt`
      try {
        await rename(this.path, aside)
      } catch (error) {
        throw refusedPath("set aside", this.path, error, CHOOSE)
      }
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
      throw refusedPath("read leases from", this.path, error, CHOOSE)
    }
  }

  async #write(content: string): Promise<void> {
    try {
      await writeFileWhole(this.path, content)
    } catch (error) {
      throw refusedPath("write leases to", this.path, error, CHOOSE)
    }
  }

  #refused(code: "bad-options" | "exists", reason: string, next: string): SidecarError {
    return new SidecarError(code, `Cannot keep leases in "${this.path}": ${reason}`, { next })
  }

  async #stat(): Promise<string> {
    try {
      const found = await stat(this.path, { bigint: true })
      if (!found.isFile()) throw this.#refused("bad-options", "it is a directory, a device or a pipe", CHOOSE)
      const { ino, mtimeNs, size } = found
      return `${ino} ${mtimeNs} ${size}`
    } catch (error) {
      if (errnoOf(error) === "ENOENT") return NOTHING
      if (error instanceof SidecarError) throw error
      throw refusedPath("read leases from", this.path, error, CHOOSE)
    }
  }
}

function same(one: Remembered, other: Remembered): boolean {
  return sameKept(one.reservations, other.reservations) && sameKept(one.former, other.former)
}

/** Fields that others wrote to leases which are not there any more go with them. */
function onlyOf({ leases, moreOf }: LeaseText): LeaseText["moreOf"] {
  const ids = new Set(leases.map(idOf))
  return new Map([...moreOf].filter(([id]) => ids.has(id)))
}
