/**
 * A file system under a name that clients mount, with what the server keeps of it.
 *
 * @module
 */
import { createHash } from "node:crypto"
import type { Scope } from "@skep/loop"
import * as sys from "@skep/loop/sys"
import {
  type Attributes,
  type Caller,
  type FileSystem,
  type Handle,
  type NodeId,
  newAttributes,
} from "@skep/vfs"
import { Handles } from "../handle/handles.ts"
import type { Key } from "../handle/siphash.ts"
import { OpenDirectories } from "./open-directories.ts"
import { OpenFiles } from "./open-files.ts"

export interface VolumeOptions {
  /** As clients mount it: `/`, or `/name`. */
  readonly name: string
  readonly fileSystem: FileSystem
  readonly readOnly: boolean
}

export interface VolumeLimits {
  readonly handles: number
  readonly openFiles: number
}

export class Volume {
  readonly name: string
  readonly fileSystem: FileSystem
  readonly readOnly: boolean
  /** Names the volume in handles and attributes; the same for the same name for ever. */
  readonly id: number
  readonly handles: Handles
  readonly files: OpenFiles
  readonly directories: OpenDirectories
  /** Where the root is; -1 until it was seen. Files elsewhere have other numbers than theirs alone. */
  #device = -1

  constructor(options: VolumeOptions, key: Key, limits: VolumeLimits, scope: Scope) {
    this.name = options.name
    this.fileSystem = options.fileSystem
    this.readOnly = options.readOnly
    this.id = idOf(options.name)
    this.handles = new Handles({
      fileSystem: this.fileSystem,
      volume: this.id,
      key,
      capacity: limits.handles,
    })
    this.files = new OpenFiles(this.fileSystem, limits.openFiles, scope)
    this.directories = new OpenDirectories(this.fileSystem, scope)
  }

  /** The device of the root. */
  get device(): number {
    if (this.#device >= 0) return this.#device
    const root = newAttributes()
    const nobody = { uid: 0, gid: 0, pid: 0 }
    if (this.fileSystem.getAttributes(this.fileSystem.root, -1, nobody, root) >= 0) this.#device = root.device
    return this.#device
  }

  /**
   * Attributes of a node, by an open file where there is one. A file without names is gone to clients, who can only come back to what has one: it is ESTALE
   * although we may have it open, and not for longer.
   */
  look(node: NodeId, handle: Handle, who: Caller, into: Attributes): number {
    const result = this.fileSystem.getAttributes(node, handle, who, into)
    if (result < 0 || into.links > 0) return result
    this.files.retire(node)
    this.directories.close(node)
    return -sys.ESTALE
  }

  /** Gives back what it took of the file system, which stays its owner's. */
  close(): void {
    this.files.clear()
    this.directories.clear()
    this.handles.clear()
  }
}

export function idOf(name: string): number {
  return createHash("sha256").update(`skep nfs 1\0${name}`).digest().readUInt32BE()
}
