/**
 * The events of one share: everything of this folder put together, in the loop thread.
 *
 * ```
 *  host's editors ─► inotify ─► Watcher ─► Changes ─► echoes ─► EchoQueue ─► (main thread) ─► the guest's agent
 *                                             │                                                     │
 *                                             └► onEvent, for people                                ▼
 *  guest's kernel ◄── events for containers      EchoLayer ◄── FUSE or NFS ◄── the same change, as group ECHO_GROUP + id
 *                                             swallows it
 * ```
 *
 * @module
 */
import type { Scope, Timer } from "@skep/loop"
import { type Attributes, type FileSystem, newAttributes } from "@skep/vfs"
import { type Change, Changes, type Spot } from "./change.ts"
import { Directories, type Directory } from "./directories.ts"
import { DirectoriesFile } from "./directories-file.ts"
import { DT_DIRECTORY, DT_FILE, type Echo, fileTypeOf, typeOf } from "./echo.ts"
import { EchoLayer } from "./echo-layer.ts"
import type { EchoQueue } from "./echo-queue.ts"
import { Knowledge } from "./knowledge.ts"
import { encode, placeKey, readable } from "./name.ts"
import { Watcher } from "./watcher.ts"

/** Half a rename waits so long for the other: the kernel queues them one right after the other. */
const HALF_MS = 1
/** A file that is not closed waits so long to be: a program that makes or opens a file mostly writes to it and closes it at once. */
const GATHER_MS = 2
const NAMES = 262_144
const DIRECTORIES = 131_072
const WATCHES = 32_768
/** Directories that are told to look again after events were lost. */
const RENEWED = 4096

export interface ShareEventsOptions {
  /** What serves the share; disposed with the layer. */
  readonly inner: FileSystem
  readonly scope: Scope
  /** The directory on the host. */
  readonly path: string
  /** The share's name below the guest's mount. */
  readonly name: string
  /** One for all shares of a machine. */
  readonly queue: EchoQueue
  /** Milliseconds since 1970. */
  readonly nowMs: number
  /** A file that keeps what a successor has to know to go on where this process ended. */
  readonly state?: string
  /** Hears of changes of the host, those that no guest is told of too. */
  readonly onEvent?: (event: FileEvent) => void
  /** Names that are remembered of the guest. */
  readonly names?: number
  readonly directories?: number
  /** inotify watches. */
  readonly watches?: number
  /** How long a file that was made or modified waits to be closed; 2 unless told. */
  readonly gatherMs?: number
}

/** A change of the host for people to see; paths are below the share's directory. */
export type FileEvent =
  | {
      readonly kind: Exclude<Change["kind"], "rename">
      readonly path: string
      readonly isDirectory: boolean
    }
  | { readonly kind: "rename"; readonly path: string; readonly to: string; readonly isDirectory: boolean }
  /** There were more than could be told. */
  | { readonly kind: "overflow" }

export type ShareEventCounters = Readonly<Record<string, number>>

export class ShareEvents {
  /** What serves the guest. */
  readonly fileSystem: FileSystem
  readonly #options: ShareEventsOptions
  readonly #directories: Directories
  readonly #knowledge: Knowledge
  readonly #watcher: Watcher
  readonly #changes: Changes
  readonly #timer: Timer
  readonly #gather: Timer
  #pushed = false
  #gathering = false
  readonly #scope: Scope
  readonly #scratch: Attributes = newAttributes()
  readonly #file: DirectoriesFile | undefined
  #told = 0
  #overflows = 0

