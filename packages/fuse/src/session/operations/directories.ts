/**
 * Operations on open directories. READDIRPLUS looks every name up on the way, so that the guest knows the files without asking for each.
 *
 * @module
 */

import { at } from "@skep/loop/memory"
import { EINVAL } from "@skep/loop/sys"
import type { DirectoryEntry } from "@skep/vfs"
import { ENTRY_OUT } from "../../protocol/attributes.ts"
import { FOPEN_CACHE_DIR, FOPEN_KEEP_CACHE } from "../../protocol/constants.ts"
import { direntSize, emitDirent } from "../../protocol/entries.ts"
import { IN_HEADER, OUT_HEADER } from "../../protocol/header.ts"
import * as files from "../../protocol/open.ts"
import { big64 } from "../../protocol/words.ts"
import type { Work } from "../work.ts"

const DOT = 0x2e

export function openDirectory(work: Work): number {
  const handle = work.fileSystem.openDirectory(work.node, work.caller)
  return handle < 0 ? handle : answerOpenDirectory(work, handle)
}

export function answerOpenDirectory(work: Work, handle: number): number {
  work.directories.add(handle)
  work.madeHandle = handle
  const { keepDirectories, direct } = work.policyOf(work.node, undefined)
  const openFlags = keepDirectories && !direct ? FOPEN_CACHE_DIR | FOPEN_KEEP_CACHE : 0
  files.emitOpenOut({ handle, openFlags }, work.outWords, OUT_HEADER)
  return files.OPEN_OUT
}

export function readDirectory(work: Work): number {
  return list(work, false)
}

export function readDirectoryPlus(work: Work): number {
  return list(work, true)
}

export function releaseDirectory(work: Work): number {
  const { handle } = files.parseReleaseIn(work.words, IN_HEADER)
  work.directories.delete(handle)
  work.fileSystem.releaseDirectory(handle)
  return 0
}

function list(work: Work, plus: boolean): number {
  const { handle, size } = files.parseReadIn(work.words, IN_HEADER)
  const cookie = big64(work.words, IN_HEADER + files.READ_OFFSET)
  const end = OUT_HEADER + Math.min(size, work.room)
  const head = plus ? ENTRY_OUT : 0
  let to = OUT_HEADER
  let refused = 0
  const visit = (entry: DirectoryEntry): boolean => {
    const next = to + head + direntSize(entry.name.length)
    if (next > end) {
      refused++
      return false
    }
    // The entry first: its name is a view that the lookup may use otherwise.
    emitDirent(entry, work.out, work.outWords, to + head)
    if (plus) look(work, to, entry)
    to = next
    return true
  }
  const result = work.fileSystem.readDirectory(handle, cookie, visit)
  // What was shown before an error was looked up and counts: the error comes next time.
  if (to > OUT_HEADER) return to - OUT_HEADER
  // Room for not even one would look like the end.
  return result < 0 ? result : refused > 0 ? -EINVAL : 0
}

/** Writes what a name leads to. What cannot be looked up, and the two dots, are names alone: node 0. */
function look(work: Work, to: number, { name }: DirectoryEntry): void {
  if (!isDots(name)) {
    const node = work.fileSystem.lookup(work.node, name, work.caller, work.attributes)
    if (node > 0) {
      work.putEntry(node, to)
      return
    }
  }
  work.outWords.fill(0, to >>> 2, (to + ENTRY_OUT) >>> 2)
}

function isDots(name: Uint8Array): boolean {
  return at(name, 0) === DOT && (name.length === 1 || (name.length === 2 && at(name, 1) === DOT))
}
