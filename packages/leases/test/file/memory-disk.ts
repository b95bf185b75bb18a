/**
 * A disk in memory that can be stopped at each of its steps, and on which somebody else can write between them.
 *
 * @module
 */
import { createHash } from "node:crypto"
import { dirname } from "node:path"
import type { Content, Disk, Print } from "../../src/file/disk.ts"

/** The process is gone: nothing more of it happens, not even what it would do at its end. */
export class Killed extends Error {}

interface Inode {
  bytes: Uint8Array
  readonly number: number
  time: number
  readonly uid: number
  readonly mode: number
}

export class MemoryDisk implements Disk {
  readonly files = new Map<string, Inode>()
  /** Before each step, with how many there were. Throwing `Killed` ends everything. */
  onStep: (step: number, name: string) => void = () => undefined
  canExchange = true
  steps = 0
  #made = 0
  #clock = 0
  #isKilled = false

  /** As another program replaces it. */
  put(path: string, bytes: Uint8Array): void {
    this.files.set(path, { bytes, number: ++this.#made, time: ++this.#clock, uid: 0, mode: 0o100644 })
  }

  content(path: string): Uint8Array | undefined {
    return this.files.get(path)?.bytes
  }

  /** The process is started anew. */
  revive(): void {
    this.#isKilled = false
    this.onStep = () => undefined
  }

  #step(name: string): void {
    if (this.#isKilled) throw new Killed()
    try {
      this.onStep(++this.steps, name)
    } catch (error) {
      this.#isKilled = error instanceof Killed
      throw error
    }
  }

  #at(path: string): Inode {
    const found = this.files.get(path)
    if (found === undefined) throw Object.assign(new Error(`ENOENT: ${path}`), { code: "ENOENT" })
    return found
  }

  resolve(path: string): string {
    this.#step("resolve")
    this.#at(path)
    return path
  }

  read(path: string): Content {
    this.#step("read")
    const { bytes, number, time, uid, mode } = this.#at(path)
    return {
      bytes: Uint8Array.from(bytes),
      facts: { uid, gid: 0, mode, isFile: true, state: `${number} ${bytes.length} ${time}` },
    }
  }

  print(path: string): Print {
    const { bytes, facts } = this.read(path)
    return { facts, hash: createHash("sha256").update(bytes).digest("hex") }
  }

  names(directory: string): readonly string[] {
    this.#step("names")
    return [...this.files.keys()]
      .filter((path) => dirname(path) === directory)
      .map((path) => path.slice(directory.length + 1))
  }

  create(path: string, bytes: Uint8Array): void {
    this.#step("create")
    if (this.files.has(path)) throw Object.assign(new Error(`EEXIST: ${path}`), { code: "EEXIST" })
    this.put(path, bytes.subarray(0, bytes.length / 2))
    this.#step("write")
    this.put(path, bytes)
    this.#step("fsync")
  }

  exchange(one: string, other: string): boolean {
    this.#step("exchange")
    if (!this.canExchange) return false
    const [first, second] = [this.#at(one), this.#at(other)]
    this.files.set(one, second).set(other, first)
    return true
  }

  rename(from: string, to: string): void {
    this.#step("rename")
    this.files.set(to, this.#at(from))
    this.files.delete(from)
  }

  remove(path: string): void {
    this.#step("remove")
    this.files.delete(path)
  }

  syncDirectory(): void {
    this.#step("sync")
  }

  checkFlags(): void {
    this.#step("flags")
  }

  async lock(): Promise<Disposable> {
    this.#step("lock")
    return { [Symbol.dispose]: () => undefined }
  }
}
