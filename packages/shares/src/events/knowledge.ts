/**
 * What is known of the guest: which names it believes in, which directories it has in its memory, what it changes itself.
 *
 * @module
 */
import { ENOENT } from "@skep/loop/sys"
import type { Attributes, Caller, FileSystem, Name, NodeId, Place } from "@skep/vfs"
import type { Directories, Directory } from "./directories.ts"
import { DT_DIRECTORY, typeOf } from "./echo.ts"
import { type Believed, GuestView } from "./guest-view.ts"
import { OwnChanges } from "./own-changes.ts"
import { Swallow } from "./swallow.ts"

const DOT = 0x2e

export interface KnowledgeOptions {
  readonly inner: FileSystem
  readonly directories: Directories
  /** Names that are remembered. */
  readonly names: number
  readonly nowMs: number
  /** A directory is to be watched. */
  readonly onDirectory: (directory: Directory) => void
  /** A directory need not be watched any more. */
  readonly onForgotten: (directory: Directory) => void
  readonly onDispose: () => void
}

export class Knowledge implements Disposable {
  readonly view: GuestView
  readonly own: OwnChanges = new OwnChanges()
  readonly swallow: Swallow
  /** Who looked last. */
  readonly viewer: Caller = { uid: 0, gid: 0, pid: 0 }
  readonly #options: KnowledgeOptions
  readonly #one: Believed = { node: 0, type: 0 }
  readonly #other: Believed = { node: 0, type: 0 }

  constructor(options: KnowledgeOptions) {
    this.#options = options
    this.view = new GuestView(options.names)
    this.swallow = new Swallow({
      inner: options.inner,
      view: this.view,
      nowMs: options.nowMs,
      viewer: this.viewer,
      isEntered: (node) => options.directories.at(node)?.entered ?? false,
      onKnown: (parent, name, node, attributes) => this.known(parent, name, node, attributes),
    })
  }

  /** The guest has asked for a name; `node` is what it was told. */
  looked(parent: NodeId, name: Name, node: number, caller: Caller, into: Attributes): void {
    this.viewer.uid = caller.uid
    this.viewer.gid = caller.gid
    this.enter(parent)
    if (node > 0) this.known(parent, name, node, into)
    else if (node === -ENOENT) this.view.delete(parent, name)
  }

  /** The guest has a reference to a node, under this name. */
  known(parent: NodeId, name: Name, node: NodeId, into: Attributes): void {
    if (name[0] === DOT && (name.length === 1 || (name.length === 2 && name[1] === DOT))) {
      const directory = this.#options.directories.at(node)
      if (directory !== undefined) directory.references++
      return
    }
    const type = typeOf(into.mode)
    this.view.set(parent, name, node, type)
    if (type !== DT_DIRECTORY) return
    const directory = this.#options.directories.learn(node, parent, name)
    if (directory !== undefined) this.#options.onDirectory(directory)
  }

  enter(node: NodeId): void {
    const directory = this.#options.directories.at(node)
    if (directory === undefined) return
    directory.used = true
    directory.entered = true
  }

  forgot(node: NodeId, count: number): void {
    const directory = this.#options.directories.forget(node, count)
    if (directory !== undefined) this.#options.onForgotten(directory)
  }

  removed(parent: NodeId, name: Name): void {
    this.own.place(parent, name)
    this.view.delete(parent, name)
    const directory = this.#options.directories.in(parent, name)
    if (directory !== undefined) this.#options.directories.lose(directory)
  }

  renamed(from: Place, to: Place, isExchange: boolean): void {
    const { directories } = this.#options
    this.own.place(from.parent, from.name)
    this.own.place(to.parent, to.name)
    const [one, other] = [this.#one, this.#other]
    this.view.get(from.parent, from.name, one)
    this.view.get(to.parent, to.name, other)
    const moved = directories.in(from.parent, from.name)
    const replaced = directories.in(to.parent, to.name)
    this.view.delete(from.parent, from.name)
    if (one.node > 0) this.view.set(to.parent, to.name, one.node, one.type)
    if (isExchange && other.node > 0) this.view.set(from.parent, from.name, other.node, other.type)
    if (replaced !== undefined) directories.lose(replaced)
    if (moved !== undefined) directories.move(moved, to.parent, to.name)
    if (isExchange && replaced !== undefined) directories.move(replaced, from.parent, from.name)
  }

  [Symbol.dispose](): void {
    this.#options.onDispose()
  }
}
