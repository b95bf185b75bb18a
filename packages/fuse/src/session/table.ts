/**
 * Which operation a request is, what it has at least, and whether it may be done only once.
 *
 * What is not here is answered with ENOSYS, after which Linux does without it: ACCESS, since the guest's kernel checks permissions itself by what
 * attributes say; BMAP, IOCTL, POLL, TMPFILE; the mappings of DAX; SYNCFS, for which file systems here have no call.
 *
 * @module
 */
import { SETATTR_IN } from "../protocol/attributes.ts"
import * as c from "../protocol/constants.ts"
import { INIT_IN } from "../protocol/init.ts"
import * as files from "../protocol/open.ts"
import * as others from "../protocol/others.ts"
import * as attributes from "./operations/attributes.ts"
import * as begin from "./operations/begin.ts"
import * as directories from "./operations/directories.ts"
import * as file from "./operations/files.ts"
import * as locks from "./operations/locks.ts"
import * as names from "./operations/names.ts"
import type { Operation } from "./work.ts"

export interface Row {
  readonly run: Operation
  /** Bytes of its fixed arguments, and what a name has at least. */
  readonly least: number
  /** Whether a repetition would do something else than the first time. */
  readonly once: boolean
  /** Whether no answer is expected, so that there is no room for one. */
  readonly silent: boolean
}

const NAME = 2

/** Without them a guest asks for none. */
const EXTENDED: ReadonlySet<number> = new Set([c.SETXATTR, c.GETXATTR, c.LISTXATTR, c.REMOVEXATTR])

/** By opcode, for a guest that has extended attributes or has none. */
export function tableFor(xattrs: boolean): readonly (Row | undefined)[] {
  return xattrs ? TABLE : TABLE.map((row, opcode) => (EXTENDED.has(opcode) ? undefined : row))
}

const TABLE: readonly (Row | undefined)[] = (() => {
  const rows: (Row | undefined)[] = Array.from({ length: c.OPCODES }, () => undefined)
  const add = (
    opcode: number,
    least: number,
    run: Operation,
    how: "once" | "silent" | "any" = "any",
  ): void => {
    const silent = how === "silent"
    rows[opcode] = {
      run,
      least,
      once: how === "once" || opcode === c.FORGET || opcode === c.BATCH_FORGET,
      silent,
    }
  }
  add(c.LOOKUP, NAME, names.lookup)
  add(c.FORGET, others.FORGET_IN, names.forget, "silent")
  add(c.BATCH_FORGET, others.BATCH_FORGET_IN, names.forgetMany, "silent")
  add(c.MKNOD, others.MKNOD_IN + NAME, names.makeNode, "once")
  add(c.MKDIR, others.MKDIR_IN + NAME, names.makeDirectory, "once")
  add(c.SYMLINK, NAME + 1, names.makeSymlink, "once")
  add(c.LINK, others.LINK_IN + NAME, names.link, "once")
  add(c.UNLINK, NAME, names.unlink, "once")
  add(c.RMDIR, NAME, names.removeDirectory, "once")
  add(c.RENAME, others.RENAME_IN + 2 * NAME, names.rename, "once")
  add(c.RENAME2, others.RENAME2_IN + 2 * NAME, names.rename2, "once")
  add(c.READLINK, 0, names.readLink)
  add(c.GETATTR, others.GETATTR_IN, attributes.getAttributes)
  add(c.SETATTR, SETATTR_IN, attributes.setAttributes)
  add(c.STATFS, 0, attributes.usage)
  add(c.SETXATTR, others.SETXATTR_IN + 1, attributes.setExtended, "once")
  add(c.GETXATTR, others.GETXATTR_IN + 1, attributes.getExtended)
  add(c.LISTXATTR, others.GETXATTR_IN, attributes.listExtended)
  add(c.REMOVEXATTR, 1, attributes.removeExtended, "once")
  add(c.OPEN, files.OPEN_IN, file.open, "once")
  add(c.CREATE, files.CREATE_IN + NAME, file.create, "once")
  add(c.READ, files.READ_IN, file.read)
  add(c.WRITE, files.READ_IN, file.write, "once")
  add(c.RELEASE, files.RELEASE_IN, file.release)
  add(c.FLUSH, files.RELEASE_IN, file.flush)
  add(c.FSYNC, files.FSYNC_IN, file.sync)
  add(c.FSYNCDIR, files.FSYNC_IN, file.sync)
  add(c.FALLOCATE, files.FALLOCATE_IN, file.allocate)
  add(c.LSEEK, files.LSEEK_IN, file.seek)
  add(c.COPY_FILE_RANGE, files.COPY_IN, file.copy, "once")
  add(c.OPENDIR, files.OPEN_IN, directories.openDirectory, "once")
  add(c.READDIR, files.READ_IN, directories.readDirectory)
  add(c.READDIRPLUS, files.READ_IN, directories.readDirectoryPlus)
  add(c.RELEASEDIR, files.RELEASE_IN, directories.releaseDirectory)
  add(c.GETLK, others.LOCK_IN, locks.getLock)
  add(c.SETLK, others.LOCK_IN, locks.setLock)
  add(c.SETLKW, others.LOCK_IN, locks.waitForLock)
  add(c.INTERRUPT, others.INTERRUPT_IN, locks.interrupt, "silent")
  add(c.INIT, INIT_IN, begin.init)
  add(c.DESTROY, 0, begin.destroy)
  return rows
})()
