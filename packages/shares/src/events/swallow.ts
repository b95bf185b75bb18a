/**
 * Answers to requests that repeat a change of the host: what the guest's kernel has to hear so that it goes through with it. Nothing on the host
 * is touched.
 *
 * | repeated | a lookup of the name finds                                | then                                     |
 * | -------- | --------------------------------------------------------- | ---------------------------------------- |
 * | make     | nothing                                                   | the file that is there now, or a ghost   |
 * | remove   | what the guest believes to be there, or a ghost           | success, unless the guest is ahead of us |
 * | rename   | from: the file; to: what the guest believes it will replace | success                                |
 * | others   | the truth, or what the guest believes where that is none  | the file's attributes as they are        |
 *
 * On the way there, a lookup finds what the guest believes. A request of an echo that is not under way, of an earlier process for one, sees the truth and may change nothing.
 *
 * @module
 */
import { EBUSY, EINVAL, ENOENT, EPERM, ESTALE } from "@skep/loop/sys"
import type { Attributes, Caller, FileSystem, Handle, Name, NodeId } from "@skep/vfs"
import { newAttributes } from "@skep/vfs"
import { DT_DIRECTORY, type Echo, type EchoPlace, typeOf } from "./echo.ts"
import { dress, GHOST_FIRST, Ghosts } from "./ghosts.ts"
import type { Believed, GuestView } from "./guest-view.ts"
import { sameName } from "./name.ts"

/** Stands for a file that was opened to be closed. */
export const SWALLOWED_HANDLE: Handle = GHOST_FIRST

export interface SwallowOptions {
  readonly inner: FileSystem
  readonly view: GuestView
  readonly nowMs: number
  /** Whose eyes are used: owners are shown to whoever looks. */
  readonly viewer: Caller
  /** Whether the guest has been inside a directory: it must not be told that it is new, since it would lose its place there. */
  readonly isEntered: (node: NodeId) => boolean
  /** The guest has a reference to `node` from now on, under this name. */
  readonly onKnown: (parent: NodeId, name: Name, node: NodeId, attributes: Attributes) => void
}

export class Swallow {
  readonly ghosts: Ghosts
  /** References that the guest has and the file system below does not count. */
  readonly #extra = new Map<NodeId, number>()
  readonly #options: SwallowOptions
  readonly #believed: Believed = { node: 0, type: 0 }
  readonly #scratch: Attributes = newAttributes()

  constructor(options: SwallowOptions) {
    this.#options = options
    this.ghosts = new Ghosts(options.nowMs)
  }

  lookup(echo: Echo | undefined, parent: NodeId, name: Name, into: Attributes): number {
    if (echo === undefined) return this.#truth(parent, name, into)
    if (isAt(echo.at, parent, name)) {
      if (echo.kind === "make") return this.#unmade(parent, name, into)
      if (echo.kind === "remove") return this.#former(echo, parent, name, into)
      if (echo.kind === "rename") return this.#moving(echo, parent, name, into)
    }
    if (echo.kind === "rename" && echo.to !== undefined && isAt(echo.to, parent, name))
      return this.#replaced(echo, parent, name, into)
    if (!isAt(echo.at, parent, name)) return this.#onTheWay(echo, parent, name, into)
    const node = this.#truth(parent, name, into)
    // Told all the same: that it went is told next.
    const isTold = node === -ENOENT && this.#options.view.nodeOf(parent, name) > 0
    return isTold ? this.#recall(echo, parent, name, into) : node
  }

  /** Answers whatever makes a name. */
  make(echo: Echo | undefined, parent: NodeId, name: Name, into: Attributes): number {
    if (echo?.kind !== "make" || !isAt(echo.at, parent, name)) return -EPERM
    const { inner, viewer, onKnown } = this.#options
    const node = inner.lookup(parent, name, viewer, into)
    if (node > 0 && typeOf(into.mode) === echo.type) {
      onKnown(parent, name, node, into)
      return node
    }
    if (node > 0) inner.forget(node, 1)
    return this.#raise(echo, parent, name, into)
  }

