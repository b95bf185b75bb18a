/**
 * Owners and permissions that a machine sets, over a file system whose files all stay the host user's.
 *
 * A file about which nothing was said belongs to whoever looks. A change of owner is kept as a record, and so is everybody who makes something in a directory
 * that has an owner: see docs/decisions/ownership.md.
 *
 * @module
 */
import * as sys from "@skep/loop/sys"
import {
  type Attributes,
  type Caller,
  type Changes,
  type FileSystem,
  type Handle,
  type HowToCreate,
  type Name,
  type NewNode,
  type NodeId,
  newAttributes,
  type Place,
} from "../filesystem.ts"
import { forwarding, type KeepingFileSystem } from "../forwarding.ts"
import { PERMISSIONS, S_ISGID, S_ISUID, S_IXGRP } from "../memory/linux.ts"
import { OwnerDatabase } from "./database.ts"
import { NO_RECORD, needs, type Owner, type OwnerRecord, realMode, shownMode } from "./record.ts"
import { OwnerRecords } from "./records.ts"
import { exportOwnersInSteps, type ImportedOwners, importOwners } from "./transfer.ts"

export interface OwnershipOptions {
  /** Where the records of files go that take no extended attribute: a file outside the shared directory. Without one they are kept in memory only. */
  readonly database?: string
  /** Whose a file without a record is: whoever looks, unless told. */
  readonly unowned?: Owner | "caller"
  /** Milliseconds since 1970, by the clock that marks the files' times. */
  readonly now?: () => number
  /** Told in a sentence what was not usable. */
  readonly report?: (sentence: string) => void
}

export interface OwnedFileSystem extends FileSystem {
  /** All records as JSON lines `{"path", "uid", "gid", "mode"}`, so that they can move with a copy of the tree. */
  exportOwners(): Generator<string>
  /** The same, but undefined for each file without a record: whoever has other things to do may pause at every file. */
  exportOwnersInSteps(): Generator<string | undefined>
  /**
   * Takes records of `exportOwners`. What fits nothing here is named and left out. `through` is a layer above this one, where that shows less of the
   * files: nothing is changed that it does not show.
   */
  importOwners(lines: Iterable<string>, through?: FileSystem): ImportedOwners
  /**
   * Forgets records of files that are gone, where files are gone without a word. Links, FIFOs and sockets that somebody has moved on the host to another
   * directory are taken for gone until they are looked up.
   */
  compactOwners(): void
}

/** Where `fs` keeps nothing for layers above, all records go to the database. Disposing of the layer disposes of `fs`. */
export function withOwnership(fs: KeepingFileSystem, options: OwnershipOptions = {}): OwnedFileSystem {
  const layer = new OwnershipLayer(fs, options)
  const owned: KeepingFileSystem = {
    ...forwarding(fs),
    reserved: undefined,
    lookup: layer.lookup.bind(layer),
    getAttributes: layer.getAttributes.bind(layer),
    setAttributes: layer.setAttributes.bind(layer),
    makeNode: layer.makeNode.bind(layer),
    makeDirectory: layer.makeDirectory.bind(layer),
    makeSymlink: layer.makeSymlink.bind(layer),
    link: layer.link.bind(layer),
    unlink: layer.unlink.bind(layer),
    removeDirectory: layer.removeDirectory.bind(layer),
    rename: layer.rename.bind(layer),
    create: layer.create.bind(layer),
    [Symbol.dispose]: layer.dispose.bind(layer),
  }
  return {
    ...owned,
    exportOwners: function* () {
      for (const line of exportOwnersInSteps(fs, layer.records)) if (line !== undefined) yield line
    },
    exportOwnersInSteps: () => exportOwnersInSteps(fs, layer.records),
    importOwners: (lines, through = owned) => importOwners(through, lines),
    compactOwners: () => layer.records.compact(),
  }
}

/** What a new file is to be: on the host, and in the record. */
interface Plan {
  readonly owner: Owner | undefined
  readonly asked: number
  readonly real: number
}

/** A file by its node, and by a handle of it unless that is -1. */
interface File {
  readonly node: NodeId
  readonly handle: Handle
}

/** A file that others make and take away faster than it can be opened is given up on. */
const TRIES = 16

class OwnershipLayer {
  readonly records: OwnerRecords
  readonly #fs: KeepingFileSystem
  readonly #database: OwnerDatabase
  readonly #unowned: Owner | "caller"
  readonly #before: Attributes = newAttributes()

