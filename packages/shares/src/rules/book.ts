/**
 * Which shares a machine has, with the numbers that its guest knows them by: a file that outlives this process.
 *
 * A share keeps its number from when it is added until it is removed; the number is not given again. A slot stands for one life of its directory
 * (tree/numbers.ts); another directory at the same path gets another slot. Numbers and slots begin anew only with a guest that knows none.
 *
 * @module
 */
import { readFileSync, renameSync, writeFileSync } from "node:fs"
import { type ShareRule, SidecarError } from "@skep/contract"
import { errnoOf, parseShareRule } from "@skep/runtime"
import * as z from "zod"
import { NUMBER_MAX, SHARES_MAX, SLOT_MAX } from "../tree/numbers.ts"
import { type Directory, sameDirectory } from "./check.ts"

export interface Entry {
  readonly number: number
  readonly slot: number
  readonly rule: ShareRule
  /** The one that the slot stands for. */
  readonly directory: Directory
}

const VERSION = 1
const count = z.int().min(1)

const File = z.object({
  version: z.literal(VERSION),
  nextNumber: count,
  nextSlot: count,
  home: z.int().exactOptional(),
  shares: z.array(
    z.object({
      number: count.max(NUMBER_MAX),
      slot: count.max(SLOT_MAX),
      rule: z.unknown().transform((rule) => parseShareRule(rule)),
      directory: z.object({ device: z.number(), inode: z.string() }),
    }),
  ),
})

type Content = z.infer<typeof File>

const EMPTY: Content = { version: VERSION, nextNumber: 1, nextSlot: 1, shares: [] }

export class Book {
  readonly #path: string
  #content: Content

  private constructor(path: string, content: Content) {
    this.#path = path
    this.#content = content
  }

  /** Reads the file. One that is missing is empty; `onBroken` hears of one that cannot be read, which counts as empty. */
  static open(path: string, onBroken: (reason: string) => void): Book {
    let text: string
    try {
      text = readFileSync(path, "utf8")
    } catch (error) {
      if (errnoOf(error) === "ENOENT") return new Book(path, EMPTY)
      throw error
    }
    try {
      return new Book(path, File.parse(JSON.parse(text)))
    } catch (error) {
      onBroken(error instanceof Error ? error.message : String(error))
      return new Book(path, EMPTY)
    }
  }

  get entries(): readonly Entry[] {
    return this.#content.shares
  }

  /** The device whose files keep the numbers of the host. */
  get home(): number | undefined {
    return this.#content.home
  }

  at(target: string): Entry | undefined {
    return this.entries.find(({ rule }) => rule.target === target)
  }

  /** Adds a share, or puts another rule or another life in the place of the one at its target. Throws "busy" where there are too many. */
  put(rule: ShareRule, directory: Directory): Entry {
    const { nextNumber, nextSlot, shares, home } = this.#content
    const before = this.at(rule.target)
    const keepsLife =
      before !== undefined && before.rule.path === rule.path && sameDirectory(before.directory, directory)
    const number = before?.number ?? nextNumber
    const slot = keepsLife ? before.slot : nextSlot
    if (before === undefined && shares.length >= SHARES_MAX) throw full(rule, `there are ${SHARES_MAX}`)
    if (slot > SLOT_MAX || number > NUMBER_MAX) throw full(rule, "too many came and went since its start")
    const entry: Entry = { number, slot, rule, directory }
    this.#content = {
      version: VERSION,
      nextNumber: Math.max(nextNumber, number + 1),
      nextSlot: Math.max(nextSlot, slot + 1),
      home: home ?? directory.device,
      shares: [...shares.filter((share) => share.number !== number), entry],
    }
    return entry
  }

  remove(number: number): void {
    this.#content = {
      ...this.#content,
      shares: this.#content.shares.filter((share) => share.number !== number),
    }
  }

  /** A guest that knows no number has come: every share gets its next slot, from the first on where that is free. */
  renew(): void {
    const { shares } = this.#content
    const used = Math.max(0, ...shares.map(({ slot }) => slot))
    // What the guest before had is not to be met by the new one either, as long as it fits.
    const first = used + shares.length > SLOT_MAX ? 1 : used + 1
    const renewed = shares.map((share, index) => ({ ...share, slot: first + index }))
    this.#content = { ...this.#content, shares: renewed, nextSlot: first + renewed.length }
  }

  /** Makes the file say what this does now: for a successor of this process, whatever ends it. No guest outlives a crash of the host. */
  save(): void {
    const next = `${this.#path}.new`
    writeFileSync(next, `${JSON.stringify(this.#content, undefined, 2)}\n`, { mode: 0o600 })
    renameSync(next, this.#path)
  }
}

function full({ path }: ShareRule, reason: string): SidecarError {
  return new SidecarError(
    "busy",
    `Cannot share "${path}": the machine has no room for another share, ${reason}`,
    {
      next: "Remove a share that nobody needs, or start the machine again",
    },
  )
}
