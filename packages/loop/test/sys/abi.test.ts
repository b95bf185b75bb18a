import { spawnSync } from "node:child_process"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { constants, tmpdir } from "node:os"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import {
  abiOf,
  CMSGHDR,
  DIRENT64,
  FLOCK,
  IOVEC,
  MSGHDR,
  RLIMIT,
  STATFS,
  STATX,
  TIMESPEC,
} from "../../src/sys/abi.ts"
import * as c from "../../src/sys/constants.ts"
import { unsupported } from "../../src/sys/libc.ts"

describe("abiOf()", () => {
  it("packs epoll_event on x64 and aligns it on arm64", () => {
    expect(abiOf("x64")?.epollEvent).toEqual({ size: 12, events: 0, data: 4 })
    expect(abiOf("arm64")?.epollEvent).toEqual({ size: 16, events: 0, data: 8 })
    expect(abiOf("riscv64")).toBeUndefined()
  })

  it("has the open flags that arm64 took over from 32-bit ARM", () => {
    // arch/arm64/include/uapi/asm/fcntl.h and asm-generic/fcntl.h.
    expect(abiOf("arm64")?.open).toEqual({
      DIRECTORY: 0x4000,
      NOFOLLOW: 0x8000,
      DIRECT: 0x10000,
      LARGEFILE: 0x20000,
      TMPFILE: 0x404000,
    })
    expect(abiOf("x64")?.open).toEqual({
      DIRECTORY: 0x10000,
      NOFOLLOW: 0x20000,
      DIRECT: 0x4000,
      LARGEFILE: 0x8000,
      TMPFILE: 0x410000,
    })
  })

  it("has layouts without overlaps, of whole words", () => {
    const { align, ...cmsghdr } = CMSGHDR
    expect(align).toBe(8)
    for (const layout of [IOVEC, MSGHDR, cmsghdr, TIMESPEC]) {
      const { size, ...fields } = layout
      const offsets = Object.values(fields)
      expect(new Set(offsets).size).toBe(offsets.length)
      expect(Math.max(...offsets)).toBeLessThan(size)
      expect(size % 8).toBe(0)
    }
  })
})

describe("unsupported()", () => {
  it("says why in one sentence, or nothing", () => {
    expect(unsupported("linux", "x64")).toBeUndefined()
    expect(unsupported("linux", "arm64")).toBeUndefined()
    expect(unsupported("darwin", "arm64")).toBe("the loop needs Linux system calls, and this is darwin")
    expect(unsupported("linux", "ia32")).toBe(
      "the loop knows the layouts of x64 and arm64 only, and this processor is ia32",
    )
  })
})

describe.runIf(process.platform === "linux")("constants", () => {
  it("agree with Node's for this processor", () => {
    const { O_CREAT, O_EXCL, O_TRUNC, O_APPEND, O_NONBLOCK, O_DIRECTORY, O_NOFOLLOW, O_DIRECT, O_DSYNC } = c
    const ours = {
      O_CREAT,
      O_EXCL,
      O_TRUNC,
      O_APPEND,
      O_NONBLOCK,
      O_DIRECTORY,
      O_NOFOLLOW,
      O_DIRECT,
      O_DSYNC,
    }
    const theirs = Object.fromEntries(Object.keys(ours).map((name) => [name, fsConstant(name)]))
    expect(ours).toEqual(theirs)
    expect(constants.errno.EAGAIN).toBe(11)
  })

  const compiler = spawnSync("cc", ["--version"]).status === 0
  it.runIf(compiler)("and layouts agree with the C compiler's", () => {
    expect(compiled()).toEqual(expected())
  })
})

function fsConstant(name: string): unknown {
  return Object.entries(process.getBuiltinModule("node:fs").constants).find(([key]) => key === name)?.[1]
}

