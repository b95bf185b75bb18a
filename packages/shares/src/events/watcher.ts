/**
 * inotify over the directories that the guest knows, on the loop.
 *
 * A directory is reached by its names from the share's root on, one descriptor after the other and no link followed, and watched by descriptor: what
 * others do to the tree meanwhile cannot make us watch something outside the share. Watches are added after the batch that asked for them, and the
 * least used are given up when there are too many: the user's other programs need some of the system's.
 *
 * @module
 */
import type { Registration, Scope } from "@skep/loop"
import * as sys from "@skep/loop/sys"
import type { Directories, Directory } from "./directories.ts"
import { EVENT_MAX, type InotifyEvent, parseEvents } from "./inotify-event.ts"

/** Some 500 events, 5 to 10 ms of work. */
const READ_BYTES = 16 * 1024
/** Handed over in a turn of the loop, so that the guest's requests have theirs. */
const TURN_BYTES: number = 2 * READ_BYTES
/** Kept at a time: half a million events, where the kernel keeps 16,384. */
const KEPT_BYTES: number = 16 * 1024 * 1024
/** Directories watched in one batch of the loop: 15 µs each. */
const BATCH = 128
const MASK: number =
  sys.IN_MODIFY |
  sys.IN_ATTRIB |
  sys.IN_CLOSE_WRITE |
  sys.IN_MOVED_FROM |
  sys.IN_MOVED_TO |
  sys.IN_CREATE |
  sys.IN_DELETE |
  sys.IN_ONLYDIR |
  sys.IN_EXCL_UNLINK

export interface WatcherOptions {
  readonly scope: Scope
  /** The share's directory on the host. */
  readonly path: string
  readonly directories: Directories
  /** Watches at one time. */
  readonly most: number
  readonly onEvent: (directory: Directory, event: InotifyEvent) => void
  /** Events were lost: the kernel's queue was full. */
  readonly onOverflow: () => void
  /** All events so far were handed over. */
  readonly onDrained: () => void
}

export interface WatchCounters {
  readonly watches: number
  /** Directories given up for others. */
  readonly evictedWatches: number
  /** Directories that could not be watched: gone by then, or the system has no more watches. */
  readonly failedWatches: number
}

export class Watcher {
  readonly #options: WatcherOptions
  readonly #instance: number
  readonly #root: number
  readonly #registration: Registration
  /** In the order in which they will be asked whether they are still used. */
  readonly #watched = new Map<number, Directory>()
  readonly #wanted = new Set<Directory>()
  readonly #buffer = new Uint8Array(READ_BYTES)
  readonly #address: number
  /** Read and not handed over: the kernel's queue is short, and programs of the host are faster than what is done for their events. */
  #kept: Uint8Array[] = []
  #keptBytes = 0
  #draining = false
  #most: number
  #deferred = false
  #evicted = 0
  #failed = 0

