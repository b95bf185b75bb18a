/**
 * What files are when they were made, and what becomes of those that lose their names: mkdir, mkfifo, mknod, open, symlink, link, unlink, rmdir.
 *
 * @module
 */
import {
  type FileType,
  make,
  NOT_DIRECTORIES,
  OTHER,
  type PosixCase,
  posix,
  remove,
  TYPES,
  USER,
} from "../case.ts"

const MADE: readonly (readonly [string, string])[] = [
  ["file", "create"],
  ["directory", "mkdir"],
  ["fifo", "mkfifo"],
]

const FACTS: Readonly<Record<FileType, string>> = {
  file: "file 0644 1 0 0",
  directory: "directory 0755 2 0 0",
  fifo: "fifo 0644 1 0 0",
  block: "block 0644 1 0 0",
  character: "character 0644 1 0 0",
  socket: "socket 0644 1 0 0",
  symlink: "symlink 0777 1 0 0",
}

function made(): readonly PosixCase[] {
  return [
    ...TYPES.map((type) =>
      posix(
        `a ${type} is made, is what it is, and goes`,
        `${make(type, "x")} = 0
         lstat x type,mode,links,uid,gid = ${FACTS[type]}
         list . = ./d ../d x/${{ file: "f", directory: "d", fifo: "p", block: "b", character: "c", socket: "s", symlink: "l" }[type]}
         ${make(type, "x")} = EEXIST
         ${type === "directory" ? "unlink x = EISDIR" : "rmdir x = ENOTDIR"}
         keep . .
         ${remove(type, "x")} = 0
         moved . . = times:mc
         lstat x type = ENOENT
         ${remove(type, "x")} = ENOENT`,
      ),
    ),
    ...MADE.map(([type, step]) =>
      posix(
        `modes of a ${type} under a umask`,
        ["0000", "0022", "0077", "0070", "0501", "0345"]
          .map(
            (mask) =>
              `umask ${mask} = 0
               ${step} a${mask} 0777 = 0
               ${step} b${mask} 0640 = 0
               ${step} c${mask} 0151 = 0
               lstat a${mask} mode
               lstat b${mask} mode
               lstat c${mask} mode`,
          )
          .join("\n"),
      ),
    ),
    ...MADE.map(([type, step]) =>
      posix(
        `the owner of a ${type}, and its group below a directory with the bit for it`,
        `chmod . 0777 = 0
         ${USER} ${step} x 0755 = 0
         lstat x type,mode,uid,gid = ${type} 0755 1000 1000
         @1000:1000,2000 ${step} y 0755 = 0
         lstat y uid,gid = 1000 1000
         mkdir d 0755 = 0
         chown d 3000 4000 = 0
         chmod d 02777 = 0
         lstat d mode = 2777
         ${USER} ${step} d/x 0755 = 0
         lstat d/x uid,gid = 1000 4000
         lstat d/x mode
         ${USER} ${step} d/z 02755 = 0
         lstat d/z mode
         ${step} d/y 0755 = 0
         lstat d/y uid,gid = 0 4000`,
      ),
    ),
    posix(
      "devices have their numbers",
      `mknod a c 0600 1 3 = 0
       lstat a type,mode,rdev = character 0600 1:3
       mknod b b 0600 259 65537 = 0
       lstat b type,rdev = block 259:65537
       mknod c f 0600 = 0
       lstat c type,rdev = file 0:0
       ${USER} mknod d c 0600 1 3
       chmod . 0777 = 0
       ${USER} mknod d c 0600 1 3 = EPERM
       ${USER} mknod e p 0600 = 0
       ${USER} mknod f s 0600 = 0
       mknod g d 0700 = EPERM`,
    ),
  ]
}

