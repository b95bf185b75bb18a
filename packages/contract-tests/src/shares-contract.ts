/**
 * The compliance suite of the shares role (contract/src/shares.ts): the host's files in the machine, the machine's on the host, and no others.
 *
 * @module
 */
import { createHash, randomBytes } from "node:crypto"
import {
  chmodSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs"
import { join } from "node:path"
import type { ShareRule } from "@skep/contract"
import { describe, expect, it } from "vitest"
import type { GuestFiles, SharesFixture, SharesSuite } from "./shares-fixture.ts"

const SIZES = [0, 1, 4095, 4096, 4097, 65_537, (1 << 20) + 3, 3 << 20]
const MANY = 3000
const PIECE = 8192
const WRITERS = 8
const ROUNDS = 12
/** Providers are started anew for each case, on machines that do other things besides. */
const CASE_MS = 60_000

type Check = (name: string, run: (fixture: SharesFixture, files: GuestFiles) => Promise<void>) => void

/** Declares the suite with vitest. Throws where a gap names no case. */
export function sharesContract(suite: SharesSuite): void {
  describe(`shares contract: ${suite.name}`, () => {
    const names = new Set<string>()
    const check: Check = (name, run) => {
      names.add(name)
      const gap = suite.gaps?.[name]
      const reason = suite.unavailable ?? (gap === undefined ? undefined : `gap: ${gap}`)
      if (reason !== undefined) {
        it.skip(`${name} (${reason})`, () => undefined)
        return
      }
      it(name, { timeout: CASE_MS }, async () => {
        await using fixture = await suite.open()
        await run(fixture, await fixture.files(fixture.rule.target))
      })
    }
    contentCases(check)
    nameCases(check)
    boundaryCases(check)
    ownerCases(check)
    ruleCases(check)
    comingCases(check)
    restartCases(check)
    const unknown = Object.keys(suite.gaps ?? {}).filter((name) => !names.has(name))
    if (unknown.length > 0) throw new Error(`no case has the name of the gap "${unknown.join('", "')}"`)
  })
}

function contentCases(check: Check): void {
  check("files of the host are in the guest, byte for byte", async ({ rule }, files) => {
    for (const size of SIZES) {
      const content = randomBytes(size)
      writeFileSync(join(rule.path, `host-${size}`), content)
      expect(sum(await files.read(`host-${size}`))).toBe(sum(content))
    }
  })
  check("files of the guest are on the host, byte for byte", async ({ rule }, files) => {
    for (const size of SIZES) {
      const content = randomBytes(size)
      await files.write(`guest-${size}`, content)
      expect(sum(readFileSync(join(rule.path, `guest-${size}`)))).toBe(sum(content))
    }
  })
  check("what either side writes into an open file is read by the other", async ({ rule }, files) => {
    const path = join(rule.path, "file")
    writeFileSync(path, "0123456789")
    const open = await files.open("file")
    await open.write(2, text("ab"))
    expect(readFileSync(path, "utf8")).toBe("01ab456789")
    writeFileSync(path, "ABCDE")
    expect(String(Buffer.from(await open.read(0, 100)))).toBe("ABCDE")
    truncateSync(path, 2)
    expect(String(Buffer.from(await open.read(0, 100)))).toBe("AB")
    await open.write(PIECE, text("far"))
    expect(statSync(path).size).toBe(PIECE + 3)
    await open.close()
  })
  check("what is written can be put on the device", async ({ rule }, files) => {
    await files.write("file", text(""))
    const open = await files.open("file")
    await open.write(0, text("kept"))
    await open.sync()
    expect(readFileSync(join(rule.path, "file"), "utf8")).toBe("kept")
    await open.close()
  })
  check("an open file works on when its name is gone", async ({ rule, openWithoutName }, files) => {
    await files.write("file", text("kept"))
    const open = await files.open("file")
    await files.remove("file")
    const left = readdirSync(rule.path)
    expect(left).not.toContain("file")
    expect(left).toHaveLength(openWithoutName === "renamed" ? 1 : 0)
    await open.write(4, text(" all the same"))
    expect(String(Buffer.from(await open.read(0, 100)))).toBe("kept all the same")
    await open.close()
    expect(readdirSync(rule.path)).toEqual([])
  })
  check("sizes, times and modes go both ways", async ({ rule }, files) => {
    const path = join(rule.path, "file")
    writeFileSync(path, "12345")
    utimesSync(path, 1_000_000_000.25, 1_000_000_000.25)
    chmodSync(path, 0o640)
    expect(await files.stat("file")).toMatchObject({
      type: "file",
      size: 5,
      mode: 0o640,
      links: 1,
      modifyNs: 1_000_000_000_250_000_000n,
    })
    await files.chmod("file", 0o600)
    await files.truncate("file", 3)
    expect(statSync(path).mode & 0o777).toBe(0o600)
    expect(readFileSync(path, "utf8")).toBe("123")
  })
}

function nameCases(check: Check): void {
  check("renames take the place of what was there, on both sides", async ({ rule }, files) => {
    const at = (name: string): string => join(rule.path, name)
    await files.write("a", text("new"))
    await files.write("b", text("old"))
    await files.rename("a", "b")
    expect(readdirSync(rule.path)).toEqual(["b"])
    expect(readFileSync(at("b"), "utf8")).toBe("new")
    renameSync(at("b"), at("c"))
    expect(await files.list("")).toEqual(["c"])
    await expect(files.read("b")).rejects.toMatchObject({ code: "ENOENT" })
    await files.makeDirectory("d")
    await files.rename("c", "d/c")
    expect(readFileSync(at("d/c"), "utf8")).toBe("new")
    await expect(files.removeDirectory("d")).rejects.toMatchObject({ code: "ENOTEMPTY" })
    await files.remove("d/c")
    await files.removeDirectory("d")
    expect(readdirSync(rule.path)).toEqual([])
  })
  check("a directory of many entries is listed whole, and each of them found", async ({ rule }, files) => {
    mkdirSync(join(rule.path, "many"))
    const names = Array.from(
      { length: MANY },
      (_, index) => `file number ${index} with a name of some length`,
    )
    for (const name of names) writeFileSync(join(rule.path, "many", name), "")
    expect((await files.list("many")).toSorted()).toEqual(names.toSorted())
    for (const name of names.filter((_, index) => index % 100 === 0))
      expect((await files.stat(`many/${name}`)).type).toBe("file")
  })
  check("names in no encoding, of one byte and of 255", async ({ rule }, files) => {
    const names = ["x", "ü", "日本", " ", "-", "*", "a\nb", "z".repeat(255)]
    for (const name of names) await files.write(name, text(name))
    expect(readdirSync(rule.path).toSorted()).toEqual(names.toSorted())
    for (const name of names) expect(String(Buffer.from(await files.read(name)))).toBe(name)
    await expect(files.write("z".repeat(256), text(""))).rejects.toMatchObject({ code: "ENAMETOOLONG" })
  })
  check("hard links are one file", async ({ rule }, files) => {
    await files.write("a", text("one"))
    await files.link("a", "b")
    linkSync(join(rule.path, "a"), join(rule.path, "c"))
    expect((await files.stat("c")).links).toBe(3)
    await files.write("b", text("two"))
    expect(readFileSync(join(rule.path, "c"), "utf8")).toBe("two")
  })
}

function boundaryCases(check: Check): void {
  check("symbolic links are the guest's to follow, never the host's", async ({ rule, directory }, files) => {
    writeFileSync(join(directory, "secret"), "secret")
    mkdirSync(join(directory, "outside"))
    symlinkSync(join(directory, "secret"), join(rule.path, "absolute"))
    symlinkSync("../outside", join(rule.path, "above"))
    await files.symlink("../secret", "made")
    expect(readlinkSync(join(rule.path, "made"))).toBe("../secret")
    expect(await files.readLink("absolute")).toBe(join(directory, "secret"))
    expect((await files.stat("above")).type).toBe("symlink")
    for (const path of ["absolute", "made"])
      await expect(files.read(path)).rejects.toMatchObject({
        code: expect.stringMatching(/^E(LOOP|INVAL|BADF)$/),
      })
    await expect(files.write("above/file", text("x"))).rejects.toMatchObject({ code: "ENOTDIR" })
    expect(readdirSync(join(directory, "outside"))).toEqual([])
  })
  check(
    "a directory that becomes a link while the guest is in it leads nowhere else",
    async ({ rule, directory }, files) => {
      mkdirSync(join(directory, "outside"))
      mkdirSync(join(rule.path, "d"))
      const open = await files.open("d/../d/new").catch(() => undefined)
      expect(open).toBeUndefined()
      rmSync(join(rule.path, "d"), { recursive: true })
      symlinkSync(join(directory, "outside"), join(rule.path, "d"))
      await expect(files.write("d/file", text("x"))).rejects.toMatchObject({ code: "ENOTDIR" })
      expect(readdirSync(join(directory, "outside"))).toEqual([])
    },
  )
}

function ownerCases(check: Check): void {
  check("owners that the guest gives are kept, and the host's stay as they are", async ({ rule }, files) => {
    const path = join(rule.path, "file")
    writeFileSync(path, "")
    const before = lstatSync(path)
    await files.chown("file", 999, 998)
    expect(await files.stat("file")).toMatchObject({ uid: 999, gid: 998 })
    expect(lstatSync(path)).toMatchObject({ uid: before.uid, gid: before.gid })
    await files.rename("file", "other")
    expect(await files.stat("other")).toMatchObject({ uid: 999, gid: 998 })
  })
  check("files that nobody was given belong to whoever looks", async ({ rule }, files) => {
    writeFileSync(join(rule.path, "file"), "")
    expect(await files.stat("file", 0)).toMatchObject({ uid: 0 })
    expect(await files.stat("file", 1234)).toMatchObject({ uid: 1234 })
  })
}

function ruleCases(check: Check): void {
  check("says of what cannot be shared why", async ({ running, rule, directory }) => {
    writeFileSync(join(directory, "file"), "")
    const refused = async (more: Partial<ShareRule>, code: string): Promise<void> => {
      const wanted = { ...rule, target: "/mnt/other", ...more }
      await expect(running.share(wanted)).rejects.toMatchObject({ code })
    }
    await refused({ path: join(directory, "missing") }, "not-found")
    await refused({ path: join(directory, "file") }, "bad-options")
    await refused({ target: `${rule.target}/inside` }, "bad-options")
    await refused({ target: "/proc" }, "bad-options")
    const { shares } = await running.status()
    expect(shares.map(({ target }) => target)).toEqual([rule.target])
  })
  check("adopts a rule that is in place, and says what there is", async ({ running, rule }) => {
    const share = await running.share(rule)
    expect(share.rule).toEqual(rule)
    const { shares } = await running.status()
    expect(shares).toHaveLength(1)
    expect(shares[0]).toMatchObject({ ...rule, state: expect.stringMatching(/^(waiting|mounted)$/) })
  })
}

function comingCases(check: Check): void {
  check("a share comes and goes while the machine runs", async (fixture, files) => {
    const { running, rule, directory } = fixture
    const path = join(directory, "second")
    mkdirSync(path)
    writeFileSync(join(path, "file"), "second")
    const share = await running.share({ ...rule, path, target: "/mnt/second" })
    const second = await fixture.files("/mnt/second")
    expect(String(Buffer.from(await second.read("file")))).toBe("second")
    const open = await second.open("file")
    await share[Symbol.asyncDispose]()
    await share[Symbol.asyncDispose]()
    await expect(second.read("file")).rejects.toMatchObject({
      code: expect.stringMatching(/^E(STALE|NOENT)$/),
    })
    await expect(open.read(0, 1)).rejects.toMatchObject({ code: "ESTALE" })
    await files.write("still", text("here"))
    expect(existsSync(join(rule.path, "still"))).toBe(true)
    expect((await running.status()).shares).toHaveLength(1)
  })
  check("what is shared to be read is not written", async (fixture) => {
    const { running, rule, directory } = fixture
    const path = join(directory, "second")
    mkdirSync(path)
    writeFileSync(join(path, "file"), "as it is")
    await running.share({ ...rule, path, target: "/mnt/second", readOnly: true })
    const files = await fixture.files("/mnt/second")
    expect(String(Buffer.from(await files.read("file")))).toBe("as it is")
    const erofs = { code: "EROFS" }
    await expect(files.write("file", text("x"))).rejects.toMatchObject(erofs)
    await expect(files.write("new", text("x"))).rejects.toMatchObject(erofs)
    await expect(files.makeDirectory("d")).rejects.toMatchObject(erofs)
    await expect(files.remove("file")).rejects.toMatchObject(erofs)
    await expect(files.chmod("file", 0)).rejects.toMatchObject(erofs)
    await expect(files.rename("file", "x")).rejects.toMatchObject(erofs)
    expect(readFileSync(join(path, "file"), "utf8")).toBe("as it is")
  })
  check("another rule takes the place of the one at its target", async (fixture, files) => {
    const { running, rule } = fixture
    await files.write("file", text("x"))
    await running.share({ ...rule, readOnly: true })
    const again = await fixture.files(rule.target)
    await expect(again.write("file", text("y"))).rejects.toMatchObject({ code: "EROFS" })
    await running.share(rule)
    await (await fixture.files(rule.target)).write("file", text("z"))
    expect(readFileSync(join(rule.path, "file"), "utf8")).toBe("z")
    expect((await running.status()).shares).toHaveLength(1)
  })
  check("a directory that vanishes is gone, and is shared again when it is back", async (fixture, files) => {
    const { running, rule, directory } = fixture
    await files.write("file", text("x"))
    renameSync(rule.path, join(directory, "away"))
    const stateOf = async (): Promise<string | undefined> => (await running.status()).shares[0]?.state
    await expect.poll(stateOf, PATIENT).toBe("gone")
    await expect(files.write("file", text("y"))).rejects.toMatchObject({ code: "ESTALE" })
    renameSync(join(directory, "away"), rule.path)
    await expect.poll(stateOf, PATIENT).not.toBe("gone")
    await files.write("file", text("z"))
    expect(readFileSync(join(rule.path, "file"), "utf8")).toBe("z")
  })
}

const PATIENT = { timeout: 30_000 }

function restartCases(check: Check): void {
  check("open files and directories go on when the provider was killed", async (fixture, files) => {
    const { rule } = fixture
    await files.makeDirectory("d")
    await files.write("d/file", text("before"))
    const open = await files.open("d/file")
    await fixture.restart?.()
    expect(String(Buffer.from(await open.read(0, 100)))).toBe("before")
    await open.write(0, text("after!"))
    await files.write("d/new", text("x"))
    expect(readFileSync(join(rule.path, "d/file"), "utf8")).toBe("after!")
    await open.close()
  })
  check("nothing that was written is lost when the provider is killed under load", async (fixture, files) => {
    const { rule } = fixture
    const opens = await Promise.all(
      Array.from({ length: WRITERS }, async (_, index) => {
        await files.write(`file-${index}`, text(""))
        return await files.open(`file-${index}`)
      }),
    )
    const pieces = Array.from({ length: WRITERS * ROUNDS }, () => randomBytes(PIECE))
    const pieceOf = (writer: number, round: number): Buffer =>
      pieces[writer * ROUNDS + round] ?? Buffer.alloc(0)
    for (let round = 0; round < ROUNDS; round++) {
      const writes = opens.map((open, index) => open.write(round * PIECE, pieceOf(index, round)))
      if (round % 4 === 1) await fixture.restart?.()
      await Promise.all(writes)
    }
    for (const [index, open] of opens.entries()) {
      const whole = Buffer.concat(Array.from({ length: ROUNDS }, (_, round) => pieceOf(index, round)))
      expect(sum(readFileSync(join(rule.path, `file-${index}`)))).toBe(sum(whole))
      await open.close()
    }
  })
}

function sum(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex")
}

function text(content: string): Uint8Array {
  return new TextEncoder().encode(content)
}