  constructor(fs: KeepingFileSystem, { database, unowned, now, report }: OwnershipOptions) {
    this.#fs = fs
    this.#database = new OwnerDatabase({ path: database, report })
    this.#unowned = unowned ?? "caller"
    this.records = new OwnerRecords({ fs, database: this.#database, now: now ?? Date.now })
  }

  dispose(): void {
    this.#database.close()
    this.#fs[Symbol.dispose]()
  }

  lookup(parent: NodeId, name: Name, caller: Caller, into: Attributes): number {
    return this.#shown(this.#fs.lookup(parent, name, caller, into), caller, into)
  }

  link(node: NodeId, parent: NodeId, name: Name, caller: Caller, into: Attributes): number {
    return this.#shown(this.#fs.link(node, parent, name, caller, into), caller, into)
  }

  getAttributes(node: NodeId, handle: Handle, caller: Caller, into: Attributes): number {
    const result = this.#fs.getAttributes(node, handle, caller, into)
    if (result === 0) this.#show(node, caller, into)
    return result
  }

  setAttributes(node: NodeId, handle: Handle, changes: Changes, caller: Caller, into: Attributes): number {
    const { uid, gid, mode, ...others } = changes
    if (uid === undefined && gid === undefined && mode === undefined) {
      const result = this.#fs.setAttributes(node, handle, changes, caller, into)
      if (result === 0) this.#show(node, caller, into)
      return result
    }
    const before = this.#before
    const result = this.#fs.getAttributes(node, handle, caller, before)
    if (result < 0) return result
    if (mode !== undefined && (before.mode & sys.S_IFMT) === sys.S_IFLNK) return -sys.EOPNOTSUPP
    const plan = this.#planChange(this.records.of(node, before), before, changes, caller)
    const { changeSeconds, changeNanoseconds } = before
    const isSame = plan.real === (before.mode & PERMISSIONS)
    const hostChanges = { ...others, mode: isSame ? undefined : plan.real }
    const changed = this.#fs.setAttributes(node, handle, hostChanges, caller, into)
    if (changed < 0) return changed
    const kept = this.#keep({ node, handle }, plan, caller, into)
    if (kept < 0) return kept
    if (into.changeSeconds === changeSeconds && into.changeNanoseconds === changeNanoseconds)
      this.#mark({ node, handle }, plan, caller, into)
    this.#show(node, caller, into)
    return 0
  }

  makeNode(parent: NodeId, name: Name, { mode, rdev }: NewNode, caller: Caller, into: Attributes): number {
    const type = (mode & sys.S_IFMT) === 0 ? sys.S_IFREG : mode & sys.S_IFMT
    const plan = this.#plan(parent, type | (mode & PERMISSIONS), caller)
    const node = this.#fs.makeNode(parent, name, { mode: type | plan.real, rdev }, caller, into)
    return this.#made(node, plan, caller, into, () => this.#fs.unlink(parent, name, caller))
  }

  makeDirectory(parent: NodeId, name: Name, mode: number, caller: Caller, into: Attributes): number {
    const plan = this.#plan(parent, sys.S_IFDIR | (mode & PERMISSIONS), caller)
    const node = this.#fs.makeDirectory(parent, name, plan.real, caller, into)
    return this.#made(node, plan, caller, into, () => this.#fs.removeDirectory(parent, name, caller))
  }

  makeSymlink(parent: NodeId, name: Name, target: Name, caller: Caller, into: Attributes): number {
    const plan = this.#plan(parent, sys.S_IFLNK | 0o777, caller)
    const node = this.#fs.makeSymlink(parent, name, target, caller, into)
    return this.#made(node, plan, caller, into, () => this.#fs.unlink(parent, name, caller))
  }

  create(parent: NodeId, name: Name, how: HowToCreate, caller: Caller, into: Attributes): number {
    const plan = this.#plan(parent, sys.S_IFREG | (how.mode & PERMISSIONS), caller)
    if (plan.owner === undefined && plan.asked === plan.real)
      return this.#shown(this.#fs.create(parent, name, how, caller, into), caller, into)
    // What there is to keep is for a file that this call makes, so it has to know whether it did.
    const exclusive = { flags: how.flags | sys.O_EXCL, mode: plan.real, opened: -1 }
    for (let tries = 0; tries < TRIES; tries++) {
      const node = this.#fs.create(parent, name, exclusive, caller, into)
      if (node >= 0) {
        how.opened = exclusive.opened
        return this.#made(node, plan, caller, into, () => {
          this.#fs.release(exclusive.opened)
          this.#fs.unlink(parent, name, caller)
        })
      }
      if (node !== -sys.EEXIST || (how.flags & sys.O_EXCL) !== 0) return node
      const opened = this.#openExisting({ parent, name }, how, caller, into)
      if (opened !== -sys.ENOENT) return opened
    }
    return -sys.EBUSY
  }

