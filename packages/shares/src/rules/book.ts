/**
 * Which shares a machine has, with the numbers that its guest knows them by: a file that outlives this process.
 *
 * A share keeps its number from when it is added until it is removed; the number is not given again. A life stands for one directory at its path
 * (tree/numbers.ts): another directory there is another life, and so is every share for a guest that has just booted.
 *
 * @module
 */
import { readFileSync, renameSync, writeFileSync } from "node:fs"
import { type ShareRule, SidecarError } from "@skep/contract"
import { errnoOf, parseShareRule } from "@skep/runtime"
import * as z from "zod"
import { NUMBER_MAX, placeOfLife, SHARES_MAX } from "../tree/numbers.ts"
import { type Directory, sameDirectory } from "./check.ts"

export interface Entry {
  readonly number: number
  readonly life: number
  readonly rule: ShareRule
  /** The one that the life stands for. */
  readonly directory: Directory
}

const VERSION = 1
const count = z.int().min(1)

const File = z.object({
  version: z.literal(VERSION),
  nextNumber: count,
  nextLife: count,
  home: z.int().exactOptional(),
  shares: z.array(
    z.object({
      number: count.max(NUMBER_MAX),
      life: count,
      rule: z.unknown().transform((rule) => parseShareRule(rule)),
      directory: z.object({ device: z.number(), inode: z.string() }),
    }),
  ),
})

type Content = z.infer<typeof File>

const EMPTY: Content = { version: VERSION, nextNumber: 1, nextLife: 1, shares: [] }

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
    const { nextNumber, nextLife, shares, home } = this.#content
    const before = this.at(rule.target)
    const lives =
      before !== undefined && before.rule.path === rule.path && sameDirectory(before.directory, directory)
    const number = before?.number ?? nextNumber
    const others = shares.filter((share) => share.number !== number)
    const life = lives ? before.life : freeLife(nextLife, others)
    if (before === undefined && shares.length >= SHARES_MAX) throw full(rule, `there are ${SHARES_MAX}`)
    if (number > NUMBER_MAX) throw full(rule, "too many came and went")
    const entry: Entry = { number, life, rule, directory }
    this.#content = {
      version: VERSION,
      nextNumber: Math.max(nextNumber, number + 1),
      nextLife: Math.max(nextLife, life + 1),
      home: home ?? directory.device,
      shares: [...others, entry].toSorted((left, right) => left.number - right.number),
    }
    return entry
  }

  remove(number: number): void {
    this.#content = {
      ...this.#content,
      shares: this.#content.shares.filter((share) => share.number !== number),
    }
  }

  /** A guest that knows no number has come: every share begins another life. */
  renew(): void {
    for (const { rule, directory, ...share } of this.entries) {
      const { nextLife, shares } = this.#content
      const others = shares.filter(({ number }) => number !== share.number)
      const life = freeLife(nextLife, others)
      const renewed = [...others, { number: share.number, life, rule, directory }]
      this.#content = {
        ...this.#content,
        nextLife: life + 1,
        shares: renewed.toSorted((left, right) => left.number - right.number),
      }
    }
  }

  /** Makes the file say what this does now: for a successor of this process, whatever ends it. No guest outlives a crash of the host. */
  save(): void {
    const next = `${this.#path}.new`
    writeFileSync(next, `${JSON.stringify(this.#content, undefined, 2)}\n`, { mode: 0o600 })
    renameSync(next, this.#path)
  }
}

/** The next life whose place none of these has. */
function freeLife(next: number, shares: readonly Pick<Entry, "life">[]): number {
  const taken = new Set(shares.map(({ life }) => placeOfLife(life)))
  let life = next
  while (taken.has(placeOfLife(life))) life++
  return life
}

function full({ path }: ShareRule, reason: string): SidecarError {
  return new SidecarError(
    "busy",
    `Cannot share "${path}": the machine has no room for another share, ${reason}`,
    {
      next: "Remove a share that nobody needs, or make the machine anew",
    },
  )
}
