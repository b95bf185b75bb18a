/**
 * What was learnt of files a moment ago: a listing tells the attributes of all its entries, and is followed by a question for each of them.
 *
 * @module
 */
import type { FileAttributes } from "./sftp.ts"

interface Entry {
  readonly attributes: FileAttributes
  readonly until: number
}

export interface CacheOptions {
  /** How long it may be told, as long as the kernel keeps it. */
  readonly ttlMs: number
  /** Beyond that many the oldest ones go. */
  readonly entries: number
  readonly now: () => number
}

export class AttributeCache {
  readonly #options: CacheOptions
  readonly #entries = new Map<string, Entry>()

  constructor(options: CacheOptions) {
    this.#options = options
  }

  get(path: string): FileAttributes | undefined {
    const entry = this.#entries.get(path)
    if (entry === undefined) return undefined
    if (entry.until > this.#options.now()) return entry.attributes
    this.#entries.delete(path)
    return undefined
  }

  set(path: string, attributes: FileAttributes): void {
    this.#entries.delete(path) // to be the youngest
    this.#entries.set(path, { attributes, until: this.#options.now() + this.#options.ttlMs })
    if (this.#entries.size <= this.#options.entries) return
    for (const oldest of this.#entries.keys()) {
      this.#entries.delete(oldest)
      break
    }
  }

  /** Of the file, and of the directory that names it. */
  forget(path: string): void {
    this.#entries.delete(path)
    const slash = path.lastIndexOf("/")
    this.#entries.delete(slash <= 0 ? "/" : path.slice(0, slash))
  }

  clear(): void {
    this.#entries.clear()
  }
}
