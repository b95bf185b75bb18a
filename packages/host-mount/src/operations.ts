/**
 * File operations on a part of the server's tree, with the paths that FUSE's high-level interface has: absolute, below the mounted part. Each throws a
 * `FileError`. What the server does not tell apart (FAILURE) is told by a look at what is there, after the fact.
 *
 * @module
 */
import { constants } from "node:fs"
import { AttributeCache } from "./attribute-cache.ts"
import { confine } from "./confine.ts"
import { type ErrnoName, FileError } from "./errno.ts"
import type { Remote, Use, Work } from "./remote.ts"
import * as sftp from "./sftp.ts"

export interface OperationsOptions {
  /** Absolute, in the machine; a link at its end is followed. */
  readonly root: string
  /** Which path of the machine absolute links mean by that root: the root itself, or `/` where it is the root of a container. */
  readonly linkBase: string
  readonly readOnly: boolean
  /** How long attributes of a listing are told again. */
  readonly cacheMs: number
  readonly now: () => number
}

interface OpenFile {
  readonly handle: sftp.RemoteHandle
  /** Which connection it belongs to. */
  readonly connection: number
  readonly path: string
}

const PERMISSIONS = 0o7777
/** What the server's umask (022) takes away. */
const MASKED = 0o022
/** S_ISUID and S_ISGID. */
const RUNS_AS = 0o6000
const UNCHANGED = 0xffffffff
const CACHED_MAX = 65_536
/** Of a server that has no end. */
const ENTRIES_MAX = 1_000_000
const HANDLE_MAX = 0x7fffffff
const READS: Use = { again: true }

export class Operations {
  readonly #remote: Remote
  readonly #options: OperationsOptions
  readonly #cache: AttributeCache
  readonly #files = new Map<number, OpenFile>()
  #nextHandle = 1

  constructor(remote: Remote, options: OperationsOptions) {
    this.#remote = remote
    this.#options = options
    this.#cache = new AttributeCache({ ttlMs: options.cacheMs, entries: CACHED_MAX, now: options.now })
  }

  get openFiles(): number {
    return this.#files.size
  }

  async getAttributes(path: string): Promise<sftp.FileAttributes> {
    const known = this.#cache.get(path)
    if (known !== undefined) return known
    const look = path === "/" ? sftp.stat : sftp.lstat
    const found = await this.#remote.use((to) => look(to, this.#at(path)), READS)
    this.#cache.set(path, found)
    return found
  }

