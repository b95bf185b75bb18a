/**
 * The requests of SFTP version 3 (draft-ietf-secsh-filexfer-02) and of OpenSSH's extensions (its PROTOCOL, section 4) as promises, over ssh2's client.
 * What the server answers is checked: it is the machine's, and may be anybody's by now.
 *
 * @module
 */
import type { FileEntryWithStats, InputAttributes, SFTPWrapper, Stats } from "ssh2"
import { FileError, fromStatus, STATUS, statusOf } from "./errno.ts"

/** An open file of the server. */
export type RemoteHandle = Buffer

/** What version 3 tells of a file. Times are whole seconds. */
export interface FileAttributes {
  readonly mode: number
  readonly uid: number
  readonly gid: number
  readonly size: number
  readonly accessSeconds: number
  readonly modifySeconds: number
}

export interface Entry {
  readonly name: string
  readonly attributes: FileAttributes
}

/** statvfs(3). */
export interface Usage {
  readonly blockSize: number
  readonly fragmentSize: number
  readonly blocks: number
  readonly free: number
  readonly available: number
  readonly files: number
  readonly filesFree: number
  readonly id: number
  readonly readOnly: boolean
  readonly nameMax: number
}

const NAME_MAX = 255
const READ_ONLY = 1

/** Without following a link at the end. */
export function lstat(sftp: SFTPWrapper, path: string): Promise<FileAttributes> {
  return asked<Stats>((done) => sftp.lstat(path, done)).then(checkedAttributes)
}

export function stat(sftp: SFTPWrapper, path: string): Promise<FileAttributes> {
  return asked<Stats>((done) => sftp.stat(path, done)).then(checkedAttributes)
}

export function openDirectory(sftp: SFTPWrapper, path: string): Promise<RemoteHandle> {
  return asked<Buffer>((done) => sftp.opendir(path, done))
}

/** Some more entries, but `.` and `..`, and but those whose names no directory can have. Undefined at the end. */
export async function nextEntries(
  sftp: SFTPWrapper,
  handle: RemoteHandle,
): Promise<readonly Entry[] | undefined> {
  try {
    const found = await asked<FileEntryWithStats[]>((done) => sftp.readdir(handle, done))
    return found
      .filter(({ filename }) => isName(filename))
      .map(({ filename, attrs }) => ({ name: filename, attributes: checkedAttributes(attrs) }))
  } catch (error) {
    if (isEnd(error)) return undefined
    throw error
  }
}

function isName(name: string): boolean {
  if (name === "" || name === "." || name === ".." || /[/\0]/.test(name)) return false
  return Buffer.byteLength(name) <= NAME_MAX
}

export function readLink(sftp: SFTPWrapper, path: string): Promise<string> {
  return asked<string>((done) => sftp.readlink(path, done))
}

/** Flags of a request to open, section 6.3. */
export const OPEN = { read: 1, write: 2, create: 8, exclusive: 32 } as const

/** `flags` as of `OPEN`, in sum. */
export function open(sftp: SFTPWrapper, path: string, flags: number, mode?: number): Promise<RemoteHandle> {
  return asked<Buffer>((done) => sftp.open(path, flags, mode === undefined ? {} : { mode }, done))
}

export function close(sftp: SFTPWrapper, handle: RemoteHandle): Promise<void> {
  return told((done) => sftp.close(handle, done))
}

/** Fills `into`; fewer bytes only at the end of the file. */
export async function read(
  sftp: SFTPWrapper,
  handle: RemoteHandle,
  into: Buffer,
  offset: number,
): Promise<number> {
  let done = 0
  while (done < into.length) {
    const from = done
    const count = await asked<number>((answer) =>
      sftp.read(handle, into, from, into.length - from, offset + from, answer),
    ).catch((error: unknown) => {
      if (isEnd(error)) return 0
      throw error
    })
    if (count <= 0) break
    done += count
  }
  return done
}

export function write(sftp: SFTPWrapper, handle: RemoteHandle, from: Buffer, offset: number): Promise<void> {
  return told((done) => sftp.write(handle, from, 0, from.length, offset, done))
}

