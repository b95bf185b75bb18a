/**
 * Modes, owners and times: chmod, chown, utimensat, access.
 *
 * @module
 */
import { make, OTHER, type PosixCase, posix, TYPES, USER } from "../case.ts"

const FILES = TYPES.filter((type) => type !== "symlink")

function modes(): readonly PosixCase[] {
  return [
    ...FILES.map((type) =>
      posix(
        `modes of a ${type}`,
        `${make(type, "x")} = 0
         ${["0000", "0111", "0222", "0444", "0777", "1755", "2755", "4755", "7777", "0640"]
           .map((mode) => `chmod x ${mode} = 0\nlstat x mode = ${mode}`)
           .join("\n")}
         symlink x l = 0
         chmod l 0606 = 0
         lstat x mode = 0606
         keep x x = 0
         chmod x 0606 = 0
         moved x x = times:c
         lchown x 1000 1000 = 0
         keep x x = 0
         ${OTHER} chmod x 0777 = EPERM
         moved x x = times:
         ${USER} chmod x 0600 = 0
         lstat x mode = 0600`,
      ),
    ),
    posix(
      "the bit for a group belongs to those who are in it",
      `create f 0755 = 0
       chown f 1000 2000 = 0
       ${USER} chmod f 02755 = 0
       lstat f mode = 0755
       @1000:1000,2000 chmod f 02755 = 0
       lstat f mode = 2755
       ${USER} chmod f 04755 = 0
       lstat f mode = 4755
       ${USER} chmod f 01755 = 0
       lstat f mode
       mkdir d 0755 = 0
       chown d 1000 2000 = 0
       ${USER} chmod d 02755 = 0
       lstat d mode = 0755
       ${USER} chmod d 01755 = 0
       lstat d mode = 1755`,
    ),
    posix(
      "bits that make programs others' go when the file is written, but for root",
      `chmod . 0777 = 0
       ${USER} create f 0755 = 0
       chmod f 06777 = 0
       ${OTHER} open A f w = 0
       ${OTHER} write A 0 x = 1
       lstat f mode = 0777
       close A = 0
       chmod f 06777 = 0
       open A f w = 0
       write A 0 x = 1
       lstat f mode = 6777
       close A = 0
       chmod f 06777 = 0
       ${OTHER} truncate f 0 = 0
       lstat f mode = 0777
       truncate f 5 = 0
       chmod f 06777 = 0
       ${OTHER} open A f w,trunc = 0
       lstat f mode = 0777
       close A = 0
       truncate f 5 = 0
       chmod f 02767 = 0
       ${OTHER} truncate f 0 = 0
       lstat f mode`,
    ),
    posix(
      "fchmod",
      `open A f rw,creat 0644 = 0
       fchmod A 0600 = 0
       lstat f mode = 0600
       chown f 1000 1000 = 0
       ${OTHER} fchmod A 0644 = EPERM
       ${USER} fchmod A 0644 = 0
       unlink f = 0
       fchmod A 0400 = 0
       fstat A mode = 0400`,
    ),
  ]
}

function owners(): readonly PosixCase[] {
  return [
    ...TYPES.map((type) =>
      posix(
        `owners of a ${type}`,
        `${make(type, "x")} = 0
         keep x x = 0
         lchown x 123 456 = 0
         moved x x = times:c
         lstat x uid,gid = 123 456
         lchown x -1 457 = 0
         lstat x uid,gid = 123 457
         lchown x 124 -1 = 0
         lstat x uid,gid = 124 457
         keep x x = 0
         lchown x 124 457 = 0
         moved x x = times:c
         keep x x = 0
         lchown x -1 -1 = 0
         lstat x uid,gid = 124 457
         lchown x 4294967294 4294967294 = 0
         lstat x uid,gid = 4294967294 4294967294
         lchown x 0 0 = 0
         lstat x uid,gid = 0 0`,
      ),
    ),
    posix(
      "who may give a file away, and to whom",
      `create f 0644 = 0
       chown f 1000 1000 = 0
       ${USER} chown f 1001 -1 = EPERM
       ${USER} chown f -1 2000 = EPERM
       @1000:1000,2000 chown f -1 2000 = 0
       lstat f uid,gid = 1000 2000
       ${USER} chown f 1000 -1 = 0
       ${OTHER} chown f 2000 -1 = EPERM
       ${OTHER} chown f -1 2000 = EPERM
       @2000:2000,1000 chown f -1 1000 = EPERM
       lstat f uid,gid = 1000 2000`,
    ),
    posix(
      "through a symbolic link and of one",
      `create f 0644 = 0
       symlink f l = 0
       chown l 10 11 = 0
       lstat f uid,gid = 10 11
       lstat l uid,gid = 0 0
       lchown l 20 21 = 0
       lstat l uid,gid = 20 21
       lstat f uid,gid = 10 11
       symlink missing dangling = 0
       chown dangling 1 1 = ENOENT
       lchown dangling 1 1 = 0`,
    ),
    posix(
      "bits that make programs others' go with the owner",
      `create f 0755 = 0
       chown f 1000 1000 = 0
       chmod f 06755 = 0
       @1000:1000,2000 chown f -1 2000 = 0
       lstat f mode,gid = 0755 2000
       chmod f 06755 = 0
       chown f 0 0 = 0
       lstat f mode = 0755
       chmod f 06745 = 0
       chown f 1 1 = 0
       lstat f mode
       mkdir d 0755 = 0
       chmod d 06755 = 0
       chown d 5 5 = 0
       lstat d mode`,
    ),
    posix(
      "fchown",
      `open A f rw,creat 0644 = 0
       fchown A 7 8 = 0
       lstat f uid,gid = 7 8
       ${USER} fchown A 1000 1000 = EPERM
       rename f g = 0
       fchown A 9 -1 = 0
       lstat g uid,gid = 9 8`,
    ),
  ]
}