function links(): readonly PosixCase[] {
  return [
    ...TYPES.filter((type) => type !== "directory").map((type) =>
      posix(
        `a ${type} by several names`,
        `${make(type, "a")} = 0
         keep a a
         mkdir d 0755 = 0
         link a b = 0
         moved a a = times:c
         lstat a links = 2
         link b d/c = 0
         lstat a links = 3
         lstat d/c type,links = ${type} 3
         same a d/c = same
         lchown d/c 65534 65533 = 0
         lstat a uid,gid = 65534 65533
         keep a b
         unlink a = 0
         moved a b = times:c
         lstat b links = 2
         unlink b = 0
         lstat d/c links = 1
         link d/c b = 0
         link d/c b = EEXIST
         link b d/c = EEXIST`,
      ),
    ),
    posix(
      "a directory has one name",
      `mkdir d 0755 = 0
       link d e = EPERM
       chmod . 0777 = 0
       ${USER} link d e = EPERM
       link missing e = ENOENT`,
    ),
    posix(
      "names for what a symbolic link leads to",
      `create f 0644 = 0
       symlink f l = 0
       link l hard = 0
       lstat hard type = symlink
       link_follow l real = 0
       lstat real type,links = file 2
       same f real = same`,
    ),
    posix(
      "symbolic links say what they were told",
      `symlink ${"t".repeat(4095)} long = 0
       readlink long = {%74*4095}
       lstat long size = 4095
       symlink ${"t".repeat(4096)} longer = ENAMETOOLONG
       symlink %ff%20/x odd = 0
       readlink odd = %ff%20/x
       symlink /absolute absolute = 0
       readlink absolute = /absolute
       create f 0644 = 0
       readlink f = EINVAL
       readlink . = EINVAL
       readlink missing = ENOENT
       keep f f
       readlink absolute = /absolute
       moved f f = times:`,
    ),
    posix(
      "links of a directory are its directories",
      `mkdir d 0755 = 0
       lstat d links = 2
       mkdir d/a 0755 = 0
       mkdir d/b 0755 = 0
       lstat d links = 4
       create d/f 0644 = 0
       symlink a d/l = 0
       lstat d links = 4
       rename d/a e = 0
       lstat d links = 3
       rename e d/e = 0
       lstat d links = 4
       rmdir d/b = 0
       lstat d links = 3
       rename d/e d/g = 0
       lstat d links = 3`,
    ),
  ]
}

function ends(): readonly PosixCase[] {
  return [
    posix(
      "rmdir: not of what is not empty, nor of itself",
      `mkdir d 0755 = 0
       ${TYPES.map(
         (type) => `${make(type, "d/x")} = 0
                    rmdir d = ENOTEMPTY
                    ${remove(type, "d/x")} = 0`,
       ).join("\n")}
       rmdir d/. = EINVAL
       mkdir d/e 0755 = 0
       rmdir d/e/.. = ENOTEMPTY
       rmdir d/e = 0
       rmdir d/ = 0
       rmdir d = ENOENT
       ${NOT_DIRECTORIES.map((type) => `${make(type, type)} = 0\nrmdir ${type} = ENOTDIR`).join("\n")}`,
    ),
    posix(
      "rmdir and unlink: times",
      `mkdir d 0755 = 0
       mkdir d/e 0755 = 0
       create d/f 0644 = 0
       keep d d = 0
       rmdir d/e = 0
       moved d d = times:mc
       keep d d = 0
       unlink d/f = 0
       moved d d = times:mc
       keep d d = 0
       unlink d/f = ENOENT
       rmdir d/f = ENOENT
       moved d d = times:`,
    ),
    posix(
      "a file without a name is there as long as it is open",
      `open A f rw,creat 0644 = 0
       write A 0 kept = 4
       unlink f = 0
       lstat f type = ENOENT
       fstat A type,links,size = file 0 4
       read A 0 10 = 4:kept
       write A 4 +more = 5
       ftruncate A 6 = 0
       read A 0 10 = 6:kept+m
       fchmod A 0600 = 0
       fchown A 5 6 = 0
       fstat A mode,uid,gid = 0600 5 6
       create f 0644 = 0
       contents f = 0:
       read A 0 10 = 6:kept+m
       close A = 0`,
    ),
    posix(
      "a directory without a name has no entries",
      `mkdir d 0755 = 0
       open A d r,directory = 0
       chdir d = 0
       rmdir ../d = 0
       create x 0644 = ENOENT
       mkdir x 0755 = ENOENT
       list .
       fstat A type`,
    ),
    posix(
      "many names, removed while they are read",
      `mkdir d 0755 = 0
       many d 500 = 0
       rmdir d = ENOTEMPTY
       clear d = 500
       list d = ./d ../d
       rmdir d = 0`,
    ),
    ...TYPES.map((type) =>
      posix(
        `a ${type} in a directory with the sticky bit goes by its owner, or the directory's`,
        `mkdir d 0755 = 0
         chown d 3000 3000 = 0
         chmod d 01777 = 0
         ${make(type, "d/x")} = 0
         lchown d/x 1000 1000 = 0
         ${OTHER} ${remove(type, "d/x")} = EPERM
         ${OTHER} rename d/x d/y = EPERM
         ${USER} rename d/x d/y = 0
         @3000:3000 rename d/y d/z = 0
         create d/other 0666 = 0
         chown d/other 2000 2000 = 0
         ${type === "directory" ? "" : `${USER} rename d/z d/other = EPERM`}
         ${USER} ${remove(type, "d/z")} = 0
         chmod d 0777 = 0
         ${USER} unlink d/other = 0`,
      ),
    ),
  ]
}

export function makingCases(): readonly PosixCase[] {
  return [...made(), ...links(), ...ends()]
}
