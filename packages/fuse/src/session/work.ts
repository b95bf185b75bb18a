/**
 * What the operations of a session share: the request that is being handled, where its answer is made, and the objects that are used for all of them.
 *
 * @module
 */
import type { Views } from "@skep/loop/memory"
import { EINVAL, EIO, ENAMETOOLONG } from "@skep/loop/sys"
import {
  type Attributes,
  type Caller,
  type FileSystem,
  type Name,
  type NodeId,
  newAttributes,
  newUsage,
  type Usage,
} from "@skep/vfs"
import {
  ATTR_OUT,
  ENTRY_ATTR,
  ENTRY_OUT,
  emitAttributes,
  emitAttrOut,
  emitEntryHead,
} from "../protocol/attributes.ts"
import { ATTR_SUBMOUNT, ROOT_ID, SUBMOUNTS } from "../protocol/constants.ts"
import { type InHeader, newInHeader, OUT_HEADER } from "../protocol/header.ts"
import { endOfName, NAME_MAX } from "../protocol/names.ts"
import type { Exchange, Transport } from "./exchange.ts"
import type { LockWaiters } from "./lock-waiters.ts"
import type { Memo } from "./memo.ts"
import type { Policy, PolicyOf } from "./policy.ts"

/** What an operation returns instead of the length of its answer or `-errno`. */
export const LATER: number = -1_000_001
export const NO_ANSWER: number = -1_000_002

/** Handles a request whose fixed arguments are there. */
export type Operation = (work: Work, exchange: Exchange) => number

/** Why a request is malformed. */
export type Malformed =
  | "truncated"
  | "bad-length"
  | "arguments-truncated"
  | "extensions"
  | "name-empty"
  | "name-unterminated"
  | "number-too-large"
  | "data-missing"
  | "no-room"
  | "count"
  | "lock-type"
  | "version"
  | "not-begun"

/** The largest answer that is made here: extended attributes have 64 KiB, directories are read in pieces. What is read goes by address. */
export const ANSWER_MAX: number = OUT_HEADER + 128 * 1024

export interface WorkParts {
  readonly fileSystem: FileSystem
  readonly policyOf: PolicyOf
  readonly memo: Memo
  readonly transport: Transport
  readonly request: Views
  readonly out: Views
  readonly waiters: LockWaiters
  /** Whether locks are the host's. */
  readonly locks: boolean
  readonly writeback: boolean
}

export class Work {
  readonly fileSystem: FileSystem
  readonly policyOf: PolicyOf
  readonly memo: Memo
  readonly transport: Transport
  readonly waiters: LockWaiters
  readonly locks: boolean
  readonly writeback: boolean
  /** The request: header and arguments, from 0 to `end`. */
  readonly bytes: Uint8Array
  readonly words: Uint32Array
  end = 0
  readonly header: InHeader = newInHeader()
  readonly caller: Caller = { uid: 0, gid: 0, pid: 0 }
  /** The node of the header, as the file system knows it. */
  node: NodeId = 0
  /** The answer: its body begins at `OUT_HEADER` and has at most `room` bytes. */
  readonly out: Uint8Array
  readonly outWords: Uint32Array
  room = 0
  readonly attributes: Attributes = newAttributes()
  readonly usage: Usage = newUsage()
  /** What the request made or opened, for the memo. */
  madeNode = 0
  madeHandle = -1
  /** Flags of INIT. */
  flags = 0
  maxWrite = 0
  /** Handles that are open, so that they can be closed when the guest begins anew. */
  readonly files: Set<number> = new Set()
  readonly directories: Set<number> = new Set()
  readonly malformations: Map<Malformed, number> = new Map()
  readonly #root: NodeId

  constructor(parts: WorkParts) {
    this.fileSystem = parts.fileSystem
    this.policyOf = parts.policyOf
    this.memo = parts.memo
    this.transport = parts.transport
    this.waiters = parts.waiters
    this.locks = parts.locks
    this.writeback = parts.writeback
    this.bytes = parts.request.bytes
    this.words = parts.request.u32
    this.out = parts.out.bytes
    this.outWords = parts.out.u32
    this.#root = parts.fileSystem.root
  }

  /** The root is 1 in the protocol and any number in a file system. The same both ways. */
  translate(node: number): number {
    if (node === ROOT_ID) return this.#root
    return node === this.#root ? ROOT_ID : node
  }

  /** Counts it and returns what to answer. */
  malformed(why: Malformed, errno: number = EINVAL): number {
    this.malformations.set(why, (this.malformations.get(why) ?? 0) + 1)
    return -errno
  }

  /** A view of the name at `offset`, or `-errno`; `errno` is that of a name with another length than names have. */
  nameAt(offset: number, errno?: number): Name | number {
    const end = endOfName(this.bytes, offset, this.end)
    if (end < 0) return this.malformed("name-unterminated")
    if (end === offset) return this.malformed("name-empty", errno)
    if (end - offset > NAME_MAX) return -(errno ?? ENAMETOOLONG)
    return this.bytes.subarray(offset, end)
  }

  /** Answers with `attributes`. `asker`: see `PolicyOf`. */
  answerAttributes(node: NodeId, asker?: Caller): number {
    const policy = this.policyOf(node, this.attributes, asker)
    emitAttrOut(this.attributes, policy.attributeMs, this.#flagsOf(policy), this.outWords, OUT_HEADER)
    return ATTR_OUT
  }

  /** Answers with a node and `attributes`. */
  answerEntry(node: NodeId, asker?: Caller): number {
    this.madeNode = node
    this.putEntry(node, OUT_HEADER, asker)
    return ENTRY_OUT
  }

  /** Answers that there is no such name, to be remembered. */
  answerNoEntry(entryMs: number): number {
    emitEntryHead(0, { entryMs, attributeMs: 0 }, this.outWords, OUT_HEADER)
    this.outWords.fill(0, (OUT_HEADER + ENTRY_ATTR) >>> 2, (OUT_HEADER + ENTRY_OUT) >>> 2)
    return ENTRY_OUT
  }

  /** Writes a node and `attributes` at `offset` of the answer. */
  putEntry(node: NodeId, offset: number, asker?: Caller): void {
    const policy = this.policyOf(node, this.attributes, asker)
    emitEntryHead(this.translate(node), policy, this.outWords, offset)
    emitAttributes(this.attributes, this.#flagsOf(policy), this.outWords, offset + ENTRY_ATTR)
  }

  /** Gives everything back that the guest had. */
  clear(): void {
    for (const handle of this.files) this.fileSystem.release(handle)
    for (const handle of this.directories) this.fileSystem.releaseDirectory(handle)
    this.files.clear()
    this.directories.clear()
  }

  #flagsOf(policy: Policy): number {
    return policy.submount === true && (this.flags & SUBMOUNTS) !== 0 ? ATTR_SUBMOUNT : 0
  }
}

/** The one place where results of file systems become errors of the protocol, which has Linux's own; the kernel refuses what is beyond 511. */
export function errorOf(result: number): number {
  return result < 0 && result > -512 ? result : -EIO
}