  /** Names, with `.` and `..`. Each request has the deadline, not all of them together: a directory may be large. */
  async readDirectory(path: string): Promise<readonly string[]> {
    const opened = await this.#remote.use(async (to, { connection, isOver }) => {
      const handle = await sftp.openDirectory(to, this.#at(path))
      if (isOver()) abandon(to, handle)
      return { handle, connection }
    }, READS)
    const only = { only: opened.connection }
    const prefix = path === "/" ? "/" : `${path}/`
    const names = [".", ".."]
    try {
      while (names.length < ENTRIES_MAX) {
        const more = await this.#remote.use((to) => sftp.nextEntries(to, opened.handle), only)
        if (more === undefined) break
        for (const { name, attributes } of more) {
          names.push(name)
          this.#cache.set(prefix + name, attributes)
        }
      }
    } finally {
      // Nobody waits for it, and it fails only when its connection ended, and it with that.
      this.#remote.use((to) => sftp.close(to, opened.handle), only).catch(() => undefined)
    }
    return names
  }

  async readLink(path: string): Promise<string> {
    const target = await this.#remote.use((to) => sftp.readLink(to, this.#at(path)), READS)
    return confine(path, target, this.#options.linkBase)
  }

  usage(path: string): Promise<sftp.Usage> {
    return this.#remote.use((to) => sftp.usage(to, this.#at(path)), READS)
  }

  /** `flags` are those of open(2), without O_CREAT, O_EXCL and O_TRUNC. */
  async open(path: string, flags: number): Promise<number> {
    const access = flags & (constants.O_WRONLY | constants.O_RDWR)
    if (access === constants.O_RDONLY) return await this.#open(path, sftp.OPEN.read)
    this.#checkWritable()
    try {
      const both = sftp.OPEN.read + sftp.OPEN.write
      return await this.#open(path, access === constants.O_RDWR ? both : sftp.OPEN.write)
    } catch (error) {
      throw await this.#explained(error, path, async () => undefined)
    }
  }

  /** Makes a file that is not there, and opens it. */
  async create(path: string, mode: number): Promise<number> {
    this.#checkWritable()
    this.#cache.forget(path)
    try {
      const opened = await this.#open(path, NEW_FILE, mode & PERMISSIONS)
      if ((mode & MASKED) !== 0) await this.changeMode(path, mode)
      return opened
    } catch (error) {
      throw await this.#explained(error, path, () => this.#ifThere(path, "EEXIST"))
    }
  }

  async #open(path: string, flags: number, mode?: number): Promise<number> {
    const file = await this.#remote.use(async (to, { connection, isOver }) => {
      const handle = await sftp.open(to, this.#at(path), flags, mode)
      if (isOver()) abandon(to, handle)
      return { handle, connection }
    })
    while (this.#files.has(this.#nextHandle)) this.#nextHandle = this.#following(this.#nextHandle)
    const number = this.#nextHandle
    this.#nextHandle = this.#following(number)
    this.#files.set(number, { ...file, path })
    return number
  }

  #following(handle: number): number {
    return handle >= HANDLE_MAX ? 1 : handle + 1
  }

  /** Never fails: what was written is with the server already. */
  async release(handle: number): Promise<void> {
    const file = this.#files.get(handle)
    if (file === undefined) return
    this.#files.delete(handle)
    await this.#remote
      .use((to) => sftp.close(to, file.handle), { only: file.connection })
      .catch(() => undefined) // its connection ended, and it with that
  }

  /** Fewer bytes than asked only at the end. */
  read(handle: number, into: Buffer, offset: number): Promise<number> {
    const file = this.#file(handle)
    return this.#remote.use((to) => sftp.read(to, file.handle, into, offset), { only: file.connection })
  }

  async write(handle: number, from: Buffer, offset: number): Promise<number> {
    this.#checkWritable()
    const file = this.#file(handle)
    this.#cache.forget(file.path)
    try {
      await this.#remote.use((to) => sftp.write(to, file.handle, from, offset), { only: file.connection })
      return from.length
    } catch (error) {
      throw await this.#explained(error, file.path, async () => undefined)
    } finally {
      this.#cache.forget(file.path)
    }
  }

  /** What was written is on the machine's disk. */
  async sync(handle: number): Promise<void> {
    const file = this.#file(handle)
    await this.#remote.use((to) => sftp.sync(to, file.handle), { only: file.connection })
  }

  async truncate(path: string, size: number): Promise<void> {
    await this.#change([path], (to) => sftp.setAttributes(to, this.#at(path), { size }))
  }

  async truncateOpen(handle: number, size: number): Promise<void> {
    const file = this.#file(handle)
    await this.#change([file.path], (to) => sftp.setHandleAttributes(to, file.handle, { size }), {
      only: file.connection,
    })
  }

  async changeMode(path: string, mode: number): Promise<void> {
    const now = this.#cache.get(path)
    const wanted = { mode: mode & PERMISSIONS }
    await this.#change([path], (to) => sftp.setAttributes(to, this.#at(path), wanted))
    if (now !== undefined) this.#cache.set(path, { ...now, mode: (now.mode & ~PERMISSIONS) | wanted.mode })
  }

  /** 2^32 - 1 leaves an id as it is. */
  async changeOwner(path: string, uid: number, gid: number): Promise<void> {
    const now = await this.getAttributes(path)
    const wanted = { uid: uid === UNCHANGED ? now.uid : uid, gid: gid === UNCHANGED ? now.gid : gid }
    await this.#changeNode(path, now, wanted)
    // Of a program, the kernel there takes the bits away that make it run as its owner.
    if ((now.mode & RUNS_AS) === 0) this.#cache.set(path, { ...now, ...wanted })
  }

  async changeTimes(path: string, accessMs: number, modifyMs: number): Promise<void> {
    const now = await this.getAttributes(path)
    const accessSeconds = Math.floor(accessMs / 1000)
    const modifySeconds = Math.floor(modifyMs / 1000)
    await this.#changeNode(path, now, { atime: accessSeconds, mtime: modifySeconds })
    this.#cache.set(path, { ...now, accessSeconds, modifySeconds })
  }

  /** Of the file itself, link or not: the plain request would change what a link leads to. */
  async #changeNode(
    path: string,
    { mode }: sftp.FileAttributes,
    wanted: Parameters<typeof sftp.setAttributes>[2],
  ): Promise<void> {
    const set = isLink(mode) ? sftp.setLinkAttributes : sftp.setAttributes
    await this.#change([path], (to) => set(to, this.#at(path), wanted))
  }

  async makeDirectory(path: string, mode: number): Promise<void> {
    await this.#change(
      [path],
      (to) => sftp.makeDirectory(to, this.#at(path), mode & PERMISSIONS),
      {},
      () => this.#ifThere(path, "EEXIST"),
    )
    if ((mode & MASKED) !== 0) await this.changeMode(path, mode)
  }

  async removeDirectory(path: string): Promise<void> {
    await this.#change(
      [path],
      (to) => sftp.removeDirectory(to, this.#at(path)),
      {},
      async () => ((await this.readDirectory(path)).length > 2 ? "ENOTEMPTY" : "EBUSY"),
    )
  }

  async unlink(path: string): Promise<void> {
    await this.#change([path], (to) => sftp.unlink(to, this.#at(path)))
  }

  async rename(from: string, to: string): Promise<void> {
    await this.#change(
      [from, to],
      (server) => sftp.rename(server, this.#at(from), this.#at(to)),
      {},
      () => this.#whyNotRenamed(from, to),
    )
    // Everything below has another name now.
    this.#cache.clear()
  }

  async link(from: string, to: string): Promise<void> {
    await this.#change(
      [from, to],
      (server) => sftp.link(server, this.#at(from), this.#at(to)),
      {},
      async () =>
        (await this.#ifThere(to, "EEXIST")) ?? ((await this.#areApart(from, to)) ? "EXDEV" : "EPERM"),
    )
  }

  /** The target is written as it is: it means the machine's files there. */
  async symlink(target: string, path: string): Promise<void> {
    await this.#change(
      [path],
      (to) => sftp.symlink(to, target, this.#at(path)),
      {},
      () => this.#ifThere(path, "EEXIST"),
    )
  }

  /** What of rename(2)'s errors the kernel leaves to us; EXDEV lets mv(1) copy instead. */
  async #whyNotRenamed(from: string, to: string): Promise<ErrnoName | undefined> {
    const target = await this.getAttributes(to).catch(() => undefined) // nothing there
    if (target !== undefined && isDirectory(target.mode) && (await this.readDirectory(to)).length > 2)
      return "ENOTEMPTY"
    return (await this.#areApart(from, to)) ? "EXDEV" : undefined
  }

  async #areApart(from: string, to: string): Promise<boolean> {
    const [here, there] = [await this.usage(parentOf(from)), await this.usage(parentOf(to))]
    return here.id !== there.id
  }

  async #ifThere(path: string, code: ErrnoName): Promise<ErrnoName | undefined> {
    this.#cache.forget(path)
    const found = await this.getAttributes(path).catch(() => undefined) // nothing there
    return found === undefined ? undefined : code
  }

  async #change(
    paths: readonly string[],
    work: Work<unknown>,
    how: Use = {},
    explain: () => Promise<ErrnoName | undefined> = async () => undefined,
  ): Promise<void> {
    this.#checkWritable()
    for (const path of paths) this.#cache.forget(path)
    try {
      await this.#remote.use(work, how)
    } catch (error) {
      throw await this.#explained(error, paths[0] ?? "/", explain)
    } finally {
      for (const path of paths) this.#cache.forget(path)
    }
  }

  /** A better error for one that said only that it failed. */
  async #explained(
    error: unknown,
    path: string,
    explain: () => Promise<ErrnoName | undefined>,
  ): Promise<unknown> {
    if (!(error instanceof FileError) || !error.vague) return error
    try {
      const code = (await explain()) ?? (await this.#ofTheDisk(path))
      return code === undefined ? error : new FileError(code, { cause: error })
    } catch {
      return error // nothing better is known
    }
  }

  async #ofTheDisk(path: string): Promise<ErrnoName | undefined> {
    const usage = await this.usage(parentOf(path))
    if (usage.readOnly) return "EROFS"
    const full = usage.blocks > 0 && usage.available === 0
    return full || (usage.files > 0 && usage.filesFree === 0) ? "ENOSPC" : undefined
  }

  #file(handle: number): OpenFile {
    const file = this.#files.get(handle)
    if (file === undefined) throw new FileError("EBADF")
    return file
  }

  #checkWritable(): void {
    if (this.#options.readOnly) throw new FileError("EROFS")
  }

  #at(path: string): string {
    const { root } = this.#options
    if (path === "/") return root
    return root === "/" ? path : root + path
  }
}

/** The kernel asks for this only where it has just found nothing, and a lock file must not be two programs'. */
const NEW_FILE = sftp.OPEN.read + sftp.OPEN.write + sftp.OPEN.create + sftp.OPEN.exclusive

/** Closes what was opened too late for whoever asked. */
function abandon(server: Parameters<typeof sftp.close>[0], handle: sftp.RemoteHandle): void {
  sftp.close(server, handle).catch(() => undefined) // nobody waits for it
}

function parentOf(path: string): string {
  const slash = path.lastIndexOf("/")
  return slash <= 0 ? "/" : path.slice(0, slash)
}

function isDirectory(mode: number): boolean {
  return (mode & constants.S_IFMT) === constants.S_IFDIR
}

function isLink(mode: number): boolean {
  return (mode & constants.S_IFMT) === constants.S_IFLNK
}
