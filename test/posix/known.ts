/**
 * Where shares are not as the machine's own file system, by design: of the protocol, of the machine's kernel, or of ours.
 *
 * @module
 */
import type { Difference } from "./suite.ts"

/** `fuse` on any kernel, `virtiofs` and `nfs` in a machine. */
export type Kind = "fuse" | "virtiofs" | "nfs"

export interface Known {
  readonly on: readonly Kind[]
  readonly why: string
  readonly case: RegExp
  /** Of which steps; all of the case, unless told. */
  readonly line?: RegExp
  /** What is said there. */
  readonly found?: RegExp
}

export const KNOWN: readonly Known[] = [
  {
    on: ["fuse", "virtiofs", "nfs"],
    why: "neither FUSE 7.31, which we speak, nor NFSv3 makes files without a name; programs make a name and take it away",
    case: /^files without a name that get one$/,
  },
  {
    on: ["virtiofs", "nfs"],
    why: "shares are mounted with `nodev`: devices of the host's directories are none of the machine's",
    case: /^what is no file$/,
    line: /^open G none r$/,
    found: /^EACCES$/,
  },
  {
    on: ["fuse", "virtiofs"],
    why: "HANDLE_KILLPRIV_V2 (linux/fuse.h) takes S_ISGID away only with the group's execution, and does not say in which groups a caller is",
    case: /^bits that make programs others' go when the file is written/,
    line: /^lstat f mode$/,
    found: /^2767$/,
  },
  {
    on: ["fuse", "virtiofs"],
    why: "extended attributes but those of users are the host's business",
    case: /^extended attributes$/,
    line: / trusted\.a/,
    found: /^EOPNOTSUPP$/,
  },
  {
    on: ["nfs"],
    why: "NFSv3 has no extended attributes",
    case: /^(extended attributes|who may have extended attributes|attributes change no times but one)$/,
    found: /^(EOPNOTSUPP|names:|times:)$/,
  },
  {
    on: ["nfs"],
    why: "NFSv3 has no fallocate",
    case: /^room for data$/,
  },
  {
    on: ["nfs"],
    why: "NFSv3 does not say where holes are",
    case: /^where data is$/,
    line: /^seek /,
  },
  {
    on: ["nfs"],
    why: "NFSv3 renames without flags",
    case: /^RENAME_NOREPLACE and RENAME_EXCHANGE$/,
  },
  {
    on: ["nfs"],
    why: "NFSv3 has no open files: Linux gives one without a name another name until it is closed",
    case: /^(a file without a name is there as long as it is open|what was there loses a name)/,
    line: /^(fstat A .*links|list \.)/,
    found: /^(file 1 4|1|2|.*\.nfs.*)$/,
  },
  {
    on: ["nfs"],
    why: "a directory that was removed has no handle any more",
    case: /^a directory without a name has no entries$/,
    found: /^ESTALE$/,
  },
  {
    on: ["nfs"],
    why: "SETATTR names a file, not an open one: who may not write it may not cut it",
    case: /^an open file goes on when its permissions have gone$/,
    line: /^(@1000:1000 ftruncate A 4|contents f)$/,
  },
  {
    on: ["nfs"],
    why: "times of NFSv3 are 32 bits without a sign, and Linux has no nanoseconds at the first and last of them",
    case: /^times that need more than 31 bits/,
    line: /^lstat f atime/,
  },
  {
    on: ["nfs"],
    why: "Linux does not ask for a size that the file has",
    case: /^times that data sets$/,
    line: /^moved f f$/,
    found: /^times:$/,
  },
  {
    on: ["nfs"],
    why: "Linux leaves directories to the server, and so asks who may make devices first",
    case: /^devices have their numbers$/,
    line: /^@1000:1000 mknod d c/,
    found: /^EPERM$/,
  },
  {
    on: ["nfs"],
    why: "who may not search a directory is not told of what types its entries are",
    case: /^random names/,
    line: / list /,
    found: /^\.\/\? /,
  },
]

/** Which of these a difference is one of; undefined where it is a fault. */
export function knownAs(difference: Difference, kind: Kind): Known | undefined {
  return KNOWN.find(
    (known) =>
      known.on.includes(kind) &&
      known.case.test(difference.case) &&
      (known.line?.test(difference.line) ?? true) &&
      (known.found?.test(difference.found) ?? true),
  )
}