/** Offsets and values by the C expression that says them. */
function expected(): Record<string, number> {
  const abi = abiOf(process.arch)
  const values: Record<string, number> = {
    "sizeof(struct epoll_event)": abi?.epollEvent.size ?? 0,
    "offsetof(struct epoll_event, data)": abi?.epollEvent.data ?? 0,
    "sizeof(struct iovec)": IOVEC.size,
    "offsetof(struct iovec, iov_len)": IOVEC.length,
    "sizeof(struct msghdr)": MSGHDR.size,
    "offsetof(struct msghdr, msg_namelen)": MSGHDR.nameLength,
    "offsetof(struct msghdr, msg_iov)": MSGHDR.iov,
    "offsetof(struct msghdr, msg_iovlen)": MSGHDR.iovLength,
    "offsetof(struct msghdr, msg_control)": MSGHDR.control,
    "offsetof(struct msghdr, msg_controllen)": MSGHDR.controlLength,
    "offsetof(struct msghdr, msg_flags)": MSGHDR.flags,
    "CMSG_LEN(0)": CMSGHDR.size,
    "offsetof(struct cmsghdr, cmsg_level)": CMSGHDR.level,
    "offsetof(struct cmsghdr, cmsg_type)": CMSGHDR.type,
    "CMSG_SPACE(4)": CMSGHDR.size + CMSGHDR.align,
    "sizeof(struct timespec)": TIMESPEC.size,
    "sizeof(struct statx)": STATX.size,
    "offsetof(struct statx, stx_mode)": STATX.mode,
    "offsetof(struct statx, stx_size)": STATX.bytes,
    "offsetof(struct statx, stx_mtime)": STATX.modified,
    "offsetof(struct statx, stx_dev_major)": STATX.deviceMajor,
    "offsetof(struct statx, stx_rdev_major)": STATX.rdevMajor,
    "offsetof(struct statx, stx_rdev_minor)": STATX.rdevMinor,
    "offsetof(struct statx, stx_btime)": STATX.born,
    "sizeof(struct statfs)": STATFS.size,
    "offsetof(struct statfs, f_bavail)": STATFS.availableBlocks,
    "offsetof(struct statfs, f_ffree)": STATFS.freeFiles,
    "offsetof(struct statfs, f_namelen)": STATFS.nameMax,
    "offsetof(struct dirent64, d_off)": DIRENT64.offset,
    "offsetof(struct dirent64, d_reclen)": DIRENT64.length,
    "offsetof(struct dirent64, d_type)": DIRENT64.type,
    "offsetof(struct dirent64, d_name)": DIRENT64.name,
    "sizeof(struct flock)": FLOCK.size,
    "offsetof(struct flock, l_start)": FLOCK.start,
    "offsetof(struct flock, l_len)": FLOCK.length,
    "offsetof(struct flock, l_pid)": FLOCK.pid,
    RLIMIT_NOFILE: RLIMIT.files,
  }
  for (const [name, value] of Object.entries(c)) {
    // Node's own limits hide O_TMPFILE; EPOLLET is the sign bit. All are compared as 32 bits.
    if (name !== "SCM_MAX_FD") values[name] = value >>> 0
  }
  return values
}

function compiled(): Record<string, number> {
  const directory = mkdtempSync(join(tmpdir(), "skep-abi-"))
  try {
    const lines = Object.keys(expected()).map(
      (expression) => `printf("%s\\t%u\\n", "${expression}", (unsigned)(${expression}));`,
    )
    const headers = [
      "stddef",
      "stdio",
      "limits",
      "fcntl",
      "sys/epoll",
      "sys/eventfd",
      "sys/socket",
      "sys/uio",
    ]
    headers.push("sys/mman", "sys/stat", "netinet/in", "netinet/tcp", "netinet/udp", "sched", "time")
    headers.push("sys/file", "sys/resource", "sys/vfs", "dirent")
    const includes = headers.map((name) => `#include <${name}.h>`).join("\n")
    const source = `#define _GNU_SOURCE\n${includes}\nint main(void) {\n${lines.join("\n")}\nreturn 0; }\n`
    writeFileSync(join(directory, "abi.c"), source)
    const built = spawnSync("cc", ["-o", join(directory, "abi"), join(directory, "abi.c")], {
      encoding: "utf8",
    })
    expect(built.stderr).toBe("")
    const { stdout } = spawnSync(join(directory, "abi"), { encoding: "utf8" })
    return Object.fromEntries(
      stdout
        .trim()
        .split("\n")
        .map((line) => {
          const [expression = "", value] = line.split("\t")
          return [expression, Number(value)]
        }),
    )
  } finally {
    rmSync(directory, { recursive: true })
  }
}
