/**
 * Extended attributes, xattr(7), and locks, fcntl(2) and flock(2).
 *
 * @module
 */
import { OTHER, type PosixCase, posix, USER } from "../case.ts"

export function attributeCases(): readonly PosixCase[] {
  return [
    posix(
      "extended attributes",
      `create f 0644 = 0
       list_extended f
       get_extended f user.a = ENODATA
       set_extended f user.a one
       set_extended f user.b two create
       set_extended f user.a three create
       set_extended f user.c x replace
       set_extended f user.a four replace
       get_extended f user.a
       get_extended f user.a 0
       get_extended f user.a 2
       list_extended f
       set_extended f user.empty %00
       get_extended f user.empty
       remove_extended f user.a
       remove_extended f user.a
       list_extended f
       rename f g = 0
       get_extended g user.b
       link g h = 0
       get_extended h user.b
       set_extended g user.${"n".repeat(250)} x
       set_extended g user.${"n".repeat(251)} x
       set_extended g user. x
       set_extended g nonsense x
       set_extended g user.big ${"v".repeat(3000)}
       get_extended g user.big 0
       mkdir d 0755 = 0
       set_extended d user.a on-a-directory
       get_extended d user.a
       symlink f l = 0
       set_extended l user.a x
       mkfifo p 0644 = 0
       set_extended p user.a x
       set_extended g trusted.a x
       get_extended g trusted.a`,
    ),
    posix(
      "who may have extended attributes",
      `create f 0644 = 0
       chown f 1000 1000 = 0
       ${USER} set_extended f user.a x
       ${OTHER} get_extended f user.a
       ${OTHER} set_extended f user.a y
       ${OTHER} remove_extended f user.a
       chmod f 0600 = 0
       ${OTHER} get_extended f user.a
       ${USER} get_extended f user.a
       ${USER} set_extended f trusted.a x
       ${USER} list_extended f`,
    ),
    posix(
      "attributes change no times but one",
      `create f 0644 = 0
       keep f f = 0
       set_extended f user.a x
       moved f f
       keep f f = 0
       get_extended f user.a
       list_extended f
       moved f f = times:`,
    ),
    posix(
      "locks of processes",
      `open A f rw,creat 0644 = 0
       lock A w 0 10 = 0
       lock A w 0 10 = 0
       other_lock f w 5 1 = EAGAIN
       other_lock f r 5 1 = EAGAIN
       other_lock f w 10 1 = 0
       lock A u 4 2 = 0
       other_lock f w 4 2 = 0
       other_lock f w 3 2 = EAGAIN
       lock A r 0 0 = 0
       other_lock f r 100 1 = 0
       other_lock f w 5000000000 1 = EAGAIN
       other_close A = 0
       other_lock f w 0 1 = EAGAIN
       open B f rw = 0
       close B = 0
       other_lock f w 0 1 = 0
       open C f r = 0
       lock C w 0 1 = EBADF
       lock C r 0 1 = 0
       close A = 0
       close C = 0
       other_lock f w 0 0 = 0`,
    ),
    posix(
      "locks of open files",
      `open A f rw,creat 0644 = 0
       open B f rw = 0
       lock_open A w 0 10 = 0
       lock_open B w 5 1 = EAGAIN
       lock_open B r 10 10 = 0
       lock_open A w 10 1 = EAGAIN
       close A = 0
       lock_open B w 0 5 = 0
       open C f rw = 0
       flock B exclusive = 0
       flock C shared = EAGAIN
       flock B shared = 0
       flock C shared = 0
       flock C exclusive = EAGAIN
       flock B none = 0
       flock C exclusive = 0
       other_read B 2 = 0
       seek B 0 cur = 0`,
    ),
  ]
}
