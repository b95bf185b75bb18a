/**
 * The shares of a machine in the loop thread: which there are, each with its file system, as one tree.
 *
 * ```
 *  put, remove, renew ──► book (a file) ──► tree ──► share: hidden ◄ layers ◄ passthrough + journal of its life
 * ```
 *
 * Every change is in the file before it is in the tree, so that whoever comes after a SIGKILL has all numbers that a guest may know.
 *
 * @module
 */
import { readdirSync, rmSync } from "node:fs"
import { join } from "node:path"
import type { ShareRule } from "@skep/contract"
import type { FileSystem } from "@skep/vfs"
import { Book, type Entry } from "../rules/book.ts"
import { type Directory, directoryAt, sameDirectory } from "../rules/check.ts"
import { ShareTree } from "../tree/share-tree.ts"

/** Opens what serves a share; `journal` is where it may keep what it has to know after a SIGKILL. Throws where it cannot. */
export type OpenShare = (entry: Entry, journal: string) => FileSystem

export interface ServedOptions {
  readonly stateDirectory: string
  readonly open: OpenShare
  /** What was opened for the share with this number is over. */
  readonly onEnd?: (number: number) => void
  /** Milliseconds since the epoch. */
  readonly now: () => number
  readonly onNotice: (notice: ServedNotice) => void
}

export type ServedNotice =
  /** The directory is not there, or cannot be opened: all of it is stale until it is. */
  | { readonly type: "share-gone"; readonly target: string; readonly path: string; readonly reason: string }
  | { readonly type: "share-back"; readonly target: string; readonly path: string }
  | { readonly type: "state-lost"; readonly reason: string }

/** A share as it is here. */
export interface ServedShare {
  readonly number: number
  readonly rule: ShareRule
  /** Why it is not served; undefined where it is. */
  readonly gone?: string
}

/** Of a share whose directory was never seen. */
const NOWHERE: Directory = { device: 0, inode: "" }

const JOURNAL = /^life-(\d+)\.journal/

export class ServedShares implements Disposable {
  readonly tree: ShareTree
  readonly #options: ServedOptions
  readonly #book: Book
  /** By number: asked for each answer to the guest. */
  #rules: ReadonlyMap<number, ShareRule> = new Map()
  /** Why a share is not served, by number. */
  readonly #gone = new Map<number, string>()

  /** Takes up what the state directory has from before: of that and in place of it `rules`, where they are given. */
  constructor(options: ServedOptions, rules?: readonly ShareRule[]) {
    this.#options = options
    const lost = (reason: string): void => options.onNotice({ type: "state-lost", reason })
    this.#book = Book.open(join(options.stateDirectory, "shares.json"), lost)
    this.tree = new ShareTree({ now: options.now })
    this.tree.home = this.#book.home
    const wanted = rules ?? this.#book.entries.map(({ rule }) => rule)
    for (const { number, rule } of this.#book.entries)
      if (wanted.every(({ target }) => target !== rule.target)) this.#book.remove(number)
    const entries = wanted.map((rule) => {
      const directory = directoryAt(rule.path)
      const before = this.#book.at(rule.target)?.directory
      return { directory, entry: this.#book.put(rule, directory ?? before ?? NOWHERE) }
    })
    this.#save()
    for (const { entry, directory } of entries) this.#begin(entry, directory)
    this.#sweep()
  }

  get shares(): readonly ServedShare[] {
    return this.#book.entries.map(({ number, rule }) => {
      const gone = this.#gone.get(number)
      return { number, rule, ...(gone === undefined ? {} : { gone }) }
    })
  }

  ruleOf(number: number): ShareRule | undefined {
    return this.#rules.get(number)
  }

