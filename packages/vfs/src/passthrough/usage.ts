/**
 * How full a file system of the host is, statfs(2).
 *
 * @module
 */
import { getU64 } from "@skep/loop/memory"
import * as sys from "@skep/loop/sys"
import type { Usage } from "../filesystem.ts"
import type { Memory } from "./memory.ts"

const { STATFS } = sys

export function readUsage(memory: Memory, fd: number, into: Usage): number {
  const { address, u32: words } = memory.usage
  const result = sys.fstatfs(fd, address)
  if (result < 0) return result
  into.blockSize = getU64(words, STATFS.blockSize >> 2)
  into.blocks = getU64(words, STATFS.blocks >> 2)
  into.freeBlocks = getU64(words, STATFS.freeBlocks >> 2)
  into.availableBlocks = getU64(words, STATFS.availableBlocks >> 2)
  into.files = getU64(words, STATFS.files >> 2)
  into.freeFiles = getU64(words, STATFS.freeFiles >> 2)
  into.nameMax = getU64(words, STATFS.nameMax >> 2)
  return 0
}
