/**
 * Messages as bytes: what Linux's headers say, there and back, and whatever bytes.
 *
 * @module
 */
import { newAttributes, newUsage } from "@skep/vfs"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { newViews } from "../src/driver/index.ts"
import * as attributes from "../src/protocol/attributes.ts"
import { direntSize, emitDirent, entriesOf, parseDirent } from "../src/protocol/entries.ts"
import * as header from "../src/protocol/header.ts"
import * as init from "../src/protocol/init.ts"
import { emitName, endOfName } from "../src/protocol/names.ts"
import * as files from "../src/protocol/open.ts"
import * as others from "../src/protocol/others.ts"
import { LARGEST } from "../src/protocol/words.ts"

const u32 = fc.nat(0xffff_ffff)
const u16 = fc.nat(0xffff)
const exact = fc.maxSafeNat()
const seconds = fc.maxSafeInteger()
const nanoseconds = fc.nat(999_999_999)

/** A codec writes all of its bytes, reads them again, and touches nothing beside. */
function thereAndBack<T>(
  value: fc.Arbitrary<T>,
  size: number,
  emit: (value: T, words: Uint32Array, offset: number) => void,
  parse: (words: Uint32Array, offset: number) => unknown,
): void {
  fc.assert(
    fc.property(value, (each) => {
      const { bytes, u32: words } = newViews(size + 16)
      bytes.fill(0xaa)
      emit(each, words, 8)
      expect(parse(words, 8)).toEqual(each)
      expect([...bytes.subarray(0, 8), ...bytes.subarray(8 + size)]).toEqual(
        Array.from({ length: 16 }, () => 0xaa),
      )
    }),
  )
}

describe("a request's header", () => {
  it("is the 40 bytes of Linux", () => {
    // struct fuse_in_header of a LOOKUP of "a" in the root by uid 1000, as Linux 6.1 sends it.
    const hex =
      "2a000000 01000000 0600000000000000 0100000000000000 e8030000 e9030000 39050000 0000 0000 6100"
    const { bytes, u32: words } = newViews(44)
    bytes.set(Buffer.from(hex.replaceAll(" ", ""), "hex"))
    const into = header.newInHeader()
    expect(header.parseInHeader(words, 0, 42, into)).toBeUndefined()
    expect(into).toMatchObject({ opcode: 1, uniqueLow: 6, node: 1, uid: 1000, gid: 1001, pid: 1337 })
    expect(header.prettyIn(into)).toBe("LOOKUP #6 node 1 by 1000:1001, 42 bytes")
    expect(endOfName(bytes, header.IN_HEADER, 42)).toBe(41)
  })

  it("says bad-length where the message is longer or shorter, and truncated where there is none", () => {
    const { u32: words } = newViews(64)
    words[0] = 41
    expect(header.parseInHeader(words, 0, 42, header.newInHeader())).toBe("bad-length")
    expect(header.parseInHeader(words, 0, 39, header.newInHeader())).toBe("truncated")
    expect(header.parseOutHeader(words, 0, 15)).toBe("truncated")
    expect(header.parseOutHeader(words, 0, 40)).toBe("bad-length")
  })

  it("is read as it was written, and so is an answer's", () => {
    const request = fc.record({
      length: u32,
      opcode: u32,
      uniqueLow: u32,
      uniqueHigh: u32,
      node: exact,
      uid: u32,
      gid: u32,
      pid: u32,
      extensions: u16.map((words) => words * 8),
    })
    thereAndBack(request, header.IN_HEADER, header.emitInHeader, (words, offset) => {
      const into = header.newInHeader()
      header.parseInHeader(words, offset, 0xffff_ffff, into)
      return into
    })
    const answer = fc.record({
      length: fc.integer({ min: 16, max: 1000 }),
      error: fc.integer({ min: -511, max: 0 }),
      uniqueLow: u32,
      uniqueHigh: u32,
    })
    thereAndBack(answer, header.OUT_HEADER, header.emitOutHeader, (words, offset) =>
      header.parseOutHeader(words, offset, 1000),
    )
    expect(header.prettyOut({ length: 16, error: -2, uniqueLow: 6, uniqueHigh: 0 })).toBe("#6 ENOENT")
  })
})

