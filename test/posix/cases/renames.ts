/**
 * rename(2) and renameat2(2): of everything over everything.
 *
 * @module
 */
import { type FileType, make, OTHER, type PosixCase, posix, TYPES, USER } from "../case.ts"

function over(from: FileType, to: FileType): string {
  if (from === "directory") return to === "directory" ? "0" : "ENOTDIR"
  return to === "directory" ? "EISDIR" : "0"
}

function matrix(): readonly PosixCase[] {
  return TYPES.map((from) =>
    posix(
      `a ${from} over each other type`,
      TYPES.map(
        (to) => `${make(from, `a-${to}`)} = 0
                 lchown a-${to} 1000 1001 = 0
                 ${make(to, `b-${to}`)} = 0
                 rename a-${to} b-${to} = ${over(from, to)}
                 lstat b-${to} type,uid,gid = ${over(from, to) === "0" ? `${from} 1000 1001` : `${to} 0 0`}
                 lstat a-${to} type = ${over(from, to) === "0" ? "ENOENT" : from}`,
      ).join("\n"),
    ),
  )
}

function moves(): readonly PosixCase[] {
  return [
    ...TYPES.map((type) =>
      posix(
        `a ${type} is the same under another name`,
        `${make(type, "a")} = 0
         mkdir d 0755 = 0
         keep a a = 0
         keep d d = 0
         keep here . = 0
         rename a d/b = 0
         moved a d/b = times:c
         moved d d = times:mc
         moved here . = times:mc
         lstat a type = ENOENT
         rename d/b d/b = 0
         keep d d = 0
         rename d/b d/c = 0
         moved d d = times:mc
         lstat d/c type = ${type}`,
      ),
    ),
    posix(
      "directories over directories, and into themselves",
      `mkdir a 0755 = 0
       mkdir a/b 0755 = 0
       mkdir c 0755 = 0
       create c/f 0644 = 0
       rename a c = ENOTEMPTY
       rename c/f a = EISDIR
       rename a a/b = EINVAL
       rename a a/b/x = EINVAL
       rename a/b a = ENOTEMPTY
       rename a . = EBUSY
       rename a/. x = EBUSY
       rename a .. = EBUSY
       rename a/b/.. x = EBUSY
       unlink c/f = 0
       rename a c = 0
       list c = ./d ../d b/d
       rename c/ d/ = 0
       list d = ./d ../d b/d
       create f 0644 = 0
       rename f g/ = ENOTDIR
       rename f d/b/ = ENOTDIR
       rename f/ g = ENOTDIR`,
    ),
    posix(
      "names of one file: nothing happens",
      `create a 0644 = 0
       link a b = 0
       rename a b = 0
       lstat a links = 2
       lstat b links = 2
       rename a a = 0
       rename2 a b exchange = 0
       rename2 a b noreplace = EEXIST
       lstat a links = 2`,
    ),
    posix(
      "what was there loses a name, and lives on where it is open or has others",
      `create a 0644 = 0
       open A b rw,creat 0644 = 0
       write A 0 old = 3
       link b c = 0
       rename a b = 0
       fstat A links = 1
       contents c = 3:old
       rename b c = 0
       fstat A links = 0
       read A 0 10 = 3:old
       list . = ./d ../d c/f`,
    ),
    posix(
      "an open file has its new name",
      `open A a rw,creat 0644 = 0
       write A 0 one = 3
       mkdir d 0755 = 0
       rename a d/b = 0
       write A 3 two = 3
       contents d/b = 6:onetwo
       fchmod A 0600 = 0
       lstat d/b mode = 0600
       rename d e = 0
       write A 6 three = 5
       contents e/b = 11:onetwothree`,
    ),
    posix(
      "RENAME_NOREPLACE and RENAME_EXCHANGE",
      `create a 0644 = 0
       mkdir d 0755 = 0
       create d/f 0644 = 0
       rename2 a d noreplace = EEXIST
       rename2 a b noreplace = 0
       rename2 b missing exchange = ENOENT
       keep b b = 0
       keep d d = 0
       rename2 b d exchange = 0
       moved b d = times:c
       moved d b = times:c
       lstat b type = directory
       lstat d type = file
       list b = ./d ../d f/f
       lstat . links
       mkdir e 0755 = 0
       rename2 b/f e exchange = 0
       lstat e type = file
       lstat b/f type = directory
       lstat b links = 3
       rename2 b b/f exchange = EINVAL
       rename2 a b noreplace,exchange = EINVAL`,
    ),
  ]
}

function permissions(): readonly PosixCase[] {
  return [
    posix(
      "both directories have to be writable, and a moved directory too",
      `mkdir a 0755 = 0
       mkdir b 0755 = 0
       chown a 1000 1000 = 0
       chown b 1000 1000 = 0
       ${USER} create a/f 0644 = 0
       ${USER} mkdir a/d 0755 = 0
       ${USER} rename a/f b/f = 0
       ${USER} chmod b 0555 = 0
       ${USER} rename b/f a/f = EACCES
       ${USER} rename a/d b/d = EACCES
       ${USER} chmod b 0755 = 0
       ${USER} chmod a/d 0555 = 0
       ${USER} rename a/d a/e = 0
       ${USER} rename a/e b/e = EACCES
       chown b/f 2000 2000 = 0
       ${USER} rename b/f a/f = 0
       ${OTHER} rename a/f a/g = EACCES`,
    ),
    posix(
      "a directory of somebody else is not moved out of one with the sticky bit",
      `mkdir a 01777 = 0
       chmod a 01777 = 0
       mkdir b 0777 = 0
       chmod b 0777 = 0
       mkdir a/d 0777 = 0
       chown a/d 2000 2000 = 0
       chmod a/d 0777 = 0
       ${USER} rename a/d b/d = EPERM
       ${OTHER} rename a/d b/d = 0
       create a/f 0644 = 0
       chown a/f 2000 2000 = 0
       ${USER} create b/f 0644 = 0
       ${USER} rename b/f a/f = EPERM
       ${USER} rename2 b/f a/f exchange = EPERM
       ${OTHER} rename a/f b/f = 0`,
    ),
  ]
}

export function renameCases(): readonly PosixCase[] {
  return [...matrix(), ...moves(), ...permissions()]
}
