/**
 * The directories that the guest's kernel knows, as a tree: only in these can somebody there wait for events, so only these are watched on the
 * host. They are learnt from lookups and go with the guest's references.
 *
 * @module
 */
import type { NodeId } from "@skep/vfs"
import { encode, placeKey } from "./name.ts"

/** A directory that the guest knows. */
export interface Directory {
  readonly node: NodeId
  parent: Directory | undefined
  name: Uint8Array
  /** Of the guest. */
  references: number
  /** inotify's number; -1 while it is not watched. */
  watch: number
  /** Whether it was used since the last time somebody looked for one to give up. */
  used: boolean
  /** Whether the guest has looked for something in it. */
  entered: boolean
  /** It has no place any more: removed on the host, or moved to where the guest cannot see it. */
  lost: boolean
  path: string
  /** The `Directories.version` of `path`; -1 where there is none. */
  version: number
}

const DEPTH_MAX = 512

export class Directories {
  readonly root: Directory
  /** Hears of each that has a new place. */
  onPlaced: ((directory: Directory) => void) | undefined
  readonly #most: number
  readonly #byNode = new Map<NodeId, Directory>()
  readonly #byPlace = new Map<string, Directory>()
  #version = 0
  /** Directories that were not kept, as there were too many. */
  refused = 0

  constructor(root: NodeId, path: string, most: number) {
    this.root = made(root, undefined, new Uint8Array(0))
    this.root.references = Number.POSITIVE_INFINITY
    this.root.path = path
    this.root.version = Number.POSITIVE_INFINITY
    this.#byNode.set(root, this.root)
    this.#most = most
  }

  get size(): number {
    return this.#byNode.size
  }

  at(node: NodeId): Directory | undefined {
    return this.#byNode.get(node)
  }

  in(parent: NodeId, name: Uint8Array): Directory | undefined {
    return this.#byPlace.get(placeKey(parent, name))
  }

  /** Counts a reference of the guest. Returns the directory if it is new or has a new place, and is to be watched. */
  learn(node: NodeId, parent: NodeId, name: Uint8Array): Directory | undefined {
    const known = this.#byNode.get(node)
    if (known !== undefined) {
      known.references++
      known.used = true
      if (known === this.root || (!known.lost && known.parent?.node === parent && same(known.name, name)))
        return undefined
      this.#put(known, parent, name)
      return known
    }
    const above = this.#byNode.get(parent)
    if (above === undefined || this.#byNode.size >= this.#most) {
      this.refused++
      return undefined
    }
    const directory = made(node, above, Uint8Array.from(name))
    this.#byNode.set(node, directory)
    this.#take(directory, placeKey(parent, name))
    this.onPlaced?.(directory)
    return directory
  }

  /** Returns the directory when the guest has forgotten it. */
  forget(node: NodeId, count: number): Directory | undefined {
    const directory = this.#byNode.get(node)
    if (directory === undefined) return undefined
    directory.references -= count
    if (directory.references > 0) return undefined
    this.#byNode.delete(node)
    this.#leave(directory)
    directory.lost = true
    return directory
  }

  /** It has moved within the share, whoever did it. */
  move(directory: Directory, parent: NodeId, name: Uint8Array): void {
    if (directory !== this.root) this.#put(directory, parent, name)
  }

  /** It has no place that the guest could see. What is in it has none either. */
  lose(directory: Directory): void {
    if (directory === this.root) return
    this.#leave(directory)
    directory.lost = true
    this.#version++
  }

  /** Encoded, from the mount of all shares on; undefined for one without a place. */
  path(directory: Directory): string | undefined {
    if (directory.version >= this.#version) return directory.path
    const names = this.names(directory)
    if (names === undefined) return undefined
    directory.path = [this.root.path, ...names.map(encode)].join("/")
    directory.version = this.#version
    return directory.path
  }

  /** The names from the root on; undefined for one without a place. */
  names(directory: Directory): readonly Uint8Array[] | undefined {
    const names: Uint8Array[] = []
    let at: Directory | undefined = directory
    while (at !== undefined && at !== this.root) {
      if (at.lost || names.length >= DEPTH_MAX) return undefined
      names.push(at.name)
      at = at.parent
    }
    return names.toReversed()
  }

  *all(): IterableIterator<Directory> {
    yield* this.#byNode.values()
  }

  #put(directory: Directory, parent: NodeId, name: Uint8Array): void {
    this.#leave(directory)
    this.#version++
    const above = this.#byNode.get(parent)
    directory.lost = above === undefined
    directory.parent = above
    directory.name = Uint8Array.from(name)
    if (above === undefined) return
    this.#take(directory, placeKey(parent, name))
    this.onPlaced?.(directory)
  }

  /** Who had the place is lost: it cannot be there any more. */
  #take(directory: Directory, key: string): void {
    const former = this.#byPlace.get(key)
    if (former !== undefined) {
      former.lost = true
      this.#version++
    }
    this.#byPlace.set(key, directory)
  }

  #leave(directory: Directory): void {
    if (directory.parent === undefined) return
    const key = placeKey(directory.parent.node, directory.name)
    if (this.#byPlace.get(key) === directory) this.#byPlace.delete(key)
  }
}

function made(node: NodeId, parent: Directory | undefined, name: Uint8Array): Directory {
  return {
    node,
    parent,
    name,
    references: 1,
    watch: -1,
    used: true,
    entered: false,
    lost: false,
    path: "",
    version: -1,
  }
}

function same(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0
}