  remove(echo: Echo | undefined, parent: NodeId, name: Name): number {
    if (echo?.kind !== "remove" || !isAt(echo.at, parent, name)) return -EPERM
    const { inner, view, viewer } = this.#options
    const believed = view.nodeOf(parent, name)
    const now = inner.lookup(parent, name, viewer, this.#scratch)
    if (now > 0) inner.forget(now, 1)
    // The name was taken again and the guest has seen by whom: that one is alive.
    if (now > 0 && now === believed) return -EBUSY
    // A directory that is somewhere else: the guest's kernel would take it for dead for ever. The agent asks again, see #former.
    if (echo.type === DT_DIRECTORY && this.#isAlive(believed)) return -EBUSY
    view.delete(parent, name)
    return 0
  }

  rename(echo: Echo | undefined, from: EchoPlace, to: EchoPlace): number {
    if (echo?.kind !== "rename" || echo.to === undefined) return -EPERM
    if (!isAt(echo.at, from.parent, from.name) || !isAt(echo.to, to.parent, to.name)) return -EPERM
    const { inner, view, viewer } = this.#options
    view.get(from.parent, from.name, this.#believed)
    view.delete(from.parent, from.name)
    if (this.#believed.node > 0) view.set(to.parent, to.name, this.#believed.node, this.#believed.type)
    // The file system below learns the file's new name by it.
    const now = inner.lookup(to.parent, to.name, viewer, this.#scratch)
    if (now > 0) inner.forget(now, 1)
    return 0
  }

  /** As they are; of a file that is gone, of `type`, something. */
  attributes(node: NodeId, type: number, into: Attributes): number {
    const { inner, viewer } = this.#options
    if (this.ghosts.show(node, into)) return 0
    const result = inner.getAttributes(node, -1, viewer, into)
    if (result >= 0 || !this.#extra.has(node)) return result
    dress(node, type, into)
    return 0
  }

  setAttributes(echo: Echo | undefined, node: NodeId, into: Attributes): number {
    if (echo === undefined || echo.kind === "remove" || echo.kind === "rename") return -EPERM
    if (!this.#isMeant(echo, node)) return -ESTALE
    return this.attributes(node, echo.type, into)
  }

  open(echo: Echo | undefined, node: NodeId): number {
    if (echo === undefined) return -EPERM
    if (!this.#isMeant(echo, node)) return -ESTALE
    return echo.kind === "write" ? SWALLOWED_HANDLE : -EINVAL
  }

  /** Takes away what the file system below does not know of; returns what is left for it. */
  forget(node: NodeId, count: number): number {
    if (node >= GHOST_FIRST) {
      this.ghosts.forget(node, count)
      return 0
    }
    if (this.#extra.size === 0) return count
    const extra = this.#extra.get(node)
    if (extra === undefined) return count
    const taken = Math.min(extra, count)
    if (taken === extra) this.#extra.delete(node)
    else this.#extra.set(node, extra - taken)
    return count - taken
  }

  #truth(parent: NodeId, name: Name, into: Attributes): number {
    const { inner, viewer, onKnown } = this.#options
    const node = inner.lookup(parent, name, viewer, into)
    if (node > 0) onKnown(parent, name, node, into)
    return node
  }

  /** Not one that a name led to which the guest, or the agent, had from before: then they look again. */
  #isMeant({ at, node: known }: Echo, node: NodeId): boolean {
    const believed = this.#options.view.nodeOf(at.parent, at.name)
    return believed <= 0 || node === believed || node === known
  }

  /** A directory of the path, as the guest believes it to be: what became of it meanwhile is told later. */
  #onTheWay(echo: Echo, parent: NodeId, name: Name, into: Attributes): number {
    const { inner, view, viewer, onKnown } = this.#options
    const believed = view.nodeOf(parent, name)
    const node = inner.lookup(parent, name, viewer, into)
    if (believed <= 0 || node === believed) {
      if (node > 0) onKnown(parent, name, node, into)
      return node
    }
    if (node > 0) inner.forget(node, 1)
    return this.#recall(echo, parent, name, into)
  }

  /** What was there before it was removed. */
  #former(echo: Echo, parent: NodeId, name: Name, into: Attributes): number {
    const { inner, view, viewer } = this.#options
    const believed = view.nodeOf(parent, name)
    const now = inner.lookup(parent, name, viewer, into)
    if (now > 0 && now === believed) return now
    if (now > 0) inner.forget(now, 1)
    if (echo.type === DT_DIRECTORY && this.#isAlive(believed)) return this.#raise(echo, parent, name, into)
    return this.#recall(echo, parent, name, into)
  }

  #isAlive(node: NodeId): boolean {
    if (node <= 0 || node >= GHOST_FIRST) return false
    const { inner, viewer } = this.#options
    return inner.getAttributes(node, -1, viewer, this.#scratch) >= 0 && this.#scratch.links > 0
  }

  /** Nothing, so that it can be made. */
  #unmade(parent: NodeId, name: Name, into: Attributes): number {
    const believed = this.#options.view.nodeOf(parent, name)
    return believed > 0 && this.#options.isEntered(believed) ? this.#truth(parent, name, into) : -ENOENT
  }

  /** The file that is being moved, under its old name. */
  #moving(echo: Echo, parent: NodeId, name: Name, into: Attributes): number {
    const { inner, view, viewer } = this.#options
    const believed = view.nodeOf(parent, name)
    if ((believed > 0 && believed < GHOST_FIRST) || echo.to === undefined)
      return this.#recall(echo, parent, name, into)
    const node = inner.lookup(echo.to.parent, echo.to.name, viewer, into)
    if (node > 0 && typeOf(into.mode) === echo.type) {
      view.set(parent, name, node, echo.type)
      return node
    }
    if (node > 0) inner.forget(node, 1)
    return this.#recall(echo, parent, name, into)
  }

  /** What the moved file replaces: as the guest believes, and not the file itself. */
  #replaced(echo: Echo, parent: NodeId, name: Name, into: Attributes): number {
    const { view } = this.#options
    const believed = view.nodeOf(parent, name)
    if (believed <= 0 || believed === view.nodeOf(echo.at.parent, echo.at.name)) return -ENOENT
    const now = this.#options.inner.lookup(parent, name, this.#options.viewer, into)
    if (now > 0) this.#options.inner.forget(now, 1)
    // The guest has seen what is there now: it must live on.
    if (now === believed) return -ENOENT
    return this.#recall(echo, parent, name, into)
  }

  /** A file that the guest had under this name, as alive as can be, or a ghost. */
  #recall(echo: Echo, parent: NodeId, name: Name, into: Attributes): number {
    const { inner, view, viewer } = this.#options
    const believed = this.#believed
    if (!view.get(parent, name, believed) || believed.node <= 0) return this.#raise(echo, parent, name, into)
    const { node, type } = believed
    if (this.ghosts.again(node, into)) return node
    if (node >= GHOST_FIRST) return this.#raise(echo, parent, name, into)
    if (inner.getAttributes(node, -1, viewer, into) < 0) dress(node, type, into)
    this.#extra.set(node, (this.#extra.get(node) ?? 0) + 1)
    return node
  }

  #raise(echo: Echo, parent: NodeId, name: Name, into: Attributes): number {
    const node = this.ghosts.raise(echo.type, into)
    if (node === 0) return -ENOENT
    this.#options.view.set(parent, name, node, echo.type)
    return node
  }
}

function isAt(place: EchoPlace, parent: NodeId, name: Name): boolean {
  return place.parent === parent && sameName(place.name, name)
}
