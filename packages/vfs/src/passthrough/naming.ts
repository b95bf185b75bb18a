/**
 * Names: looking them up, making what has one, taking them away, moving them.
 *
 * @module
 */
import type { Region } from "@skep/loop/memory"
import * as sys from "@skep/loop/sys"
import {
  type Attributes,
  type Caller,
  type HowToCreate,
  type Name,
  type NewNode,
  type NodeId,
  type Place,
  RENAME_EXCHANGE,
  RENAME_NOREPLACE,
} from "../filesystem.ts"
import type { Core } from "./core.ts"
import { dots } from "./memory.ts"
import { ROOT_SLOT } from "./node-table.ts"

/** What of open(2)'s flags the host is asked for; O_DIRECT would need aligned memory, and the others act on names. */
const PASSED = sys.O_ACCMODE | sys.O_APPEND | sys.O_SYNC | sys.O_DSYNC
/** No file waits for its other end, and none becomes our terminal. */
const ALWAYS = sys.O_NONBLOCK | sys.O_NOCTTY

export class Naming {
  readonly #core: Core
  /** What `#at` found: the directory's slot, its descriptor, and the length of the name. */
  #slot = 0
  #fd = 0
  #length = 0

  constructor(core: Core) {
    this.#core = core
  }

  lookup(parent: NodeId, name: Name, into: Attributes): number {
    const { core } = this
    const special = dots(name, name.length)
    if (special > 0) return this.#lookupDots(parent, special, into)
    const error = this.#at(parent, name)
    if (error < 0) return error
    const result = core.stat.ofName(this.#fd, core.memory.name.address)
    if (result === 0) return core.know(this.#slot, core.memory.name, this.#length, into)
    if (result !== -sys.ENOENT || this.#slot !== ROOT_SLOT) return result
    // Nothing is in a directory that was removed; another one may be at its place.
    if (core.stat.ofDescriptor(this.#fd) < 0 || core.stat.links > 0) return result
    return core.checkRoot() === "replaced" ? this.lookup(parent, name, into) : -sys.ESTALE
  }

  makeNode(parent: NodeId, name: Name, node: NewNode, caller: Caller, into: Attributes): number {
    const { mode, rdev } = node
    if ((mode & sys.S_IFMT) === sys.S_IFDIR) return -sys.EPERM
    return this.#make({ parent, name, mode }, caller, into, (directory, address) =>
      sys.mknodat(directory, address, mode, rdev),
    )
  }

  makeDirectory(parent: NodeId, name: Name, mode: number, caller: Caller, into: Attributes): number {
    return this.#make({ parent, name, mode }, caller, into, (directory, address) =>
      sys.mkdirat(directory, address, mode & 0o7777),
    )
  }

  makeSymlink(parent: NodeId, name: Name, target: Name, caller: Caller, into: Attributes): number {
    const length = this.core.memory.takeTarget(target)
    if (length < 0) return length
    return this.#make({ parent, name, mode: 0 }, caller, into, (directory, address) =>
      sys.symlinkat(this.core.memory.target.address, directory, address),
    )
  }

  link(node: NodeId, parent: NodeId, name: Name, into: Attributes): number {
    const { core } = this
    const error = this.#at(parent, name)
    if (error < 0) return error
    if (core.options.readOnly) return this.#existsOr(-sys.EROFS)
    const slot = core.slot(node)
    if (slot < 0) return slot
    // As link(2) looks: at the name it is to have before at what it is.
    if (core.table.type(slot) === sys.S_IFDIR) return this.#existsOr(-sys.EPERM)
    const fd = core.descriptor(slot)
    if (fd < 0) return fd
    const { memory, walker, stat } = core
    const own = memory.descriptorName(fd)
    const to = memory.name.address
    const result = sys.linkat(walker.descriptors, own, this.#fd, to, sys.AT_SYMLINK_FOLLOW)
    if (result < 0) return result
    const asked = stat.ofName(this.#fd, to)
    return asked < 0 ? asked : core.know(this.#slot, memory.name, this.#length, into)
  }

  /** `how.opened` is the descriptor, for `handles`. */
  create(parent: NodeId, name: Name, how: HowToCreate, caller: Caller, into: Attributes): number {
    const { core } = this
    const error = this.#at(parent, name)
    if (error < 0) return error
    const { memory, options } = core
    const mode = how.mode & 0o7777
    const flags = passed(how.flags)
    if (flags < 0) return flags
    for (;;) {
      // Never without O_EXCL: it would open whatever is there.
      const made = sys.O_CREAT | sys.O_EXCL | sys.O_NOFOLLOW
      const fd = options.readOnly
        ? this.#existsOr(-sys.EROFS)
        : this.#openOrMakeRoom(memory.name.address, flags | made, mode)
      if (fd >= 0) return this.#created(fd, mode, how, caller, into)
      if (fd !== -sys.EEXIST || (how.flags & sys.O_EXCL) !== 0) return fd
      const opened = this.#openExisting(how, into)
      // It was there a moment ago.
      if (opened !== -sys.ENOENT) return opened
    }
  }

  unlink(parent: NodeId, name: Name, flags: number): number {
    const { core } = this
    const error = this.#at(parent, name)
    if (error < 0) return error
    if (core.options.readOnly) return this.#existsOr(-sys.ENOENT, -sys.EROFS)
    const { memory, table } = core
    const asked = core.stat.ofName(this.#fd, memory.name.address)
    if (asked < 0) return asked
    const victim = this.#beforeLoss(this.#fd, memory.name)
    const last = this.#isLast()
    const result = sys.unlinkat(this.#fd, memory.name.address, flags)
    if (result === 0 && victim >= 0)
      if (last) table.setGone(victim)
      else table.forgetPlace(victim, this.#slot, memory.name.bytes, this.#length)
    return result
  }

  rename(from: Place, to: Place, flags: number): number {
    const { core } = this
    if (flags !== 0 && flags !== RENAME_NOREPLACE && flags !== RENAME_EXCHANGE) return -sys.EINVAL
    const { memory, stat } = core
    const fromError = this.#at(from.parent, from.name)
    if (fromError < 0) return fromError
    const slot = core.slot(to.parent)
    const length = slot < 0 ? slot : memory.takeName(to.name, memory.other)
    if (length < 0) return length
    const fd = core.directory(slot)
    if (fd < 0) return fd
    if (core.options.readOnly) return this.#existsOr(-sys.ENOENT, -sys.EROFS)
    const asked = stat.ofName(this.#fd, memory.name.address)
    if (asked < 0) return asked
    const moved = core.known()
    const there = stat.ofName(fd, memory.other.address) === 0
    const old = { slot: this.#slot, bytes: memory.name.bytes, length: this.#length, fd: this.#fd }
    const next = { slot, bytes: memory.other.bytes, length, fd }
    if (flags === RENAME_EXCHANGE)
      return this.#exchange({ moved, other: there ? core.known() : -1, old, next })
    const victim = there ? this.#beforeLoss(fd, memory.other) : -1
    return this.#move({ moved, victim, last: this.#isLast(), flags, old, next })
  }

  #move(what: {
    readonly moved: number
    readonly victim: number
    readonly last: boolean
    readonly flags: number
    readonly old: Spot
    readonly next: Spot
  }): number {
    const { moved, victim, old, next } = what
    const { memory, table } = this.core
    const noted = moved >= 0 && table.mayBeAt(moved, next.slot, next.bytes, next.length)
    const result = sys.renameat2(old.fd, memory.name.address, next.fd, memory.other.address, what.flags)
    if (result < 0) {
      if (noted) table.forgetPlace(moved, next.slot, next.bytes, next.length)
      return result
    }
    // Two names of one file: rename(2) does nothing.
    if (moved >= 0 && moved === victim) return 0
    if (moved >= 0) this.#moved(moved, old, next, noted)
    if (victim < 0) return 0
    if (what.last) table.setGone(victim)
    else table.forgetPlace(victim, next.slot, next.bytes, next.length)
    return 0
  }

  #exchange(what: {
    readonly moved: number
    readonly other: number
    readonly old: Spot
    readonly next: Spot
  }): number {
    const { moved, other, old, next } = what
    const { memory, table } = this.core
    const noted = moved >= 0 && table.mayBeAt(moved, next.slot, next.bytes, next.length)
    const back = other >= 0 && table.mayBeAt(other, old.slot, old.bytes, old.length)
    const { name, other: newName } = memory
    const result = sys.renameat2(old.fd, name.address, next.fd, newName.address, RENAME_EXCHANGE)
    if (result < 0) {
      if (noted) table.forgetPlace(moved, next.slot, next.bytes, next.length)
      if (back) table.forgetPlace(other, old.slot, old.bytes, old.length)
      return result
    }
    if (moved === other) return 0
    if (moved >= 0) this.#moved(moved, old, next, noted)
    if (other >= 0) this.#moved(other, next, old, back)
    return 0
  }

  get core(): Core {
    return this.#core
  }

  #moved(slot: number, old: Spot, next: Spot, noted: boolean): void {
    const { table } = this.core
    if (noted) table.forgetPlace(slot, old.slot, old.bytes, old.length)
    else table.seenAt(slot, next.slot, next.bytes, next.length, false)
  }

  /** Takes a name below a directory. */
  #at(parent: NodeId, name: Name): number {
    const slot = this.core.slot(parent)
    if (slot < 0) return slot
    if (this.core.table.type(slot) !== sys.S_IFDIR) return -sys.ENOTDIR
    const length = this.core.memory.takeName(name)
    if (length < 0) return length
    const fd = this.core.descriptor(slot)
    if (fd < 0) return fd
    this.#slot = slot
    this.#fd = fd
    this.#length = length
    return 0
  }

  #lookupDots(parent: NodeId, special: number, into: Attributes): number {
    const { core } = this
    const slot = core.slot(parent)
    if (slot < 0) return slot
    const fd = core.directory(slot)
    if (fd < 0) return fd
    let found = slot
    if (special === 2 && slot !== ROOT_SLOT) {
      // Where the directory was moved by others, `..` is not what it was, and may be outside.
      found = core.table.parent(slot)
      const above = core.ask(found)
      if (above < 0) return above
    }
    const result = core.ask(found)
    if (result < 0) return result
    core.stat.fill(into)
    core.table.refer(found)
    return core.table.id(found)
  }

  #make(
    what: { readonly parent: NodeId; readonly name: Name; readonly mode: number },
    caller: Caller,
    into: Attributes,
    call: (directory: number, name: number) => number,
  ): number {
    const { core } = this
    const error = this.#at(what.parent, what.name)
    if (error < 0) return error
    if (core.options.readOnly) return this.#existsOr(-sys.EROFS)
    const result = call(this.#fd, core.memory.name.address)
    if (result < 0) return result
    const made = { parent: this.#slot, directory: this.#fd, length: this.#length, mode: what.mode, fd: -1 }
    return core.finish(made, caller, into)
  }

  /** What is said in place of doing it: of a name that is there, or is not. */
  #existsOr(missing: number, there: number = -sys.EEXIST): number {
    const asked = this.core.stat.ofName(this.#fd, this.core.memory.name.address)
    if (asked === 0) return there
    return asked === -sys.ENOENT ? missing : asked
  }

  #openOrMakeRoom(name: number, flags: number, mode: number): number {
    const fd = sys.openat(this.#fd, name, flags, mode)
    if (fd !== -sys.EMFILE && fd !== -sys.ENFILE) return fd
    if (!this.core.walker.makeRoom()) return fd
    this.#fd = this.core.descriptor(this.#slot)
    return this.#fd < 0 ? this.#fd : sys.openat(this.#fd, name, flags, mode)
  }

  #created(fd: number, mode: number, how: HowToCreate, caller: Caller, into: Attributes): number {
    const { core } = this
    const made = { parent: this.#slot, directory: this.#fd, length: this.#length, mode, fd }
    const node = core.finish(made, caller, into)
    if (node < 0) {
      sys.close(fd)
      return node
    }
    const handle = core.handles.add(core.table.slotOf(node), fd, kept(how.flags), false)
    if (handle < 0) return this.#unrefer(node, handle)
    how.opened = handle
    return node
  }

  #openExisting(how: HowToCreate, into: Attributes): number {
    const { core } = this
    const asked = core.stat.ofName(this.#fd, core.memory.name.address)
    if (asked < 0) return asked
    const node = core.know(this.#slot, core.memory.name, this.#length, into)
    if (node < 0) return node
    const handle = openNode(core, core.table.slotOf(node), how.flags)
    if (handle < 0) return this.#unrefer(node, handle === -sys.ESTALE ? -sys.ENOENT : handle)
    how.opened = handle
    // Opening it may have cut it.
    if ((how.flags & sys.O_TRUNC) !== 0 && core.ask(core.table.slotOf(node)) === 0) core.stat.fill(into)
    return node
  }

  #unrefer(node: NodeId, error: number): number {
    this.core.table.unrefer(this.core.table.slotOf(node), 1)
    return error
  }

  /** The slot of what was asked last, with a descriptor where somebody holds it: it may lose its last name. */
  #beforeLoss(directory: number, name: Region): number {
    const { table, walker, handles } = this.core
    const slot = this.core.known()
    if (slot < 0 || !this.#isLast() || table.references(slot) === 0) return slot
    if (walker.kept(slot) < 0 && handles.descriptorOf(slot) < 0) walker.open(slot, directory, name.address)
    return slot
  }

  #isLast(): boolean {
    const { stat } = this.core
    return stat.type === sys.S_IFDIR || stat.links <= 1
  }
}

/** A place by slot. */
interface Spot {
  readonly slot: number
  readonly bytes: Uint8Array
  readonly length: number
  /** Its directory's descriptor. */
  readonly fd: number
}

/** Opens a file, and returns its handle. */
export function openNode(core: Core, slot: number, flags: number): number {
  const type = core.table.type(slot)
  if (type === sys.S_IFDIR) return -sys.EISDIR
  if (type === sys.S_IFLNK) return -sys.ELOOP
  // What the others are for is between programs of one machine, and the guest's kernel does it itself.
  if (type !== sys.S_IFREG) return -sys.EOPNOTSUPP
  const asked = passed(flags)
  if (asked < 0) return asked
  const changes = (flags & sys.O_ACCMODE) !== sys.O_RDONLY || (flags & sys.O_TRUNC) !== 0
  if (changes && core.options.readOnly) return -sys.EROFS
  const fd = core.openAgain(slot, asked | (flags & sys.O_TRUNC))
  return fd < 0 ? fd : core.handles.add(slot, fd, kept(flags), false)
}

/** Opens again what a predecessor had open. */
export function reopen(core: Core, slot: number, flags: number, directory: boolean): number {
  if (!directory)
    return core.table.type(slot) === sys.S_IFREG ? core.openAgain(slot, passed(flags)) : -sys.ESTALE
  return openDirectory(core, slot)
}

/** A descriptor to read a directory by. */
export function openDirectory(core: Core, slot: number): number {
  const fd = core.directory(slot)
  if (fd < 0) return fd
  const flags = sys.O_RDONLY | sys.O_DIRECTORY
  const opened = sys.openat(fd, core.memory.dot, flags)
  if (opened !== -sys.EMFILE || !core.walker.makeRoom()) return opened
  const again = core.directory(slot)
  return again < 0 ? again : sys.openat(again, core.memory.dot, flags)
}

function passed(flags: number): number {
  return (flags & sys.O_ACCMODE) === sys.O_ACCMODE ? -sys.EINVAL : (flags & PASSED) | ALWAYS
}

function kept(flags: number): number {
  return flags & PASSED
}
