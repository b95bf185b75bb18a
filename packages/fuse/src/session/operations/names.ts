/**
 * Operations on names: looking them up, making, removing and moving them.
 *
 * @module
 */
import { ENAMETOOLONG, ENOENT } from "@skep/loop/sys"
import { IN_HEADER, OUT_HEADER } from "../../protocol/header.ts"
import { endOfName, PATH_MAX } from "../../protocol/names.ts"
import { isExact } from "../../protocol/open.ts"
import * as others from "../../protocol/others.ts"
import { FORGET_ONE } from "../../protocol/others.ts"
import { u32, u64 } from "../../protocol/words.ts"
import { NO_ANSWER, type Work } from "../work.ts"

export function lookup(work: Work): number {
  const name = work.nameAt(IN_HEADER)
  if (typeof name === "number") return name
  const node = work.fileSystem.lookup(work.node, name, work.caller, work.attributes)
  if (node > 0) return work.answerEntry(node, work.caller)
  if (node === -ENOENT) {
    const { negativeMs } = work.policyOf(work.node, undefined)
    if (negativeMs > 0) return work.answerNoEntry(negativeMs)
  }
  return node
}

export function forget(work: Work): number {
  const count = u64(work.words, IN_HEADER)
  if (isExact(count)) work.fileSystem.forget(work.node, count)
  else work.malformed("number-too-large")
  return NO_ANSWER
}

export function forgetMany(work: Work): number {
  const count = u32(work.words, IN_HEADER)
  const first = IN_HEADER + others.BATCH_FORGET_IN
  if (count > (work.end - first) / FORGET_ONE) {
    work.malformed("count")
    return NO_ANSWER
  }
  for (let at = first, left = count; left > 0; left--, at += FORGET_ONE) {
    const references = u64(work.words, at + 8)
    if (isExact(references)) work.fileSystem.forget(work.translate(u64(work.words, at)), references)
    else work.malformed("number-too-large")
  }
  return NO_ANSWER
}

/** Answers with the node that was made, or the error. */
function made(work: Work, node: number): number {
  return node < 0 ? node : work.answerEntry(node)
}

export function makeNode(work: Work): number {
  const mode = u32(work.words, IN_HEADER)
  const rdev = u32(work.words, IN_HEADER + 4)
  const name = work.nameAt(IN_HEADER + others.MKNOD_IN)
  if (typeof name === "number") return name
  const { fileSystem, node, caller, attributes } = work
  return made(work, fileSystem.makeNode(node, name, { mode, rdev }, caller, attributes))
}

export function makeDirectory(work: Work): number {
  const mode = u32(work.words, IN_HEADER)
  const name = work.nameAt(IN_HEADER + others.MKDIR_IN)
  if (typeof name === "number") return name
  const { fileSystem, node, caller, attributes } = work
  return made(work, fileSystem.makeDirectory(node, name, mode, caller, attributes))
}

export function makeSymlink(work: Work): number {
  const name = work.nameAt(IN_HEADER)
  if (typeof name === "number") return name
  const at = IN_HEADER + name.length + 1
  const end = endOfName(work.bytes, at, work.end)
  if (end < 0) return work.malformed("name-unterminated")
  if (end === at) return -ENOENT // symlink(2): the target is empty
  if (end - at >= PATH_MAX) return -ENAMETOOLONG
  const { fileSystem, node, caller, attributes } = work
  return made(work, fileSystem.makeSymlink(node, name, work.bytes.subarray(at, end), caller, attributes))
}

export function link(work: Work): number {
  const old = work.translate(u64(work.words, IN_HEADER))
  const name = work.nameAt(IN_HEADER + others.LINK_IN)
  if (typeof name === "number") return name
  return made(work, work.fileSystem.link(old, work.node, name, work.caller, work.attributes))
}

export function unlink(work: Work): number {
  const name = work.nameAt(IN_HEADER)
  return typeof name === "number" ? name : work.fileSystem.unlink(work.node, name, work.caller)
}

export function removeDirectory(work: Work): number {
  const name = work.nameAt(IN_HEADER)
  return typeof name === "number" ? name : work.fileSystem.removeDirectory(work.node, name, work.caller)
}

export function rename(work: Work): number {
  return move(work, others.parseRenameIn(work.words, IN_HEADER), IN_HEADER + others.RENAME_IN)
}

export function rename2(work: Work): number {
  return move(work, others.parseRename2In(work.words, IN_HEADER), IN_HEADER + others.RENAME2_IN)
}

function move(work: Work, { newParent, flags }: others.RenameIn, at: number): number {
  const name = work.nameAt(at)
  if (typeof name === "number") return name
  const newName = work.nameAt(at + name.length + 1)
  if (typeof newName === "number") return newName
  const from = { parent: work.node, name }
  const to = { parent: work.translate(newParent), name: newName }
  return work.fileSystem.rename(from, to, flags, work.caller)
}

export function readLink(work: Work): number {
  const into = work.out.subarray(OUT_HEADER, OUT_HEADER + Math.min(work.room, PATH_MAX))
  return work.fileSystem.readLink(work.node, into)
}
