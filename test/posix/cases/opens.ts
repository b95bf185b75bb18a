/**
 * open(2), truncate(2) and executing.
 *
 * @module
 */
import { make, OTHER, type PosixCase, posix, USER } from "../case.ts"

export function openCases(): readonly PosixCase[] {
  return [
    posix(
      "open makes files, finds them, empties them",
      `open A f w = ENOENT
       open A f rw,creat,excl 0640 = 0
       write A 0 hello = 5
       open B f rw,creat,excl 0640 = EEXIST
       open B f rw,creat 0777 = 0
       fstat B mode,size = 0640 5
       open C f r,trunc
       fstat B size
       write A 0 more = 4
       open D f w,trunc,creat 0644 = 0
       fstat A size = 0
       read D 0 1 = EBADF
       open E f r = 0
       write E 0 x = EBADF
       ftruncate E 0 = EINVAL`,
    ),
    posix(
      "a file that may not be written is, by whoever makes it",
      `chmod . 0777 = 0
       ${USER} open A f rw,creat 0000 = 0
       ${USER} write A 0 x = 1
       ${USER} open B f r = EACCES
       ${USER} open B f w = EACCES
       lstat f mode,size = 0000 1
       read A 0 5 = 1:x
       ftruncate A 0 = 0
       ${USER} open B g w,creat 0444 = 0
       ${USER} write B 0 abc = 3
       ${USER} chmod g 0000 = 0
       ${USER} write B 3 def = 3
       contents g = 6:abcdef`,
    ),
    posix(
      "an open file goes on when its permissions have gone",
      `chmod . 0777 = 0
       ${USER} open A f rw,creat 0600 = 0
       ${USER} write A 0 abc = 3
       chown f 0 0 = 0
       chmod f 0000 = 0
       ${USER} read A 0 5 = 3:abc
       ${USER} write A 3 def = 3
       ${USER} ftruncate A 4 = 0
       contents f = 4:abcd
       ${USER} open B f r = EACCES`,
    ),
    posix(
      "what is no file",
      `mkdir d 0755 = 0
       open A d w = EISDIR
       open A d rw = EISDIR
       open A d r,trunc = EISDIR
       open A d r,creat 0644 = EISDIR
       open A d r = 0
       read A 0 10 = EISDIR
       symlink d l = 0
       symlink missing m = 0
       create f 0644 = 0
       open B l r,nofollow = ELOOP
       open B l r,nofollow,directory = ENOTDIR
       open B f r,directory = ENOTDIR
       open B m r = ENOENT
       open B m w,creat,excl 0644 = EEXIST
       open B m w,creat 0644 = 0
       lstat missing type = file
       open C l path,nofollow = 0
       fstat C type = symlink
       mkfifo p 0644 = 0
       open D p w,nonblock = ENXIO
       open D p r,nonblock = 0
       open E p w,nonblock = 0
       write E - through = 7
       read D - 20 = 7:through
       ${make("socket", "s")} = 0
       open F s r = ENXIO
       mknod n c 0666 1 3 = 0
       mknod none c 0666 250 250 = 0
       open G none r = ENXIO`,
    ),
    posix(
      "sockets between processes",
      `bind A s = 0
       lstat s type,mode = socket 0755
       connect s = 0
       bind B s = EADDRINUSE
       rename s t = 0
       connect t = 0
       close A = 0
       connect t = ECONNREFUSED
       unlink t = 0
       connect t = ENOENT
       create f 0644 = 0
       connect f = ECONNREFUSED`,
    ),
    posix(
      "files without a name that get one",
      `open A . rw,tmpfile 0640
       write A 0 text
       link_open A f
       contents f`,
    ),
    posix(
      "truncate: lengths, and who may",
      `create f 0644 = 0
       truncate f 1000 = 0
       lstat f size = 1000
       contents f = 1000:{%00*1000}
       truncate f 0 = 0
       truncate f -1 = EINVAL
       truncate f 5000000000 = 0
       lstat f size,used = 5000000000 none
       truncate f 9223372036854775807
       truncate f 3 = 0
       mkdir d 0755 = 0
       truncate d 0 = EISDIR
       mkfifo p 0644 = 0
       truncate p 0 = EINVAL
       symlink f l = 0
       truncate l 7 = 0
       lstat f size = 7
       chown f 1000 1000 = 0
       ${OTHER} truncate f 0 = EACCES
       ${USER} chmod f 0444 = 0
       ${USER} truncate f 0 = EACCES
       truncate f 2 = 0
       contents f = 2:%00%00`,
    ),
    posix(
      "programs",
      `program p 0644 = 0
       run p = EACCES
       chmod p 0755 = 0
       run p = ran
       chmod p 0001 = 0
       run p = ran
       ${USER} run p = ran
       chmod p 0110 = 0
       ${USER} run p = EACCES
       open A p w = 0
       run p = ETXTBSY
       close A = 0
       run p = ran
       mkdir d 0755 = 0
       run d = EACCES
       run missing = ENOENT
       open B text w,creat 0755 = 0
       write B 0 nothing = 7
       close B = 0
       run text = ENOEXEC
       rename p d/q = 0
       run d/q = ran`,
    ),
  ]
}