function times(): readonly PosixCase[] {
  return [
    ...TYPES.map((type) =>
      posix(
        `times of a ${type}`,
        `${make(type, "x")} = 0
         lutimes x 1000000000.123456789 1100000000.987654321 = 0
         lstat x atime,mtime = 1000000000.123456789 1100000000.987654321
         lutimes x omit 1200000000.000000001 = 0
         lstat x atime,mtime = 1000000000.123456789 1200000000.000000001
         lutimes x 1.500000000 omit = 0
         lstat x atime,mtime = 1.500000000 1200000000.000000001
         keep x x = 0
         lutimes x omit omit = 0
         moved x x = times:
         lutimes x omit now = 0
         moved x x = times:mc
         lutimes x now omit = 0
         moved x x = times:amc
         keep x x = 0
         lutimes x omit 2000000000.0 = 0
         moved x x = times:mc`,
      ),
    ),
    posix(
      "times that need more than 31 bits, and more than 32",
      `create f 0644 = 0
       utimes f 2147483648.500000000 4294967294.999999999 = 0
       lstat f atime,mtime = 2147483648.500000000 4294967294.999999999
       utimes f 0.500000000 1 = 0
       lstat f atime
       utimes f -1.500000000 -1000000000.250000000
       lstat f atime,mtime
       utimes f 4294967296.500000000 5000000000.250000000
       lstat f atime,mtime
       utimes f 1.1000000000 1 = EINVAL
       utimes f 1 1.-5 = EINVAL`,
    ),
    posix(
      "who may set times",
      `create f 0644 = 0
       chown f 1000 1000 = 0
       ${USER} utimes f 1 2 = 0
       ${USER} utimes f now now = 0
       ${OTHER} utimes f now now = EACCES
       ${OTHER} utimes f 1 2 = EPERM
       ${OTHER} utimes f now omit = EPERM
       ${OTHER} utimes f omit omit = 0
       chmod f 0666 = 0
       ${OTHER} utimes f now now = 0
       ${OTHER} utimes f 1 2 = EPERM
       ${USER} chmod f 0444 = 0
       ${USER} utimes f 3 4 = 0
       lstat f atime,mtime = 3.000000000 4.000000000`,
    ),
    posix(
      "times that data sets",
      `open A f rw,creat 0644 = 0
       write A 0 0123456789 = 10
       keep f f = 0
       write A 0 x = 1
       fsync A = 0
       moved f f = times:mc
       keep f f = 0
       ftruncate A 5 = 0
       moved f f = times:mc
       keep f f = 0
       truncate f 5 = 0
       moved f f = times:mc
       keep f f = 0
       truncate f 50 = 0
       moved f f = times:mc
       keep f f = 0
       read A 0 5 = 5:x1234
       fstat A size = 50
       futimes A 5 6 = 0
       fstat A atime,mtime = 5.000000000 6.000000000
       close A = 0
       open A f w,trunc = 0
       moved f f`,
    ),
  ]
}

const WHO = ["0:0", "1000:5000", "5001:2000", "5001:5002,2000", "5001:5002"]
const MODES = [
  "0000",
  "0400",
  "0200",
  "0100",
  "0040",
  "0020",
  "0010",
  "0004",
  "0002",
  "0001",
  "0706",
  "0070",
  "0607",
]

function accesses(): readonly PosixCase[] {
  return ["file", "directory"].map((type) =>
    posix(
      `who may do what with a ${type}`,
      `${make(type as "file", "x")} = 0
       chown x 1000 2000 = 0
       ${MODES.map((mode) =>
         [
           `chmod x ${mode} = 0`,
           ...WHO.flatMap((who) => [
             `@${who} access x r`,
             `@${who} access x w`,
             `@${who} access x x`,
             `@${who} access x r,w`,
             `@${who} open A x r`,
             "close A",
             ...(type === "file"
               ? [`@${who} open A x w`, "close A", `@${who} open A x rw`, "close A"]
               : [`@${who} create x/f 0644`, `@${who} unlink x/f`, `@${who} stat x/. type`]),
           ]),
         ].join("\n"),
       ).join("\n")}`,
    ),
  )
}

export function factCases(): readonly PosixCase[] {
  return [...modes(), ...owners(), ...times(), ...accesses()]
}
