/**
 * How virtiofsd is started: in a mount namespace of its own, in which a directory made for it holds all shares.
 *
 * One device has one directory, and a machine has many: so each is bind-mounted below an empty directory, under its number, as in Skep's own tree of
 * shares. The namespace goes with the process, and nothing of it is seen outside. What is hidden has something empty mounted over it.
 *
 * Two programs are called virtiofsd: QEMU's own of up to 7.2 in C (`-o source=`), and the one in Rust that came after it (`--shared-dir`).
 *
 * @module
 */
import type { ShareRule } from "@skep/contract"

/** Which of the two it is. */
export type Dialect = "c" | "rust"

export interface Staged {
  /** The name of the share in the tree. */
  readonly number: number
  readonly rule: ShareRule
  /** Below the share, without a slash in front. */
  readonly hidden: readonly string[]
}

/** By what `--version` prints: "virtiofsd version 7.2.22 …" of QEMU, "virtiofsd 1.10.0" or "virtiofsd backend 1.1.0". */
export function dialectOf(version: string): Dialect {
  return /^virtiofsd version /m.test(version) ? "c" : "rust"
}

/** What the program is told. */
export interface Told {
  readonly socket: string
  /** The directory that it serves. */
  readonly source: string
  readonly xattrs: boolean
}

/** The program's own arguments. Locks are kept by the guest, as with our own. */
export function programArguments(dialect: Dialect, { socket, source, xattrs }: Told): readonly string[] {
  if (dialect === "c") {
    const words = ["-f", `--socket-path=${socket}`, "-o", `source=${source}`, "-o", "cache=none"]
    return xattrs ? [...words, "-o", "xattr"] : words
  }
  return [
    `--socket-path=${socket}`,
    `--shared-dir=${source}`,
    "--cache=never",
    ...(xattrs ? ["--xattr"] : []),
    "--sandbox=namespace",
    "--inode-file-handles=never",
  ]
}

/** The arguments of `unshare`, which becomes `program`. */
export function unshareArguments(
  stage: string,
  shares: readonly Staged[],
  program: readonly string[],
): readonly string[] {
  const words = shares.flatMap(({ number, rule, hidden }) => [
    "share",
    String(number),
    rule.path,
    rule.readOnly ? "ro" : "rw",
    ...hidden.flatMap((path) => ["hide", `${number}/${path}`]),
  ])
  return [
    "--mount",
    "--propagation",
    "private",
    "sh",
    "-c",
    SCRIPT,
    "virtiofsd-stage",
    stage,
    ...words,
    "--",
    ...program,
  ]
}

/** Its words are data: nothing of them is read as a program. */
const SCRIPT = `
set -e
stage=$1
shift
mount -t tmpfs -o mode=755,size=1m skep-stage "$stage"
while [ "$1" != -- ]; do
  if [ "$1" = share ]; then
    mkdir "$stage/$2"
    mount --rbind "$3" "$stage/$2"
    [ "$4" = rw ] || mount -o remount,bind,ro "$stage/$2"
    shift 4
  else
    if [ -d "$stage/$2" ]; then mount -t tmpfs -o mode=000,size=4k skep-hidden "$stage/$2"
    else mount --bind /dev/null "$stage/$2"; fi
    shift 2
  fi
done
shift
exec "$@"
`
