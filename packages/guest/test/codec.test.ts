/** The small formats: cpio, LZ4, bzImage, ELF, kernel module tables, globs. */
import fc from "fast-check"
import { describe, expect, test } from "vitest"
import * as bzimage from "../src/bzimage.ts"
import * as cpio from "../src/cpio.ts"
import * as elf from "../src/elf.ts"
import { matcher } from "../src/glob.ts"
import type { KernelModule } from "../src/kernel-modules.ts"
import * as kernelModules from "../src/kernel-modules.ts"
import * as lz4 from "../src/lz4.ts"
import { complete, directory, file, link } from "../src/tree.ts"

describe("cpio", () => {
  test("emit() gives the bytes that `cpio -o -H newc` gives", () => {
    const bytes = cpio.emit([file("a", 0o644, "hi\n")])
    const zero = "00000000"
    const header = [
      "070701",
      "00000001",
      "000081a4",
      zero,
      zero,
      "00000001",
      zero,
      "00000003",
      zero,
      zero,
      zero,
      zero,
      "00000002",
      zero,
    ]
    const trailer = [
      "070701",
      zero,
      zero,
      zero,
      zero,
      "00000001",
      zero,
      zero,
      zero,
      zero,
      zero,
      zero,
      "0000000b",
      zero,
    ]
    expect(bytes.toString("latin1")).toBe(`${header.join("")}a\0hi\n\0${trailer.join("")}TRAILER!!!\0\0\0\0`)
  })

  test("emit() aligns every record to four bytes and keeps data whole", () => {
    const name = fc.stringMatching(/^[a-z]{1,12}$/)
    fc.assert(
      fc.property(name, fc.uint8Array({ maxLength: 64 }), (path, data) => {
        const bytes = cpio.emit([
          directory("d"),
          file(`d/${path}`, 0o755, Buffer.from(data)),
          link("l", path),
        ])
        expect(bytes.length % 4).toBe(0)
        const second = 112 + 0 + align(110 + path.length + 3)
        expect(bytes.subarray(second, second + data.length)).toEqual(Buffer.from(data))
      }),
    )
  })
})

function align(length: number): number {
  return Math.ceil(length / 4) * 4
}

describe("tree", () => {
  test("complete() puts parents first", () => {
    expect(complete([file("b/c/d", 0o644, ""), file("a", 0o644, "")]).map((entry) => entry.path)).toEqual([
      "a",
      "b",
      "b/c",
      "b/c/d",
    ])
  })
})

/** A legacy frame of one block. */
function frame(...block: readonly number[]): Buffer {
  return Buffer.from([0x02, 0x21, 0x4c, 0x18, block.length, 0, 0, 0, ...block])
}

describe("lz4", () => {
  test("parseLegacy() copies literals", () => {
    expect(lz4.parseLegacy(frame(0x30, 0x61, 0x62, 0x63))?.toString()).toBe("abc")
  })

  test("parseLegacy() repeats a pattern that overlaps itself", () => {
    // "ab", then 9 bytes from 2 before, then "z".
    expect(lz4.parseLegacy(frame(0x25, 0x61, 0x62, 2, 0, 0x10, 0x7a))?.toString()).toBe("abababababaz")
  })

  test("parseLegacy() reads long lengths", () => {
    expect(lz4.parseLegacy(frame(0x1f, 0x61, 1, 0, 255, 6, 0x10, 0x7a))?.toString()).toBe(
      `${"a".repeat(1 + 15 + 255 + 6 + 4)}z`,
    )
  })

  test("parseLegacy() says undefined for an offset before the start and for other formats", () => {
    expect(lz4.parseLegacy(frame(0x10, 0x61, 5, 0, 0x10, 0x7a))).toBeUndefined()
    expect(lz4.parseLegacy(Buffer.from("BZh91AY&"))).toBeUndefined()
  })

  test("parseLegacy() survives any block", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 40 }), (block) => {
        lz4.parseLegacy(frame(...block))
      }),
      { numRuns: 60 },
    )
  })
})

describe("bzimage", () => {
  test("parse() takes the ELF kernel out", () => {
    const kernel = elfFile({ ".note": "kernel" })
    // One run of literals; 15 and more in further bytes.
    const rest = kernel.length - 15
    const lengths = [...Array.from({ length: Math.floor(rest / 255) }, () => 255), rest % 255]
    const block = Buffer.from([0xf0, ...lengths, ...kernel])
    const packed = Buffer.concat([
      Buffer.from([0x02, 0x21, 0x4c, 0x18]),
      u32(block.length),
      block,
      u32(kernel.length),
    ])
    const setup = Buffer.alloc(1024)
    setup[0x1f1] = 1
    setup.write("HdrS", 0x202)
    setup.writeUInt32LE(packed.length, 0x24c)
    expect(bzimage.parse(Buffer.concat([setup, packed]))).toEqual(kernel)
    expect(bzimage.parse(Buffer.concat([setup, packed]).subarray(0, -1))).toBeUndefined()
    expect(bzimage.parse(Buffer.from("no kernel"))).toBeUndefined()
  })
})

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value)
  return bytes
}

