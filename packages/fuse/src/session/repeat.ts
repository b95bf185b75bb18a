/**
 * Answers to requests that a predecessor had, killed before it answered.
 *
 * What it wrote down as done is answered from that: a directory that is there because the request made it is no error of the guest's. What it had
 * begun may be done or not: it is done now, and where that finds what the request would have left behind, it counts as done. (So a request
 * that fails for a reason of its own, just when the process is killed, may be told that it succeeded; the gap is that between a system call and a
 * store to memory.)
 *
 * @module
 */
import { EEXIST, ENODATA, ENOENT } from "@skep/loop/sys"
import * as c from "../protocol/constants.ts"
import { IN_HEADER, OUT_HEADER } from "../protocol/header.ts"
import { CREATE_IN, emitWriteOut, WRITE_OUT } from "../protocol/open.ts"
import { LINK_IN, MKDIR_IN, MKNOD_IN, RENAME_IN, RENAME2_IN } from "../protocol/others.ts"
import { putU32, u32, u64 } from "../protocol/words.ts"
import type { Exchange } from "./exchange.ts"
import type { Outcome } from "./memo.ts"
import { answerOpenDirectory } from "./operations/directories.ts"
import { answerCreated, answerOpen } from "./operations/files.ts"
import { NO_ANSWER, type Operation, type Work } from "./work.ts"

/** Answers a request that comes again. */
export function repeat(work: Work, exchange: Exchange, run: Operation, outcome: Outcome): number {
  if (outcome.phase === "unknown") return run(work, exchange)
  if (outcome.phase === "begun") return redo(work, exchange, run)
  if (outcome.result < 0) return outcome.result
  return answerAgain(work, exchange, run, outcome)
}

function answerAgain(work: Work, exchange: Exchange, run: Operation, outcome: Outcome): number {
  const { node, handle, result } = outcome
  switch (work.header.opcode) {
    case c.MKNOD:
    case c.MKDIR:
    case c.SYMLINK:
    case c.LINK:
      return known(work, node, -1) ? work.answerEntry(node) : redo(work, exchange, run)
    case c.CREATE:
      return known(work, node, handle) ? answerCreated(work, node, handle) : redo(work, exchange, run)
    case c.OPEN:
      // Its handle is checked: O_TRUNC is not to be done again.
      return known(work, work.node, handle)
        ? answerOpen(work, work.node, handle, OUT_HEADER)
        : run(work, exchange)
    case c.OPENDIR:
      return answerOpenDirectory(work, handle)
    case c.WRITE:
    case c.COPY_FILE_RANGE:
      emitWriteOut(result, work.outWords, OUT_HEADER)
      return WRITE_OUT
    case c.FORGET:
    case c.BATCH_FORGET:
      return NO_ANSWER
    default:
      return 0
  }
}

function known(work: Work, node: number, handle: number): boolean {
  return work.fileSystem.getAttributes(node, handle, work.caller, work.attributes) >= 0
}

/** What is begun is done again, as if nothing had happened; then what it finds is looked at. */
function redo(work: Work, exchange: Exchange, run: Operation): number {
  const { opcode } = work.header
  const result = run(work, exchange)
  if (result === -EEXIST) return existing(work, exchange, run, opcode)
  if (result === -ENOENT && isGone(work, opcode)) return 0
  if (result === -ENODATA && opcode === c.REMOVEXATTR) return 0
  return result
}

/** Whether what is missing is what the request takes away. */
function isGone(work: Work, opcode: number): boolean {
  if (opcode === c.UNLINK || opcode === c.RMDIR) return true
  if (opcode !== c.RENAME && opcode !== c.RENAME2) return false
  const first = IN_HEADER + (opcode === c.RENAME ? RENAME_IN : RENAME2_IN)
  const from = work.nameAt(first)
  const to = typeof from === "number" ? from : work.nameAt(first + from.length + 1)
  if (typeof to === "number") return false
  const parent = work.translate(u64(work.words, IN_HEADER))
  const node = work.fileSystem.lookup(parent, to, work.caller, work.attributes)
  if (node > 0) work.fileSystem.forget(node, 1)
  return node > 0
}

/** Where the name of a request that makes something is. */
const NAME_AT: Readonly<Record<number, number>> = {
  [c.MKNOD]: IN_HEADER + MKNOD_IN,
  [c.MKDIR]: IN_HEADER + MKDIR_IN,
  [c.SYMLINK]: IN_HEADER,
  [c.LINK]: IN_HEADER + LINK_IN,
}

function existing(work: Work, exchange: Exchange, run: Operation, opcode: number): number {
  if (opcode === c.CREATE) {
    // Without O_EXCL the file that is there is opened.
    putU32(work.words, IN_HEADER, u32(work.words, IN_HEADER) & ~c.O_EXCL)
    return IN_HEADER + CREATE_IN < work.end ? run(work, exchange) : -EEXIST
  }
  const at = NAME_AT[opcode]
  const name = at === undefined ? -EEXIST : work.nameAt(at)
  if (typeof name === "number") return -EEXIST
  const node = work.fileSystem.lookup(work.node, name, work.caller, work.attributes)
  return node < 0 ? node : work.answerEntry(node)
}
