/**
 * nfsstat3, RFC 1813 §2.6, and how the errors of a file system become one.
 *
 * @module
 */
import * as sys from "@skep/loop/sys"

export const OK = 0
export const PERM = 1
export const NOENT = 2
export const IO = 5
export const NXIO = 6
export const ACCES = 13
export const EXIST = 17
export const XDEV = 18
export const NODEV = 19
export const NOTDIR = 20
export const ISDIR = 21
export const INVAL = 22
export const FBIG = 27
export const NOSPC = 28
export const ROFS = 30
export const MLINK = 31
export const NAMETOOLONG = 63
export const NOTEMPTY = 66
export const DQUOT = 69
export const STALE = 70
export const BADHANDLE = 10001
export const NOT_SYNC = 10002
export const BAD_COOKIE = 10003
export const NOTSUPP = 10004
export const TOOSMALL = 10005
export const SERVERFAULT = 10006
export const BADTYPE = 10007
export const JUKEBOX = 10008

/** By error number. JUKEBOX is "ask again later": what is short now may be there then. */
const STATUS: ReadonlyMap<number, number> = new Map([
  [sys.EPERM, PERM],
  [sys.ENOENT, NOENT],
  [sys.EIO, IO],
  [sys.ENXIO, NXIO],
  [sys.EACCES, ACCES],
  [sys.EEXIST, EXIST],
  [named("EXDEV"), XDEV],
  [sys.ENODEV, NODEV],
  [sys.ENOTDIR, NOTDIR],
  [named("EISDIR"), ISDIR],
  [sys.EINVAL, INVAL],
  [named("EFBIG"), FBIG],
  [sys.ENOSPC, NOSPC],
  [named("EROFS"), ROFS],
  [named("EMLINK"), MLINK],
  [sys.ENAMETOOLONG, NAMETOOLONG],
  [named("ENOTEMPTY"), NOTEMPTY],
  [named("EDQUOT"), DQUOT],
  [sys.ESTALE, STALE],
  // An open file that somebody closed under us: its name may lead to it again.
  [sys.EBADF, STALE],
  [sys.EOPNOTSUPP, NOTSUPP],
  [sys.ENOSYS, NOTSUPP],
  // What a program is made of is not written while it runs.
  [named("ETXTBSY"), ACCES],
  // A link where there should be none, RFC 1813 says for its procedures: of a wrong type.
  [named("ELOOP"), INVAL],
  [sys.EOVERFLOW, FBIG],
  [sys.EBUSY, ACCES],
  [sys.EAGAIN, JUKEBOX],
  [sys.EMFILE, JUKEBOX],
  [sys.ENFILE, JUKEBOX],
  [sys.ENOMEM, JUKEBOX],
  [sys.ENOBUFS, JUKEBOX],
  [sys.ETIMEDOUT, JUKEBOX],
])

/** The status of a result: OK from zero on, else that of `-errno`. */
export function of(result: number): number {
  return result >= 0 ? OK : (STATUS.get(-result) ?? IO)
}

const NAMES: Readonly<Record<number, string>> = {
  [OK]: "OK",
  [PERM]: "PERM",
  [NOENT]: "NOENT",
  [IO]: "IO",
  [NXIO]: "NXIO",
  [ACCES]: "ACCES",
  [EXIST]: "EXIST",
  [XDEV]: "XDEV",
  [NODEV]: "NODEV",
  [NOTDIR]: "NOTDIR",
  [ISDIR]: "ISDIR",
  [INVAL]: "INVAL",
  [FBIG]: "FBIG",
  [NOSPC]: "NOSPC",
  [ROFS]: "ROFS",
  [MLINK]: "MLINK",
  [NAMETOOLONG]: "NAMETOOLONG",
  [NOTEMPTY]: "NOTEMPTY",
  [DQUOT]: "DQUOT",
  [STALE]: "STALE",
  [BADHANDLE]: "BADHANDLE",
  [NOT_SYNC]: "NOT_SYNC",
  [BAD_COOKIE]: "BAD_COOKIE",
  [NOTSUPP]: "NOTSUPP",
  [TOOSMALL]: "TOOSMALL",
  [SERVERFAULT]: "SERVERFAULT",
  [BADTYPE]: "BADTYPE",
  [JUKEBOX]: "JUKEBOX",
}

/** For logs and tests. */
export function pretty(status: number): string {
  return NAMES[status] ?? `status ${status}`
}

function named(name: string): number {
  const errno = sys.errnoOf(name)
  if (errno === undefined) throw new Error(`Cannot map ${name}: no such error`)
  return errno
}