export function sync(sftp: SFTPWrapper, handle: RemoteHandle): Promise<void> {
  return told((done) => sftp.ext_openssh_fsync(handle, done))
}

export function setAttributes(sftp: SFTPWrapper, path: string, changes: InputAttributes): Promise<void> {
  return told((done) => sftp.setstat(path, changes, done))
}

/** Of a link itself, where the server can: OpenSSH 8.0. */
export function setLinkAttributes(sftp: SFTPWrapper, path: string, changes: InputAttributes): Promise<void> {
  return told((done) => sftp.ext_openssh_lsetstat(path, changes, done))
}

export function setHandleAttributes(
  sftp: SFTPWrapper,
  handle: RemoteHandle,
  changes: InputAttributes,
): Promise<void> {
  return told((done) => sftp.fsetstat(handle, changes, done))
}

export function makeDirectory(sftp: SFTPWrapper, path: string, mode: number): Promise<void> {
  return told((done) => sftp.mkdir(path, { mode }, done))
}

export function removeDirectory(sftp: SFTPWrapper, path: string): Promise<void> {
  return told((done) => sftp.rmdir(path, done))
}

export function unlink(sftp: SFTPWrapper, path: string): Promise<void> {
  return told((done) => sftp.unlink(path, done))
}

/** Replaces what is there, as rename(2) does and the plain request does not. */
export function rename(sftp: SFTPWrapper, from: string, to: string): Promise<void> {
  return told((done) => sftp.ext_openssh_rename(from, to, done))
}

export function link(sftp: SFTPWrapper, from: string, to: string): Promise<void> {
  return told((done) => sftp.ext_openssh_hardlink(from, to, done))
}

export function symlink(sftp: SFTPWrapper, target: string, path: string): Promise<void> {
  return told((done) => sftp.symlink(target, path, done))
}

export async function usage(sftp: SFTPWrapper, path: string): Promise<Usage> {
  const found = await asked<unknown>((done) => sftp.ext_openssh_statvfs(path, done))
  const word = (name: string): number => {
    if (typeof found !== "object" || found === null) return 0
    const value: unknown = Reflect.get(found, name)
    return typeof value === "number" || typeof value === "bigint" ? Number(value) : 0
  }
  return {
    blockSize: word("f_bsize"),
    fragmentSize: word("f_frsize"),
    blocks: word("f_blocks"),
    free: word("f_bfree"),
    available: word("f_bavail"),
    files: word("f_files"),
    filesFree: word("f_ffree"),
    id: word("f_sid"), // as ssh2 calls it
    // SSH_FXE_STATVFS_ST_RDONLY
    readOnly: word("f_flag") % 2 === READ_ONLY,
    nameMax: word("f_namemax"),
  }
}

type Answer<T> = (error: Error | null | undefined, value: T) => void

/** Asks, and turns a status into what the kernel understands. An extension that the server has not is refused by ssh2 before it is sent. */
function asked<T>(ask: (done: Answer<T>) => void): Promise<T> {
  return new Promise((resolve, reject) => {
    try {
      ask((error, value) => {
        if (error === null || error === undefined) resolve(value)
        else reject(isEnd(error) || statusOf(error) === undefined ? error : fromStatus(error))
      })
    } catch (error) {
      reject(new FileError("EOPNOTSUPP", { cause: error }))
    }
  })
}

function told(ask: (done: (error?: Error | null) => void) => void): Promise<void> {
  return asked<void>((done) => ask((error) => done(error, undefined)))
}

function isEnd(error: unknown): boolean {
  return statusOf(error) === STATUS.eof
}

function checkedAttributes(found: Partial<RawAttributes>): FileAttributes {
  const { mode, size = 0 } = found
  if (mode === undefined || !Number.isSafeInteger(size)) throw new FileError("EIO")
  return {
    mode,
    uid: found.uid ?? 0,
    gid: found.gid ?? 0,
    size,
    accessSeconds: found.atime ?? 0,
    modifySeconds: found.mtime ?? 0,
  }
}

interface RawAttributes {
  readonly mode: number
  readonly uid: number
  readonly gid: number
  readonly size: number
  readonly atime: number
  readonly mtime: number
}