describe("structures", () => {
  it("are read as they were written", () => {
    const handle = exact
    const flags = u32
    thereAndBack(
      fc.record({ major: u32, minor: u32, maxReadahead: u32, flags, flags2: u32 }),
      init.INIT_IN_EXTENDED,
      init.emitInitIn,
      (words, offset) => init.parseInitIn(words, offset, offset + 64),
    )
    const initOut = fc.record({
      major: u32,
      minor: u32,
      maxReadahead: u32,
      flags,
      maxBackground: u16,
      congestionThreshold: u16,
      maxWrite: u32,
      timeGranularity: u32,
      maxPages: u16,
      flags2: u32,
    })
    thereAndBack(initOut, init.INIT_OUT, init.emitInitOut, init.parseInitOut)
    const open = fc.record({ flags, openFlags: u32 })
    thereAndBack(open, files.OPEN_IN, files.emitOpenIn, files.parseOpenIn)
    const create = fc.record({ flags, mode: u32, openFlags: u32 })
    thereAndBack(create, files.CREATE_IN, files.emitCreateIn, files.parseCreateIn)
    const opened = fc.record({ handle, openFlags: u32 })
    thereAndBack(opened, files.OPEN_OUT, files.emitOpenOut, files.parseOpenOut)
    const read = fc.record({ handle, offset: exact, size: u32, how: u32 })
    thereAndBack(read, files.READ_IN, files.emitReadIn, files.parseReadIn)
    const fsync = fc.record({ handle, flags })
    thereAndBack(fsync, files.FSYNC_IN, files.emitFsyncIn, files.parseFsyncIn)
    const allocate = fc.record({ handle, offset: exact, length: exact, mode: u32 })
    thereAndBack(allocate, files.FALLOCATE_IN, files.emitFallocateIn, files.parseFallocateIn)
    const seek = fc.record({ handle, offset: exact, whence: u32 })
    thereAndBack(seek, files.LSEEK_IN, files.emitLseekIn, files.parseLseekIn)
    const copy = fc.record({
      from: exact,
      fromOffset: exact,
      toNode: exact,
      to: exact,
      toOffset: exact,
      length: exact,
      flags: exact,
    })
    thereAndBack(copy, files.COPY_IN, files.emitCopyIn, files.parseCopyIn)
    const rename = fc.record({ newParent: exact, flags })
    thereAndBack(rename, others.RENAME2_IN, others.emitRename2In, others.parseRename2In)
  })

  it("keep locks to the end of all files, and owners of 64 bits", () => {
    const lock = fc.record({
      type: fc.constantFrom("read" as const, "write" as const, "none" as const),
      start: exact,
      end: fc.oneof(exact, fc.constant(LARGEST)),
      pid: u32,
    })
    const request = fc.record({
      handle: exact,
      owner: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
      flags: u32,
      lock,
    })
    thereAndBack(request, others.LOCK_IN, others.emitLockIn, others.parseLockIn)
    const { u32: words } = newViews(others.LOCK_OUT)
    others.emitLock({ type: "read", start: 0, end: LARGEST, pid: 1 }, words, 0)
    expect([words[2], words[3]]).toEqual([0xffff_ffff, 0x7fff_ffff])
    words[4] = 3
    expect(others.parseLock(words, 0)).toBe("lock-type")
  })

  it("keep attributes, with times before 1970 and sizes over 4 GiB", () => {
    const value = fc.record({
      inoLow: u32,
      inoHigh: u32,
      device: fc.constant(0),
      mode: u32,
      links: u32,
      uid: u32,
      gid: u32,
      rdev: u32,
      size: exact,
      blocks: exact,
      blockSize: u32,
      accessSeconds: seconds,
      accessNanoseconds: nanoseconds,
      modifySeconds: seconds,
      modifyNanoseconds: nanoseconds,
      changeSeconds: seconds,
      changeNanoseconds: nanoseconds,
    })
    thereAndBack(
      value,
      88,
      (from, words, offset) => attributes.emitAttributes(from, 1, words, offset),
      (words, offset) => {
        const into = newAttributes()
        expect(attributes.parseAttributes(words, offset, into)).toBe(1)
        return into
      },
    )
    const usage = fc.record({
      blockSize: u32,
      blocks: exact,
      freeBlocks: exact,
      availableBlocks: exact,
      files: exact,
      freeFiles: exact,
      nameMax: u32,
    })
    thereAndBack(usage, attributes.STATFS_OUT, attributes.emitStatfs, (words, offset) => {
      const into = newUsage()
      attributes.parseStatfs(words, offset, into)
      return into
    })
  })

  it("keep what is to be changed, and no more", () => {
    const some = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
      fc.option(value, { nil: undefined })
    const stamp = fc.oneof(fc.constant("now" as const), fc.record({ seconds, nanoseconds }))
    const changes = fc.record({
      mode: some(u32),
      uid: some(u32),
      gid: some(u32),
      size: some(exact),
      access: some(stamp),
      modify: some(stamp),
    })
    thereAndBack(
      fc.record({ handle: fc.oneof(fc.constant(-1), exact), changes }),
      attributes.SETATTR_IN,
      (value, words, offset) => attributes.emitSetAttrIn({ valid: 0, ...value }, words, offset),
      (words, offset) => {
        const { handle, changes: read } = attributes.parseSetAttrIn(words, offset)
        return { handle, changes: read }
      },
    )
  })

  it("keep how long things are valid", () => {
    const value = fc.record({ node: exact, entryMs: fc.nat(1e9), attributeMs: fc.nat(1e9) })
    thereAndBack(
      value,
      attributes.ENTRY_ATTR,
      ({ node, ...validity }, words, offset) => attributes.emitEntryHead(node, validity, words, offset),
      attributes.parseEntryHead,
    )
  })
})

