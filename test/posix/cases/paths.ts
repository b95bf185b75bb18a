/**
 * What every call that takes a path says of paths: POSIX.1-2017, XBD 4.13 and the errors of each call. After pjdfstest's cases of the same.
 *
 * @module
 */
import { longPath, make, NAME_255, NAME_256, NOT_WALKED, type PosixCase, posix, USER } from "../case.ts"

/** Steps with PATH in the place of a path to something that is not there yet. */
const MAKERS: Readonly<Record<string, string>> = {
  mkdir: "mkdir PATH 0755",
  mkfifo: "mkfifo PATH 0644",
  mknod: "mknod PATH s 0644",
  open: "create PATH 0644",
  symlink: "symlink target PATH",
  link: "link source PATH",
  rename: "rename source PATH",
}

/** The same of something that is there: a file. */
const USERS: Readonly<Record<string, string>> = {
  chmod: "chmod PATH 0640",
  chown: "chown PATH 1 1",
  link: "link PATH other",
  lchown: "lchown PATH 1 1",
  open: "open A PATH r",
  rename: "rename PATH other",
  stat: "stat PATH type",
  lstat: "lstat PATH type",
  truncate: "truncate PATH 10",
  unlink: "unlink PATH",
  utimes: "utimes PATH 1.5 2.5",
}

function at(step: string, path: string): string {
  return step.replace("PATH", path)
}

function makers(): readonly PosixCase[] {
  return Object.entries(MAKERS).flatMap(([name, step]) => [
    posix(
      `${name}: names of 255 bytes, and no longer ones`,
      `create source 0644 = 0
       ${at(step, NAME_255)} = 0
       lstat ${NAME_255} links
       create source 0644
       ${at(step, NAME_256)} = ENAMETOOLONG
       ${at(step, `${NAME_256}/x`)} = ENAMETOOLONG`,
    ),
    posix(
      `${name}: paths of 4095 bytes, and no longer ones`,
      `create source 0644 = 0
       ${at(step, longPath(4095, "made"))} = 0
       ${at(step, longPath(4096, "more"))} = ENAMETOOLONG
       ${at(step, longPath(4097, "more"))} = ENAMETOOLONG
       lstat made type`,
    ),
    posix(
      `${name}: a directory on the way is missing, a loop, or no directory`,
      `create source 0644 = 0
       ${at(step, "missing/x")} = ENOENT
       symlink loop1 loop2 = 0
       symlink loop2 loop1 = 0
       ${at(step, "loop1/x")} = ELOOP
       symlink missing dangling = 0
       ${at(step, "dangling/x")} = ENOENT
       ${NOT_WALKED.map((type) => `${make(type, type)} = 0\n${at(step, `${type}/x`)} = ENOTDIR`).join("\n")}`,
    ),
    posix(
      `${name}: what is there already`,
      ["file", "directory", "fifo", "socket", "symlink"]
        .map((type) =>
          name === "rename"
            ? ""
            : `create source 0644
               ${make(type as "file", type)} = 0
               ${at(step, type)} = EEXIST
               unlink source`,
        )
        .join("\n"),
    ),
    posix(
      `${name}: in a directory that may not be searched, or not written`,
      `mkdir d 0755 = 0
       chown d 1000 1000 = 0
       create source 0644 = 0
       chown source 1000 1000 = 0
       chown . 1000 1000 = 0
       ${USER} ${at(step, "d/x")} = 0
       ${USER} chmod d 0644 = 0
       create source 0644
       chown source 1000 1000 = 0
       ${USER} ${at(step, "d/y")} = EACCES
       ${USER} chmod d 0555 = 0
       ${USER} ${at(step, "d/y")} = EACCES
       ${USER} chmod d 0755 = 0
       ${USER} ${at(step, "d/y")} = 0`,
    ),
    posix(
      `${name}: times of the directory it is made in`,
      `create source 0644 = 0
       mkdir d 0755 = 0
       keep d d = 0
       ${at(step, "d/x")} = 0
       moved d d = times:mc
       create source 0644
       keep d d = 0
       ${at(step, `d/${NAME_256}`)} = ENAMETOOLONG
       moved d d = times:`,
    ),
    posix(
      `${name}: a slash at the end, a dot, dots`,
      `create source 0644 = 0
       mkdir d 0755 = 0
       ${at(step, "d/x/")}
       ${at(step, "d/.")}
       ${at(step, "d/..")}
       list d`,
    ),
  ])
}

function users(): readonly PosixCase[] {
  return Object.entries(USERS).flatMap(([name, step]) => [
    posix(
      `${name} of what is there: long names and paths`,
      `create ${NAME_255} 0644 = 0
       ${at(step, NAME_255)}
       create ${NAME_255} 0644
       ${at(step, NAME_256)} = ENAMETOOLONG
       create made 0644 = 0
       close A
       ${at(step, longPath(4095, "made"))}
       ${at(step, longPath(4096, "made"))} = ENAMETOOLONG`,
    ),
    posix(
      `${name} of what is there: nothing, a loop, no directory on the way`,
      `${at(step, "missing")} = ENOENT
       ${at(step, "missing/x")} = ENOENT
       symlink loop1 loop2 = 0
       symlink loop2 loop1 = 0
       ${at(step, "loop1/x")} = ELOOP
       ${NOT_WALKED.map((type) => `${make(type, type)} = 0\n${at(step, `${type}/x`)} = ENOTDIR`).join("\n")}`,
    ),
    posix(
      `${name} of what is there: in a directory that may not be searched`,
      `chmod . 0777 = 0
       mkdir d 0755 = 0
       create d/x 0644 = 0
       chown d/x 1000 1000 = 0
       chown d 1000 1000 = 0
       chmod d 0644 = 0
       ${USER} ${at(step, "d/x")} = EACCES
       lstat d/x type = file`,
    ),
  ])
}

export function pathCases(): readonly PosixCase[] {
  return [
    ...makers(),
    ...users(),
    posix(
      "symbolic links: forty on the way, and no more",
      `mkdir d 0755 = 0
       symlink d l0 = 0
       ${Array.from({ length: 41 }, (_, index) => `symlink l${index} l${index + 1} = 0`).join("\n")}
       stat l39 type = directory
       stat l40 type = ELOOP
       create l39/x 0644 = 0
       create l40/y 0644 = ELOOP
       list d = ./d ../d x/f`,
    ),
    posix(
      "names are bytes",
      `create %ff%fe 0644 = 0
       create %c3%bc 0644 = 0
       create %c3%28 0644 = 0
       create %20 0644 = 0
       create %0a 0644 = 0
       create * 0644 = 0
       create -x 0644 = 0
       create %5c 0644 = 0
       list . = %0a/f %20/f */f -x/f ./d ../d \\/f %c3(/f %c3%bc/f %ff%fe/f
       rename %ff%fe %fe%ff = 0
       stat %fe%ff type = file
       create X 0644 = 0
       create x 0644 = 0
       same X x = different`,
    ),
    posix("the longest name that the file system says", "name_max . = 255"),
  ]
}