  unlink(parent: NodeId, name: Name, caller: Caller): number {
    return this.#dropping({ parent, name }, caller, () => this.#fs.unlink(parent, name, caller))
  }

  removeDirectory(parent: NodeId, name: Name, caller: Caller): number {
    return this.#dropping({ parent, name }, caller, () => this.#fs.removeDirectory(parent, name, caller))
  }

  rename(from: Place, to: Place, flags: number, caller: Caller): number {
    const result = this.#fs.rename(from, to, flags, caller)
    if (result < 0 || this.#database.size === 0) return result
    for (const { parent, name } of [from, to]) {
      const node = this.#fs.lookup(parent, name, caller, this.#before)
      if (node < 0) continue
      this.records.moved(node, this.#before)
      this.#fs.forget(node, 1)
    }
    return result
  }

  #shown(node: number, caller: Caller, into: Attributes): number {
    if (node >= 0) this.#show(node, caller, into)
    return node
  }

  #show(node: NodeId, caller: Caller, into: Attributes): void {
    const record = this.records.of(node, into)
    const { uid, gid } = record.owner ?? this.#defaultOwner(caller)
    into.uid = uid
    into.gid = gid
    into.mode = shownMode(into.mode, record)
  }

  #defaultOwner(caller: Caller): Owner {
    return this.#unowned === "caller" ? caller : this.#unowned
  }

  #planChange(record: OwnerRecord, before: Readonly<Attributes>, changes: Changes, caller: Caller): Plan {
    const { uid, gid, mode } = changes
    const type = before.mode & sys.S_IFMT
    const shown = shownMode(before.mode, record) & PERMISSIONS
    const was = record.owner ?? this.#defaultOwner(caller)
    const chowned = uid !== undefined || gid !== undefined
    const asked = mode === undefined ? (chowned ? withoutIdentity(shown, type) : shown) : mode & PERMISSIONS
    const owner = chowned ? { uid: uid ?? was.uid, gid: gid ?? was.gid } : record.owner
    // Permissions that nobody has asked for stay as they are on the host, and those of links are nobody's business.
    const stays = asked === shown || type === sys.S_IFLNK
    const real = stays ? before.mode & PERMISSIONS : realMode(asked, type)
    return { asked, real, owner: owner ?? lender(asked, type, caller) }
  }

  /** What a file made by `caller` in `parent` is to be. `mode` has its type. */
  #plan(parent: NodeId, mode: number, caller: Caller): Plan {
    const type = mode & sys.S_IFMT
    const above = this.#recordOfDirectory(parent, caller)
    const inherits = ((above.mode?.asked ?? 0) & S_ISGID) !== 0
    const asked = (mode & PERMISSIONS) | (inherits && type === sys.S_IFDIR ? S_ISGID : 0)
    const real = type === sys.S_IFLNK ? asked : realMode(asked, type)
    const gid = inherits && above.owner !== undefined ? above.owner.gid : caller.gid
    const owner = above.owner === undefined ? lender(asked, type, caller) : { uid: caller.uid, gid }
    return { owner, asked, real }
  }

  #recordOfDirectory(node: NodeId, caller: Caller): OwnerRecord {
    const known = this.records.known(node)
    if (known !== undefined) return known
    const result = this.#fs.getAttributes(node, -1, caller, this.#before)
    return result < 0 ? NO_RECORD : this.records.of(node, this.#before)
  }

  #made(node: number, plan: Plan, caller: Caller, into: Attributes, undo: () => void): number {
    if (node < 0) return node
    const kept = this.#keep({ node, handle: -1 }, plan, caller, into)
    if (kept < 0) {
      undo()
      this.#fs.forget(node, 1)
      return kept
    }
    this.#show(node, caller, into)
    return node
  }

  /** Keeps what a plan says beyond what the host has come to. `into` is the file as it is on the host, before and after. */
  #keep(file: File, plan: Plan, caller: Caller, into: Attributes): number {
    const { node, handle } = file
    const had = this.records.of(node, into)
    if (isSame(recordOf(plan, into), had)) return 0
    this.#widen(file, caller, into)
    const result = this.records.write(node, into, recordOf(plan, into))
    if (result < 0) return result
    // Keeping it may have changed the time of change.
    const again = this.#fs.getAttributes(node, handle, caller, into)
    if (again === 0) this.records.remember(node, into, recordOf(plan, into))
    return again
  }

  /** user.* attributes can only be set by who may write: a file of ours that denies it to us is opened to us, and shown as it was. */
  #widen({ node, handle }: File, caller: Caller, into: Attributes): void {
    const host = into.mode & PERMISSIONS
    const needed = host | needs(into.mode)
    if (host === needed || !this.records.takesAttributes(into)) return
    const widened = newAttributes()
    if (this.#fs.setAttributes(node, handle, { mode: needed }, caller, widened) === 0)
      Object.assign(into, widened)
  }

  /** chmod(2) and chown(2) mark a file as changed whatever it was before, and wherever the record is. What the host does not let us mark stays as it is. */
  #mark({ node, handle }: File, plan: Plan, caller: Caller, into: Attributes): void {
    const { mode, modifySeconds: seconds, modifyNanoseconds: nanoseconds } = into
    // Setting these anew may take them away.
    if ((mode & (S_ISUID | S_ISGID)) !== 0) return
    const isLink = (mode & sys.S_IFMT) === sys.S_IFLNK
    const same = isLink ? { modify: { seconds, nanoseconds } } : { mode: mode & PERMISSIONS }
    const marked = newAttributes()
    if (this.#fs.setAttributes(node, handle, same, caller, marked) < 0) return
    Object.assign(into, marked)
    this.records.remember(node, into, recordOf(plan, into))
  }

  #openExisting({ parent, name }: Place, how: HowToCreate, caller: Caller, into: Attributes): number {
    const node = this.#fs.lookup(parent, name, caller, into)
    if (node < 0) return node
    const handle = this.#fs.open(node, how.flags, caller)
    const result = handle < 0 ? handle : this.#fs.getAttributes(node, handle, caller, into)
    if (result < 0) {
      if (handle >= 0) this.#fs.release(handle)
      this.#fs.forget(node, 1)
      return result
    }
    how.opened = handle
    this.#show(node, caller, into)
    return node
  }

  /** Takes a name away, and the file's record in the database with its last one. */
  #dropping({ parent, name }: Place, caller: Caller, remove: () => number): number {
    if (this.#database.size === 0) return remove()
    const node = this.#fs.lookup(parent, name, caller, this.#before)
    if (node < 0) return remove()
    const isLast = this.#before.links === 1 || (this.#before.mode & sys.S_IFMT) === sys.S_IFDIR
    // Looked for while the file is there: afterwards nothing tells which records were its.
    const drop = isLast ? this.records.keptOf(node, this.#before) : () => undefined
    const result = remove()
    if (result === 0) drop()
    this.#fs.forget(node, 1)
    return result
  }
}

function recordOf({ owner, asked }: Plan, { mode }: Readonly<Attributes>): OwnerRecord {
  const real = mode & PERMISSIONS
  const isLink = (mode & sys.S_IFMT) === sys.S_IFLNK
  return { owner, mode: isLink || asked === real ? undefined : { asked, real } }
}

/** A file that lends its owner's identity has to have one: else it would lend anybody's. */
function lender(asked: number, type: number, { uid, gid }: Caller): Owner | undefined {
  return type === sys.S_IFREG && (asked & (S_ISUID | S_ISGID)) !== 0 ? { uid, gid } : undefined
}

/** chown(2): a program that changes hands lends nobody's identity any more. */
function withoutIdentity(mode: number, type: number): number {
  if (type !== sys.S_IFREG) return mode
  return mode & ~(S_ISUID | ((mode & S_IXGRP) !== 0 ? S_ISGID : 0))
}

function isSame(one: OwnerRecord, other: OwnerRecord): boolean {
  return (
    one.owner?.uid === other.owner?.uid &&
    one.owner?.gid === other.owner?.gid &&
    one.mode?.asked === other.mode?.asked &&
    one.mode?.real === other.mode?.real
  )
}
