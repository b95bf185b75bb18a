/**
 * The directories that the guest knows, for a successor of this process: who waits for events in one of them looks nothing up again.
 *
 * Lines of `NODE PARENT NAME`, the name encoded, each after that of its parent. Only added to while the process lives, in the order in which
 * directories are learnt; a successor takes what is still true and begins the file anew. Nothing of it is trusted: whatever is not a
 * directory that the file system knows by that number is left out.
 *
 * @module
 */
import { closeSync, openSync, readFileSync, writeSync } from "node:fs"
import type { Directory } from "./directories.ts"
import { decode, encode, isName } from "./name.ts"

const LINE = /^(\d{1,16}) (\d{1,16}) (\S{1,1024})$/
const PRIVATE = 0o600
/** Of what is written for nothing: beyond that the file is written anew. */
const SLACK = 4096

export interface KnownDirectory {
  readonly node: number
  readonly parent: number
  readonly name: Uint8Array
}

export class DirectoriesFile {
  readonly #path: string
  #fd = -1
  #lines = 0
  #text = ""

  constructor(path: string) {
    this.#path = path
  }

  /** What a predecessor knew. Nothing, where there was none. */
  read(): readonly KnownDirectory[] {
    let text: string
    try {
      text = readFileSync(this.#path, "latin1")
    } catch {
      // The first one, or what cannot be read: then events begin with what is looked up.
      return []
    }
    return text.split("\n").flatMap((line) => {
      const [, node, parent, word] = LINE.exec(line) ?? []
      const name = decode(word ?? "")
      if (name === undefined || !isName(name)) return []
      return [{ node: Number(node), parent: Number(parent), name }]
    })
  }

  /** Has a directory written with the next `flush`. */
  add(directory: Directory): void {
    if (directory.parent === undefined) return
    this.#text += `${directory.node} ${directory.parent.node} ${encode(directory.name)}\n`
    this.#lines++
  }

  /** Writes what was added, or all of what is there where that is shorter. A disk that takes nothing costs events after a restart, no more. */
  flush(count: number, all: () => Iterable<Directory>): void {
    if (this.#text === "") return
    try {
      if (this.#fd < 0 || this.#lines > 2 * count + SLACK) this.#begin(all())
      if (this.#text !== "") writeSync(this.#fd, this.#text)
    } catch {
      this.close()
    }
    this.#text = ""
  }

  close(): void {
    if (this.#fd >= 0) closeSync(this.#fd)
    this.#fd = -1
  }

  #begin(all: Iterable<Directory>): void {
    this.close()
    this.#fd = openSync(this.#path, "w", PRIVATE)
    this.#text = ""
    this.#lines = 0
    // In the order in which they were learnt, so parents are first but for those that were moved.
    for (const directory of all) if (!directory.lost) this.add(directory)
  }
}
