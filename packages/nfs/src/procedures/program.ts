/**
 * The NFS program, version 3: RFC 1813 §3, in the order of its numbers.
 *
 * @module
 */
import { access } from "./access.ts"
import { commit } from "./commit.ts"
import { create } from "./create.ts"
import { getattr } from "./getattr.ts"
import { link } from "./link.ts"
import { readdir, readdirplus } from "./listing.ts"
import { lookup } from "./lookup.ts"
import { mkdir } from "./mkdir.ts"
import { mknod } from "./mknod.ts"
import { nothing, type Program } from "./procedure.ts"
import { read } from "./read.ts"
import { readlink } from "./readlink.ts"
import { remove, rmdir } from "./remove.ts"
import { rename } from "./rename.ts"
import { setattr } from "./setattr.ts"
import { symlink } from "./symlink.ts"
import { fsinfo, fsstat, pathconf } from "./volume-facts.ts"
import { write } from "./write.ts"

export const nfs: Program = {
  number: 100003,
  version: 3,
  procedures: [
    nothing,
    getattr,
    setattr,
    lookup,
    access,
    readlink,
    read,
    write,
    create,
    mkdir,
    symlink,
    mknod,
    remove,
    rmdir,
    rename,
    link,
    readdir,
    readdirplus,
    fsstat,
    fsinfo,
    pathconf,
    commit,
  ],
}
