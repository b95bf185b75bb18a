/**
 * Open files behind a protocol that knows none: READ and WRITE name a file, not a handle of it, so what was opened stays open for a moment.
 *
 * One entry a file, with a handle that reads and one that writes, often the same. Those that nobody uses are closed after seconds, so that a file
 * without names does not keep its space for long.
 *
 * @module
 */
import type { Scope, Timer } from "@skep/loop"
import * as sys from "@skep/loop/sys"
import type { Caller, FileSystem, Handle, NodeId } from "@skep/vfs"

const IDLE_MS = 2000

/** A file that is in use until `leave`. */
export class OpenFile {
  readonly node: NodeId
  reader: Handle = -1
  writer: Handle = -1
  users = 0
  usedAt = 0
  /** Whether it was used again since it was last looked at for one to close. */
  again = false
  /** Closed when the last user leaves, and no longer found. */
  retired = false
  /** Changes of its data that were begun: who finds another number afterwards was not alone. */
  changes = 0

  constructor(node: NodeId) {
    this.node = node
  }
}

export class OpenFiles {
  readonly #fileSystem: FileSystem
  readonly #capacity: number
  readonly #scope: Scope
  readonly #files = new Map<NodeId, OpenFile>()
  readonly #timer: Timer
  /** Whether what `#open` opened last to write also reads. */
  #writersRead = false

  constructor(fileSystem: FileSystem, capacity: number, scope: Scope) {
    this.#fileSystem = fileSystem
    this.#capacity = capacity
    this.#scope = scope
    this.#timer = scope.timer(() => this.#sweep())
  }

  get count(): number {
    return this.#files.size
  }

  /** What is open of the file, without use of it; undefined where nothing is. */
  peek(node: NodeId): OpenFile | undefined {
    return this.#files.get(node)
  }

  /** The file, opened to read or to write, in use by the caller; or `-errno`. */
  enter(node: NodeId, write: boolean, caller: Caller): OpenFile | number {
    let file = this.#files.get(node)
    if (file === undefined || (write ? file.writer : file.reader) < 0) {
      const handle = this.#open(node, write, caller)
      if (handle < 0) return handle
      file ??= this.#add(node)
      if (write) file.writer = handle
      if (file.reader < 0 && (!write || this.#writersRead)) file.reader = handle
    }
    file.users++
    file.usedAt = this.#scope.loop.now
    file.again = true
    return file
  }

  /** Keeps a handle for reading and writing that came with the making of a file. */
  keep(node: NodeId, handle: Handle): void {
    const file = this.#files.get(node)
    if (file !== undefined) {
      this.#fileSystem.release(handle)
      return
    }
    const made = this.#add(node)
    made.reader = handle
    made.writer = handle
    made.usedAt = this.#scope.loop.now
  }

  leave(file: OpenFile): void {
    file.users--
    if (file.retired && file.users === 0) this.#close(file)
  }

  /** Closes a file as soon as nobody uses it. */
  retire(node: NodeId): void {
    const file = this.#files.get(node)
    if (file !== undefined) this.#retire(file)
  }

  clear(): void {
    this.#timer.cancel()
    for (const file of this.#files.values()) this.#retire(file)
  }

  #open(node: NodeId, write: boolean, caller: Caller): number {
    if (!write) return this.#fileSystem.open(node, sys.O_RDONLY, caller)
    const both = this.#fileSystem.open(node, sys.O_RDWR, caller)
    this.#writersRead = both >= 0
    // The host may let us write what it does not let us read.
    return both === -sys.EACCES ? this.#fileSystem.open(node, sys.O_WRONLY, caller) : both
  }

  #add(node: NodeId): OpenFile {
    if (this.#files.size >= this.#capacity) this.#evict()
    if (this.#files.size === 0) this.#timer.after(IDLE_MS)
    const file = new OpenFile(node)
    this.#files.set(node, file)
    return file
  }

  /**
   * The oldest that was not used again since its last turn; the others have another one. Where all are in use there are more for a while.
   */
  #evict(): void {
    let left = 2 * this.#files.size
    for (const [node, file] of this.#files) {
      if (left-- === 0) return
      if (file.users === 0 && !file.again) {
        this.#retire(file)
        return
      }
      file.again = false
      this.#files.delete(node)
      this.#files.set(node, file)
    }
  }

  #sweep(): void {
    const before = this.#scope.loop.now - IDLE_MS
    for (const file of this.#files.values()) if (file.users === 0 && file.usedAt <= before) this.#retire(file)
    if (this.#files.size > 0) this.#timer.after(IDLE_MS)
  }

  #retire(file: OpenFile): void {
    this.#files.delete(file.node)
    file.retired = true
    if (file.users === 0) this.#close(file)
  }

  #close(file: OpenFile): void {
    const { reader, writer } = file
    if (reader >= 0) this.#fileSystem.release(reader)
    if (writer >= 0 && writer !== reader) this.#fileSystem.release(writer)
    file.reader = -1
    file.writer = -1
  }
}
