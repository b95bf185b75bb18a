/**
 * Changes of the host's files, as they come from inotify: both halves of a rename as one, nothing that this process did itself.
 *
 * ```
 *  inotify ─► own? ─► halves of renames find each other ─► Change
 * ```
 *
 * @module
 */
import * as sys from "@skep/loop/sys"
import type { Directories, Directory } from "./directories.ts"
import type { GuestView } from "./guest-view.ts"
import type { InotifyEvent } from "./inotify-event.ts"
import { sameName } from "./name.ts"
import type { OwnChanges } from "./own-changes.ts"

/** A name in a directory, and its path as the guest has to be told at this moment: later ones may differ. */
export interface Spot {
  readonly directory: Directory
  readonly name: Uint8Array
}

export type Change =
  | { readonly kind: "make" | "remove"; readonly isDirectory: boolean; readonly at: Spot }
  /** "write" is "modify" by somebody who has closed the file. */
  | {
      readonly kind: "modify" | "write" | "attributes"
      readonly isDirectory: boolean
      readonly at: Spot
    }
  | { readonly kind: "rename"; readonly isDirectory: boolean; readonly at: Spot; readonly to: Spot }

export interface ChangesOptions {
  readonly directories: Directories
  readonly view: GuestView
  readonly own: OwnChanges
  readonly onChange: (change: Change) => void
  /** A directory has a new place, or none. */
  readonly onMoved: (directory: Directory) => void
}

interface Half {
  readonly cookie: number
  readonly isDirectory: boolean
  readonly at: Spot
  readonly own: boolean
}

export class Changes {
  readonly #options: ChangesOptions
  /** The first half of a rename whose second has not come. */
  #half: Half | undefined
  /** What was not told since this process did it. */
  suppressed = 0

  constructor(options: ChangesOptions) {
    this.#options = options
  }

  /** Whether a half of a rename waits for the other. */
  get waiting(): boolean {
    return this.#half !== undefined
  }

  take(directory: Directory, event: InotifyEvent): void {
    const { mask } = event
    const isDirectory = (mask & sys.IN_ISDIR) !== 0
    if ((mask & sys.IN_MOVED_TO) !== 0) this.#second(directory, event, isDirectory)
    else if ((mask & sys.IN_MOVED_FROM) !== 0) this.#first(directory, event, isDirectory)
    else if ((mask & (sys.IN_CREATE | sys.IN_DELETE)) !== 0) this.#name(directory, event, isDirectory)
    else this.#content(directory, event, isDirectory)
  }

  /** What waits has waited long enough: it was moved to where nobody looks. */
  flush(): void {
    const half = this.#half
    if (half === undefined) return
    this.#half = undefined
    if (half.own) {
      this.suppressed++
      return
    }
    this.#options.onChange({ kind: "remove", isDirectory: half.isDirectory, at: half.at })
    this.#vanish(half.at)
  }

  #first(directory: Directory, event: InotifyEvent, isDirectory: boolean): void {
    this.flush()
    const at = { directory, name: Uint8Array.from(event.name) }
    const own = this.#options.own.hasPlace(directory.node, at.name)
    this.#half = { cookie: event.cookie, isDirectory, at, own }
  }

  #second(directory: Directory, event: InotifyEvent, isDirectory: boolean): void {
    const to = { directory, name: Uint8Array.from(event.name) }
    const half = this.#half?.cookie === event.cookie ? this.#half : undefined
    if (half !== undefined) this.#half = undefined
    if (half?.own ?? this.#options.own.hasPlace(directory.node, to.name)) {
      this.suppressed++
      return
    }
    if (half === undefined) {
      this.#options.onChange({ kind: "make", isDirectory, at: to })
      return
    }
    this.#options.onChange({ kind: "rename", isDirectory, at: half.at, to })
    const moved = this.#options.directories.in(half.at.directory.node, half.at.name)
    if (moved === undefined) return
    this.#options.directories.move(moved, directory.node, to.name)
    this.#options.onMoved(moved)
  }

  #name(directory: Directory, event: InotifyEvent, isDirectory: boolean): void {
    this.#settle(directory, event.name)
    const at = { directory, name: Uint8Array.from(event.name) }
    if (this.#options.own.hasPlace(directory.node, at.name)) {
      this.suppressed++
      return
    }
    const kind = (event.mask & sys.IN_CREATE) !== 0 ? "make" : "remove"
    this.#options.onChange({ kind, isDirectory, at })
    if (kind === "remove") this.#vanish(at)
  }

  #content(directory: Directory, event: InotifyEvent, isDirectory: boolean): void {
    this.#settle(directory, event.name)
    const { own, view } = this.#options
    if (own.hasPlace(directory.node, event.name) || own.hasNode(view.nodeOf(directory.node, event.name))) {
      this.suppressed++
      return
    }
    const at = { directory, name: Uint8Array.from(event.name) }
    const isAttributes = (event.mask & sys.IN_ATTRIB) !== 0
    const isClosed = (event.mask & sys.IN_CLOSE_WRITE) !== 0
    const kind = isAttributes ? "attributes" : isClosed ? "write" : "modify"
    this.#options.onChange({ kind, isDirectory, at })
  }

  /** Somebody uses the name that waits as the first half of a rename: it was free before. */
  #settle(directory: Directory, name: Uint8Array): void {
    const half = this.#half
    if (half !== undefined && half.at.directory === directory && sameName(half.at.name, name)) this.flush()
  }

  #vanish(at: Spot): void {
    const gone = this.#options.directories.in(at.directory.node, at.name)
    if (gone === undefined) return
    this.#options.directories.lose(gone)
    this.#options.onMoved(gone)
  }
}