  /** Adds a share, or puts another rule in the place of the one at its target. Throws "busy", and what opening it throws; then nothing has changed. */
  put(rule: ShareRule, directory: Directory): ServedShare {
    const before = this.#book.at(rule.target)
    const entry = this.#book.put(rule, directory)
    this.#close(entry)
    try {
      this.tree.put({ ...entry, fileSystem: this.#open(entry) })
    } catch (error) {
      if (before === undefined) {
        this.#remove(entry.number)
        this.#book.remove(entry.number)
      } else this.#begin(this.#book.put(before.rule, before.directory), directoryAt(before.rule.path))
      this.#save()
      throw error
    }
    this.#save()
    this.#gone.delete(entry.number)
    this.#sweep()
    return { number: entry.number, rule }
  }

  /** Takes a share away: what the guest has of it is stale. Returns whether there was one. */
  remove(target: string): boolean {
    const entry = this.#book.at(target)
    if (entry === undefined) return false
    this.#book.remove(entry.number)
    this.#save()
    this.#remove(entry.number)
    this.#sweep()
    return true
  }

  /** Looks whether every directory is where it was. */
  look(): void {
    for (const entry of this.#book.entries) {
      const directory = directoryAt(entry.rule.path)
      const isGone = this.#gone.has(entry.number)
      if (directory === undefined) {
        if (!isGone) this.#end(entry, "the directory is gone")
        continue
      }
      const same = sameDirectory(directory, entry.directory)
      if (same && !isGone) continue
      const next = same ? entry : this.#book.put(entry.rule, directory)
      this.#save()
      if (this.#begin(next, directory) && isGone)
        this.#options.onNotice({ type: "share-back", target: entry.rule.target, path: entry.rule.path })
    }
    this.#sweep()
  }

  /** A guest that knows nothing has come: nothing that another one knew is kept for it. */
  renew(): void {
    this.#book.renew()
    this.#save()
    for (const entry of this.#book.entries) this.#begin(entry, directoryAt(entry.rule.path))
    this.#sweep()
  }

  [Symbol.dispose](): void {
    this.tree[Symbol.dispose]()
  }

  /** Serves an entry as far as that can be. Returns whether it is served. */
  #begin(entry: Entry, directory: Directory | undefined): boolean {
    this.#close(entry)
    if (directory === undefined) {
      this.#end(entry, "the directory is gone")
      return false
    }
    try {
      this.tree.put({ ...entry, fileSystem: this.#open(entry) })
      this.#gone.delete(entry.number)
      return true
    } catch (error) {
      this.#end(entry, error instanceof Error ? error.message : String(error))
      return false
    }
  }

  #end(entry: Entry, reason: string): void {
    const { number, rule } = entry
    this.#close(entry)
    if (this.#gone.get(number) === reason) return
    this.#gone.set(number, reason)
    this.#options.onNotice({ type: "share-gone", target: rule.target, path: rule.path, reason })
  }

  /** Nothing of it is open from now on: the journal is free for whoever comes next. */
  #close(entry: Entry): void {
    this.tree.put({ ...entry, fileSystem: undefined })
    this.#options.onEnd?.(entry.number)
  }

  #remove(number: number): void {
    this.tree.remove(number)
    this.#gone.delete(number)
    this.#options.onEnd?.(number)
  }

  #save(): void {
    this.#book.save()
    this.#rules = new Map(this.#book.entries.map(({ number, rule }) => [number, rule]))
  }

  #open(entry: Entry): FileSystem {
    return this.#options.open(entry, this.#journal(entry.life))
  }

  #journal(life: number): string {
    return join(this.#options.stateDirectory, `life-${life}.journal`)
  }

  /** Removes the journals of lives that are over. */
  #sweep(): void {
    const used = new Set(this.#book.entries.map(({ life }) => life))
    for (const name of readdirSync(this.#options.stateDirectory)) {
      const life = JOURNAL.exec(name)?.[1]
      if (life !== undefined && !used.has(Number(life)))
        rmSync(join(this.#options.stateDirectory, name), { force: true })
    }
  }
}