  /** Throws the `SystemError` of what the system refuses: "EMFILE" where the user has too many instances. */
  constructor(options: WatcherOptions) {
    this.#options = options
    this.#most = options.most
    this.#address = sys.addressOf(this.#buffer.buffer)
    this.#root = sys.check(sys.open(options.path, sys.O_PATH | sys.O_DIRECTORY), "open")
    options.scope.onDispose(() => sys.close(this.#root))
    this.#instance = sys.check(sys.inotifyCreate(), "inotify_init1")
    this.#registration = options.scope.adopt(this.#instance, sys.EPOLLIN, () => this.drain())
    this.want(options.directories.root)
  }

  get counters(): WatchCounters {
    return { watches: this.#watched.size, evictedWatches: this.#evicted, failedWatches: this.#failed }
  }

  /** Has it watched from the end of this batch on. */
  want(directory: Directory): void {
    if (directory.watch >= 0) return
    this.#wanted.add(directory)
    if (this.#deferred) return
    this.#deferred = true
    this.#options.scope.defer(() => this.#addWanted())
  }

  drop(directory: Directory): void {
    this.#wanted.delete(directory)
    if (directory.watch < 0) return
    if (this.#watched.get(directory.watch) === directory) {
      this.#watched.delete(directory.watch)
      sys.inotifyRemove(this.#instance, directory.watch)
    }
    directory.watch = -1
  }

  /** Hands over what happened so far: all of it, or where it is much, a part in this turn of the loop and more in the next ones. */
  drain(): void {
    const isEmptied = this.#read()
    for (let turn = 0; turn < TURN_BYTES; ) {
      const next = this.#kept.shift()
      if (next === undefined) break
      this.#keptBytes -= next.length
      turn += next.length
      parseEvents(next, (event) => this.#take(event))
    }
    if (isEmptied && this.#kept.length === 0) {
      this.#options.onDrained()
      return
    }
    if (this.#draining) return
    this.#draining = true
    this.#options.scope.defer(() => {
      this.#draining = false
      this.drain()
    })
  }

  /** Empties the kernel's queue. Returns false where there was no room for all. */
  #read(): boolean {
    while (this.#registration.active) {
      if (this.#keptBytes >= KEPT_BYTES) return false
      const bytes = sys.read(this.#instance, this.#address, READ_BYTES)
      if (bytes <= 0) return true
      this.#kept.push(this.#buffer.slice(0, bytes))
      this.#keptBytes += bytes
      // The kernel stops where the queue is empty, or where the next event has no room: asking again costs as much as the first time.
      if (bytes <= READ_BYTES - EVENT_MAX) return true
    }
    return true
  }

  #take(event: InotifyEvent): void {
    if ((event.mask & sys.IN_Q_OVERFLOW) !== 0) {
      this.#options.onOverflow()
      return
    }
    const directory = this.#watched.get(event.watch)
    if (directory === undefined) return
    if ((event.mask & sys.IN_IGNORED) !== 0) {
      this.#watched.delete(event.watch)
      directory.watch = -1
    } else if (event.name.length > 0) this.#options.onEvent(directory, event)
  }

  #addWanted(): void {
    this.#deferred = false
    let count = 0
    for (const directory of this.#wanted) {
      if (count++ >= BATCH) {
        this.#deferred = true
        this.#options.scope.defer(() => this.#addWanted())
        return
      }
      this.#wanted.delete(directory)
      this.#add(directory)
    }
  }

  #add(directory: Directory): void {
    if (directory.watch >= 0) return
    while (this.#watched.size >= this.#most && this.#evict());
    const fd = this.#walk(directory)
    if (fd < 0) {
      this.#failed++
      return
    }
    let watch = sys.inotifyAdd(this.#instance, fd, MASK)
    if (watch === -sys.ENOSPC && this.#evict()) {
      // The system's limit, which we share with others: this is how many we get.
      this.#most = this.#watched.size + 1
      watch = sys.inotifyAdd(this.#instance, fd, MASK)
    }
    sys.close(fd)
    if (watch < 0) {
      this.#failed++
      return
    }
    const former = this.#watched.get(watch)
    if (former !== undefined) former.watch = -1
    directory.watch = watch
    this.#watched.set(watch, directory)
  }

  /** Gives up the watch that was not used for longest, roughly: each gets a second chance. False where there is none to give. */
  #evict(): boolean {
    for (let chances = 2 * this.#watched.size; chances > 0; chances--) {
      const first = this.#watched.entries().next()
      if (first.done === true) return false
      const [watch, directory] = first.value
      if (directory.used || directory === this.#options.directories.root) {
        directory.used = false
        this.#watched.delete(watch)
        this.#watched.set(watch, directory)
        continue
      }
      this.drop(directory)
      this.#evicted++
      return true
    }
    return false
  }

  /** A descriptor of the directory, or `-errno`. */
  #walk(directory: Directory): number {
    const names = this.#options.directories.names(directory)
    if (names === undefined) return -sys.ENOENT
    let fd = sys.dup(this.#root)
    for (const name of names) {
      if (fd < 0) return fd
      const next = sys.openDirectoryAt(fd, terminated(name))
      sys.close(fd)
      fd = next
    }
    return fd
  }
}

function terminated(name: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(name.length + 1)
  bytes.set(name)
  return bytes
}