/** A file of 64-byte header, the sections' bytes, their names, and the section table. */
function elfFile(content: Readonly<Record<string, string | Buffer>>): Buffer {
  const names = ["", ...Object.keys(content), ".shstrtab"]
  const strings = `${names.join("\0")}\0`
  const bodies = ["", ...Object.values(content), strings].map((body) => Buffer.from(body))
  const headers: Buffer[] = []
  let at = 64
  bodies.forEach((body, index) => {
    const header = Buffer.alloc(64)
    header.writeUInt32LE(
      names.slice(0, index).reduce((sum, name) => sum + name.length + 1, 0),
      0,
    )
    header.writeBigUInt64LE(BigInt(at), 0x18)
    header.writeBigUInt64LE(BigInt(body.length), 0x20)
    headers.push(header)
    at += body.length
  })
  const start = Buffer.alloc(64)
  start.write("\x7fELF\x02\x01", "latin1")
  start.writeBigUInt64LE(BigInt(at), 0x28)
  start.writeUInt16LE(64, 0x3a)
  start.writeUInt16LE(headers.length, 0x3c)
  start.writeUInt16LE(headers.length - 1, 0x3e)
  return Buffer.concat([start, ...bodies, ...headers])
}

describe("elf", () => {
  test("moduleInfo() reads the pairs", () => {
    const bytes = elfFile({
      ".text": "code",
      ".modinfo": "license=GPL\0\0alias=fs-erofs\0depends=libcrc32c,a-b\0",
    })
    expect(elf.moduleInfo(bytes)).toEqual([
      ["license", "GPL"],
      ["alias", "fs-erofs"],
      ["depends", "libcrc32c,a-b"],
    ])
  })

  test("neededLibraries() reads DT_NEEDED up to DT_NULL", () => {
    const dynamic = Buffer.alloc(64)
    dynamic.writeBigUInt64LE(1n, 0)
    dynamic.writeBigUInt64LE(1n, 8)
    dynamic.writeBigUInt64LE(5n, 16)
    dynamic.writeBigUInt64LE(1n, 48)
    expect(elf.neededLibraries(elfFile({ ".dynamic": dynamic, ".dynstr": "\0libc.so.6\0" }))).toEqual([
      "libc.so.6",
    ])
  })

  test("both say nothing of other files, whatever they hold", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        expect(elf.neededLibraries(Buffer.from(bytes))).toEqual([])
        expect(elf.moduleInfo(Buffer.from(bytes))).toEqual([])
      }),
    )
  })
})

describe("kernel modules", () => {
  const module = (
    name: string,
    depends: readonly string[] = [],
    aliases: readonly string[] = [],
  ): [string, KernelModule] => [
    name,
    { path: `kernel/${name}.ko`, name, depends, aliases, data: Buffer.alloc(0) },
  ]
  const modules = new Map([
    module("erofs", ["libcrc32c"], ["fs-erofs"]),
    module("libcrc32c"),
    module("bridge", ["stp", "llc"]),
    module("stp", ["llc"]),
    module("llc"),
  ])

  test("parse() normalises names", () => {
    const parsed = kernelModules.parse(
      "kernel/drivers/virtio-rng.ko",
      elfFile({ ".modinfo": "depends=a-b\0" }),
    )
    expect(parsed).toMatchObject({ name: "virtio_rng", depends: ["a_b"] })
  })

  test("closure() puts each module after what it needs", () => {
    expect(kernelModules.closure(modules, ["bridge", "erofs"]).map((each) => each.name)).toEqual([
      "llc",
      "stp",
      "bridge",
      "libcrc32c",
      "erofs",
    ])
  })

  test("closure() says image-build-failed for an unknown module", () => {
    expect(() => kernelModules.closure(modules, ["zfs"])).toThrow(
      expect.objectContaining({ code: "image-build-failed" }),
    )
  })

  test("the tables are those of depmod", () => {
    expect(kernelModules.dependencyTable(modules)).toContain(
      "kernel/bridge.ko: kernel/stp.ko kernel/llc.ko\n",
    )
    expect(kernelModules.dependencyTable(modules)).toContain("kernel/llc.ko:\n")
    expect(kernelModules.aliasTable(modules)).toBe("alias fs-erofs erofs\n")
  })
})

describe("glob", () => {
  test.each([
    ["/usr/lib/*/*.so*", "/usr/lib/x86_64-linux-gnu/libc.so.6", true],
    ["/usr/lib/*/*.so*", "/usr/lib/x86_64-linux-gnu/deep/libc.so.6", false],
    ["fs/{nfs,erofs}/**", "fs/erofs/a/erofs.ko", true],
    ["fs/{nfs,erofs}/**", "fs/ext4/ext4.ko", false],
    ["a.b", "axb", false],
  ])("%s against %s is %s", (pattern, path, expected) => {
    expect(matcher([pattern])(path)).toBe(expected)
  })
})