  /** Throws the `SystemError` of what inotify refuses. */
  constructor(options: ShareEventsOptions) {
    const { inner, queue, name, path } = options
    this.#options = options
    this.#scope = options.scope.scope(`events of ${name}`)
    const directories = new Directories(
      inner.root,
      encode(Buffer.from(name)),
      options.directories ?? DIRECTORIES,
    )
    this.#directories = directories
    this.#knowledge = new Knowledge({
      inner,
      directories,
      names: options.names ?? NAMES,
      nowMs: options.nowMs,
      onDirectory: (directory) => this.#watcher.want(directory),
      onForgotten: (directory) => this.#watcher.drop(directory),
      onDispose: () => this.#scope[Symbol.dispose](),
    })
    const { view, own } = this.#knowledge
    this.#changes = new Changes({
      directories,
      view,
      own,
      onChange: (change) => this.#tell(change),
      onMoved: (directory) => this.#moved(directory),
    })
    try {
      this.#watcher = new Watcher({
        scope: this.#scope,
        path,
        directories,
        most: options.watches ?? WATCHES,
        onEvent: (directory, event) => this.#changes.take(directory, event),
        onOverflow: () => this.#lost(),
        onDrained: () => this.#drained(),
      })
    } catch (error) {
      this.#scope[Symbol.dispose]()
      throw error
    }
    this.#timer = this.#scope.timer(() => {
      this.#changes.flush()
      queue.pump()
    })
    this.#gather = this.#scope.timer(() => {
      this.#gathering = false
      queue.ripen()
    })
    this.#scope.onBatchEnd(() => {
      // What we did ourselves is in the queue by now, and forgotten when it was seen there.
      if (own.isDirty) this.#watcher.drain()
      this.#sendSoon()
      this.#file?.flush(directories.size, () => directories.all())
    })
    this.#file = options.state === undefined ? undefined : this.#goOn(options.state)
    this.fileSystem = new EchoLayer(inner, this.#knowledge, (id) => {
      const echo = queue.at(id)
      return echo?.owner === this ? echo : undefined
    })
  }

  get counters(): ShareEventCounters {
    return {
      ...this.#watcher.counters,
      knownDirectories: this.#directories.size,
      refusedDirectories: this.#directories.refused,
      knownNames: this.#knowledge.view.size,
      ghosts: this.#knowledge.swallow.ghosts.size,
      fileEvents: this.#told,
      ownEvents: this.#changes.suppressed,
      lostEvents: this.#overflows,
    }
  }

  /** Events were lost on their way to the guest: tells it to look again in the directories that it uses. */
  renew(): void {
    this.#options.onEvent?.({ kind: "overflow" })
    let count = 0
    for (const directory of this.#directories.all()) {
      if (!directory.entered || count >= RENEWED) continue
      const words = this.#directories.path(directory)
      if (words === undefined) continue
      count++
      this.#push({
        kind: "attributes",
        owner: this,
        at: { parent: directory.parent?.node ?? directory.node, name: directory.name },
        type: DT_DIRECTORY,
        node: directory.node,
        words: `attributes ${words}`,
        key: `renew ${this.#directories.root.path} ${directory.node}`,
      })
    }
  }

  /** Takes up what the guest knew of a predecessor's. */
  #goOn(path: string): DirectoriesFile {
    const { inner } = this.#options
    const file = new DirectoriesFile(path)
    this.#scope.onDispose(() => file.close())
    this.#directories.onPlaced = (directory) => file.add(directory)
    for (const { node, parent, name } of file.read()) {
      const result = inner.getAttributes(node, -1, this.#knowledge.viewer, this.#scratch)
      if (result < 0 || typeOf(this.#scratch.mode) !== DT_DIRECTORY || this.#scratch.links === 0) continue
      const directory = this.#directories.learn(node, parent, name)
      if (directory === undefined) continue
      directory.entered = true
      this.#watcher.want(directory)
    }
    return file
  }

  #lost(): void {
    this.#overflows++
    this.renew()
  }

  #drained(): void {
    this.#knowledge.own.seen()
    if (this.#changes.waiting) this.#timer.after(HALF_MS)
  }

  #moved(directory: Directory): void {
    // Its watch knows the directory, not the path: it goes on where it still has one.
    if (directory.lost) this.#watcher.drop(directory)
  }

  #tell(change: Change): void {
    const path = this.#pathOf(change.at)
    const to = change.kind === "rename" ? this.#pathOf(change.to) : undefined
    if (path === undefined) return
    this.#told++
    this.#publish(change, path, to)
    if (change.kind !== "rename") this.#repeat(change, path)
    else if (to !== undefined) this.#repeatRename(change, path, to)
  }

  #publish(change: Change, path: string, to: string | undefined): void {
    const { onEvent } = this.#options
    if (onEvent === undefined) return
    const { isDirectory } = change
    if (change.kind !== "rename") onEvent({ kind: change.kind, path: this.#below(path), isDirectory })
    else if (to !== undefined)
      onEvent({ kind: "rename", path: this.#below(path), to: this.#below(to), isDirectory })
  }

  #repeat(change: Exclude<Change, { kind: "rename" }>, path: string): void {
    const { kind, at } = change
    const key = this.#keyOf(at)
    const known = this.#knowledge.view.nodeOf(at.directory.node, at.name)
    const shape = { kind, owner: this, at: { parent: at.directory.node, name: at.name }, node: known }
    switch (kind) {
      case "make":
      case "remove": {
        const type = kind === "make" ? this.#typeOf(change) : change.isDirectory ? DT_DIRECTORY : DT_FILE
        const word = kind === "make" ? fileTypeOf(type) : change.isDirectory ? "directory" : "file"
        this.#fence(key)
        const words = `${kind} ${word} ${path}`
        const isFile = kind === "make" && type === DT_FILE
        const filling = isFile ? { key: `content ${key}`, filled: `create ${path}`, unfinished: true } : {}
        this.#push({ ...shape, ...filling, type, words })
        return
      }
      case "modify":
      case "write":
        this.#push({
          ...shape,
          type: DT_FILE,
          words: `${kind} ${path}`,
          key: `content ${key}`,
          unfinished: kind === "modify",
        })
        return
      case "attributes":
        this.#push({ ...shape, type: DT_FILE, words: `attributes ${path}`, key: `attributes ${key}` })
        return
    }
  }

  #repeatRename(change: Extract<Change, { kind: "rename" }>, path: string, to: string): void {
    this.#fence(this.#keyOf(change.at))
    this.#fence(this.#keyOf(change.to))
    this.#push({
      kind: "rename",
      owner: this,
      at: { parent: change.at.directory.node, name: change.at.name },
      to: { parent: change.to.directory.node, name: change.to.name },
      type: this.#typeOf({ isDirectory: change.isDirectory, at: change.to }),
      node: 0,
      words: `rename ${path} ${to}`,
    })
  }

  /** What it is now, on the host; where it is gone already, what inotify says of it. */
  #typeOf({ isDirectory, at }: Pick<Change, "isDirectory" | "at">): number {
    if (isDirectory) return DT_DIRECTORY
    const { inner } = this.#options
    const node = inner.lookup(at.directory.node, at.name, this.#knowledge.viewer, this.#scratch)
    if (node < 0) return DT_FILE
    inner.forget(node, 1)
    const type = typeOf(this.#scratch.mode)
    return type === DT_DIRECTORY ? DT_FILE : type
  }

  #sendSoon(): void {
    if (!this.#pushed) return
    this.#pushed = false
    const { queue, gatherMs = GATHER_MS } = this.#options
    if (gatherMs === 0) queue.ripen()
    else queue.pump()
    if (!queue.isUnripe || this.#gathering) return
    this.#gathering = true
    this.#gather.after(gatherMs)
  }

  #push(echo: Echo): void {
    this.#pushed = true
    this.#options.queue.push(echo)
  }

  #fence(key: string): void {
    this.#options.queue.fence(`content ${key}`)
    this.#options.queue.fence(`attributes ${key}`)
  }

  #keyOf(at: Spot): string {
    return `${this.#directories.root.path} ${placeKey(at.directory.node, at.name)}`
  }

  #pathOf(at: Spot): string | undefined {
    const path = this.#directories.path(at.directory)
    return path === undefined ? undefined : `${path}/${encode(at.name)}`
  }

  #below(path: string): string {
    return readable(path.slice(this.#directories.root.path.length + 1))
  }
}
