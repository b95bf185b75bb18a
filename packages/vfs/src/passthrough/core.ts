/**
 * What every operation needs: from a node to its slot and descriptor, and from what the kernel says of a file to its node.
 *
 * @module
 */
import type { Region } from "@skep/loop/memory"
import * as sys from "@skep/loop/sys"
import type { Attributes, Caller, NodeId } from "../filesystem.ts"
import { S_ISGID } from "../memory/linux.ts"
import type { Handles } from "./handles.ts"
import type { Memory } from "./memory.ts"
import { type NodeTable, ROOT_SLOT } from "./node-table.ts"
import type { Stat } from "./stat.ts"
import type { Walker } from "./walker.ts"

/** chown(2): as it is. */
const UNCHANGED = 0xffff_ffff

export interface CoreOptions {
  readonly readOnly: boolean
  /** Whether what a caller makes is given to him on the host: for those who run as root and show owners as they are. */
  readonly giveToCaller: boolean
}

export class Core {
  readonly memory: Memory
  readonly table: NodeTable
  readonly walker: Walker
  readonly handles: Handles
  readonly stat: Stat
  readonly options: CoreOptions
  /** Told when the root is another directory than before. */
  onRoot: () => void = () => undefined

  constructor(parts: Pick<Core, "memory" | "table" | "walker" | "handles" | "stat" | "options">) {
    this.memory = parts.memory
    this.table = parts.table
    this.walker = parts.walker
    this.handles = parts.handles
    this.stat = parts.stat
    this.options = parts.options
  }

  /** The slot of a node, or -ESTALE. */
  slot(node: NodeId): number {
    const slot = this.table.slotOf(node)
    return slot < 0 ? -sys.ESTALE : slot
  }

  /** A descriptor of the node's file: O_PATH, or of an open file where nothing else leads to it any more. */
  descriptor(slot: number): number {
    const fd = this.walker.descriptor(slot)
    if (fd !== -sys.ESTALE) return fd
    const open = this.handles.descriptorOf(slot)
    return open < 0 ? fd : open
  }

  /** The same of a directory. */
  directory(slot: number): number {
    return this.table.type(slot) === sys.S_IFDIR ? this.descriptor(slot) : -sys.ENOTDIR
  }

  /** Asks what the node's file is now. Returns 0, with the answer in `stat`. */
  ask(slot: number): number {
    const { table, walker, stat, memory } = this
    const kept = walker.kept(slot)
    if (kept < 0 && slot !== ROOT_SLOT && !table.isGone(slot)) {
      // By its name, so that `find` and `ls` cost no descriptor.
      const directory = walker.descriptor(table.parent(slot))
      if (directory >= 0) {
        table.names.copy(table.name(slot), memory.walked.bytes)
        if (stat.ofName(directory, memory.walked.address) === 0 && table.is(slot, stat)) return 0
      }
    }
    const fd = kept < 0 ? this.descriptor(slot) : kept
    if (fd < 0) return fd
    const result = stat.ofDescriptor(fd)
    if (result < 0 || slot !== ROOT_SLOT || stat.links > 0) return result
    return this.checkRoot() === "replaced" ? stat.ofDescriptor(walker.root) : -sys.ESTALE
  }

  /** The node of what was asked last, found below `parent`, with one reference more. `name` has the name with its length. */
  know(parent: number, name: Region, length: number, into: Attributes): number {
    const { table, stat } = this
    stat.fill(into)
    let slot = table.slotOfFile(stat.device, stat.inoLow, stat.inoHigh)
    if (slot >= 0 && !table.is(slot, stat)) {
      table.setGone(slot)
      slot = -1
    }
    if (slot >= 0) {
      table.refer(slot)
      const several = stat.links > 1 && stat.type !== sys.S_IFDIR
      table.seenAt(slot, parent, name.bytes, length, several)
      return table.id(slot)
    }
    slot = table.add(parent, name.bytes, length, stat)
    if (slot < 0) return slot
    // Where files have no date of birth, only a descriptor keeps the number from being given to another one.
    if (table.isAnonymous(slot)) this.walker.open(slot, this.walker.kept(parent), name.address)
    return table.id(slot)
  }

  /** The slot of what was asked last, if it is known; else -1. */
  known(): number {
    const { table, stat } = this
    const slot = table.slotOfFile(stat.device, stat.inoLow, stat.inoHigh)
    return slot >= 0 && table.is(slot, stat) ? slot : -1
  }

  /** Looks what is at the root's path. */
  checkRoot(): "same" | "replaced" | "gone" {
    const state = this.walker.checkRoot()
    if (state === "replaced") this.onRoot()
    return state
  }

  /** Opens a node's file or directory for what `flags` say, whatever it was opened for before. Only for files of a kind that does nothing on opening. */
  openAgain(slot: number, flags: number): number {
    const fd = this.descriptor(slot)
    if (fd < 0) return fd
    const name = this.memory.descriptorName(fd)
    const { descriptors } = this.walker
    const opened = sys.openat(descriptors, name, flags)
    if (opened !== -sys.EMFILE && opened !== -sys.ENFILE) return opened
    // Making room may close the very one.
    if (!this.walker.makeRoom()) return opened
    const again = this.descriptor(slot)
    return again < 0 ? again : sys.openat(descriptors, this.memory.descriptorName(again), flags)
  }

  /**
   * Finishes what was just made below a directory: asks for it, gives it the bits that this process's mask took, and its owner. Returns the node.
   * `fd` is the file's own where it is open.
   */
  finish(made: Made, caller: Caller, into: Attributes): number {
    const { stat, memory, table } = this
    const { parent, directory, length, mode, fd } = made
    const result = fd < 0 ? stat.ofName(directory, memory.name.address) : stat.ofDescriptor(fd)
    if (result < 0) return result
    const node = this.know(parent, memory.name, length, into)
    if (node < 0) return node
    const wanted = mode & 0o7777 & ~stat.mode
    if (wanted === 0 && !this.options.giveToCaller) return node
    const slot = table.slotOf(node)
    const own = fd < 0 ? this.descriptor(slot) : fd
    if (own < 0) return node
    const isLink = stat.type === sys.S_IFLNK
    const whole = (stat.mode | mode) & 0o7777
    if (this.options.giveToCaller) this.#give(own, directory, caller)
    if (!isLink) sys.fchmodat(this.walker.descriptors, memory.descriptorName(own), whole)
    if (stat.ofDescriptor(own) === 0) stat.fill(into)
    return node
  }

  /** To the caller; and to its group, where the directory has not said of which group its files are. */
  #give(fd: number, directory: number, { uid, gid }: Caller): void {
    const { stat, memory } = this
    const inherits = stat.ofDescriptor(directory) === 0 && (stat.mode & S_ISGID) !== 0
    sys.fchownat(fd, memory.empty, uid, inherits ? UNCHANGED : gid, sys.AT_EMPTY_PATH)
  }
}

/** Something that was just made. */
export interface Made {
  readonly parent: number
  readonly directory: number
  readonly length: number
  readonly mode: number
  readonly fd: number
}