describe("entries of directories", () => {
  it("are read as they were written, one behind the other", () => {
    const entry = fc.record({
      inoLow: u32,
      inoHigh: u32,
      cookie: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
      type: fc.nat(15),
      name: fc.uint8Array({ minLength: 1, maxLength: 255 }),
    })
    fc.assert(
      fc.property(fc.array(entry, { maxLength: 10 }), (entries) => {
        const { bytes, u32: words } = newViews(4096)
        let end = 0
        for (const each of entries) {
          emitDirent(each, bytes, words, end)
          end += direntSize(each.name.length)
        }
        const read = [...entriesOf(words, 0, end, false)].map(({ dirent }) =>
          parseDirent(bytes, words, dirent),
        )
        expect(read).toEqual(entries)
      }),
    )
  })

  it("are never read beyond the end, whatever the bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 512 }), fc.boolean(), (content, plus) => {
        const { bytes, u32: words } = newViews(512)
        bytes.set(content)
        for (const { dirent } of entriesOf(words, 0, content.length, plus))
          expect(dirent + direntSize(parseDirent(bytes, words, dirent).name.length)).toBeLessThanOrEqual(
            content.length + 7,
          )
      }),
    )
  })
})

describe("names", () => {
  it("end at their NUL, or are not there", () => {
    const { bytes } = newViews(16)
    const end = emitName(Buffer.from("ab"), bytes, 1)
    expect(end).toBe(4)
    expect(endOfName(bytes, 1, 4)).toBe(3)
    expect(endOfName(bytes, 1, 3)).toBe(-1)
    expect(endOfName(bytes, 9, 4)).toBe(-1)
  })
})
