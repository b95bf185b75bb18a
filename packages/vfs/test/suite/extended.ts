/**
 * Cases about extended attributes: xattr(7).
 *
 * @module
 */
import { expect } from "vitest"
import { XATTR_CREATE, XATTR_REPLACE } from "../../src/index.ts"
import type { Check } from "./check.ts"
import { bytes, S_IFIFO, sure } from "./rig.ts"

export function extendedCases(check: Check): void {
  check("extended attributes: set, got, listed and removed, of files and directories", async (rig) => {
    for (const node of [await rig.file("a"), sure(rig.mkdir("d"))]) {
      expect(rig.listExtended(node)).toEqual([])
      expect(rig.setExtended(node, "user.one", "first")).toBe(0)
      expect(rig.setExtended(node, "user.two", "")).toBe(0)
      expect(rig.getExtended(node, "user.one")).toBe("first")
      expect(rig.getExtended(node, "user.two")).toBe("")
      expect(rig.listExtended(node)).toEqual(["user.one", "user.two"])
      expect(rig.setExtended(node, "user.one", "a longer second")).toBe(0)
      expect(rig.getExtended(node, "user.one")).toBe("a longer second")
      expect(rig.removeExtended(node, "user.one")).toBe(0)
      expect(rig.listExtended(node)).toEqual(["user.two"])
    }
  })

  check("extended attributes: ENODATA for what is not there", async (rig) => {
    const node = await rig.file("a")
    expect(rig.getExtended(node, "user.none")).toBe("ENODATA")
    expect(rig.removeExtended(node, "user.none")).toBe("ENODATA")
  })

  check("extended attributes: values are any bytes", async (rig) => {
    const node = await rig.file("a")
    const value = Array.from({ length: 256 }, (_, index) => String.fromCharCode(index)).join("")
    expect(rig.setExtended(node, "user.bytes", value)).toBe(0)
    expect(rig.getExtended(node, "user.bytes")).toBe(value)
  })

  check(
    "extended attributes: a value is a view, and changing it after the call changes nothing",
    async (rig) => {
      const node = await rig.file("a")
      const value = Buffer.from("before")
      expect(rig.fs.setExtended(node, bytes("user.a"), value, 0)).toBe(0)
      value.write("after!")
      expect(rig.getExtended(node, "user.a")).toBe("before")
    },
  )

  check("extended attributes: CREATE needs none, REPLACE needs one", async (rig) => {
    const node = await rig.file("a")
    expect(rig.setExtended(node, "user.a", "x", XATTR_REPLACE)).toBe("ENODATA")
    expect(rig.setExtended(node, "user.a", "1", XATTR_CREATE)).toBe(0)
    expect(rig.setExtended(node, "user.a", "2", XATTR_CREATE)).toBe("EEXIST")
    expect(rig.setExtended(node, "user.a", "3", XATTR_REPLACE)).toBe(0)
    expect(rig.getExtended(node, "user.a")).toBe("3")
    expect(rig.setExtended(node, "user.a", "4", 64)).toBe("EINVAL")
  })

  check("extended attributes: an empty buffer asks for the length, one too small is ERANGE", async (rig) => {
    const node = await rig.file("a")
    sure(rig.setExtended(node, "user.name", "value"))
    expect(rig.fs.getExtended(node, bytes("user.name"), new Uint8Array(0))).toBe(5)
    expect(rig.getExtended(node, "user.name", 4)).toBe("ERANGE")
    expect(rig.fs.listExtended(node, new Uint8Array(0))).toBeGreaterThanOrEqual(10)
    expect(rig.listExtended(node, 4)).toBe("ERANGE")
  })

  check("extended attributes: names of 255 bytes at most, in a namespace that is known", async (rig) => {
    const node = await rig.file("a")
    expect(rig.setExtended(node, `user.${"x".repeat(250)}`, "v")).toBe(0)
    expect(rig.setExtended(node, `user.${"x".repeat(251)}`, "v")).toBe("ERANGE")
    expect(rig.setExtended(node, "", "v")).toBe("ERANGE")
    expect(rig.setExtended(node, "nonsense.a", "v")).toBe("EOPNOTSUPP")
    expect(rig.setExtended(node, "user.", "v")).toBe("EINVAL")
  })

  check("extended attributes: of links and FIFOs none of the user's: EPERM", (rig) => {
    for (const node of [sure(rig.symlink("l", "x")), sure(rig.mknod("f", S_IFIFO | 0o600))]) {
      expect(rig.setExtended(node, "user.a", "x")).toBe("EPERM")
      expect(rig.getExtended(node, "user.a")).toBe("ENODATA")
    }
  })

  check("extended attributes: they belong to the file, not to its name", async (rig) => {
    const node = await rig.file("a")
    sure(rig.setExtended(node, "user.a", "kept"))
    sure(rig.link(node, "b"))
    sure(rig.rename("a", "c"))
    expect(rig.getExtended(sure(rig.lookup("b")), "user.a")).toBe("kept")
    expect(rig.getExtended(sure(rig.lookup("c")), "user.a")).toBe("kept")
  })

  check(
    "extended attributes: what is kept for layers above is not shown, and refused with EPERM",
    async (rig) => {
      const node = await rig.file("a")
      expect(rig.setExtended(node, "user.skep.owner", "x")).toBe("EPERM")
      expect(rig.removeExtended(node, "user.skep.owner")).toBe("EPERM")
      expect(["EPERM", "ENODATA"]).toContain(rig.getExtended(node, "user.skep.owner"))
      expect(rig.listExtended(node)).toEqual([])
    },
  )
}
