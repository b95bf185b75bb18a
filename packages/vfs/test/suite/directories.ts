/**
 * Cases about reading directories, small and large, whole and in pieces, quiet and changing.
 *
 * @module
 */
import { expect } from "vitest"
import type { Check } from "./check.ts"
import {
  bytes,
  DT_DIR,
  DT_FIFO,
  DT_LNK,
  DT_REG,
  DT_SOCK,
  type Rig,
  S_IFIFO,
  S_IFREG,
  S_IFSOCK,
  type Shown,
  sure,
} from "./rig.ts"

/** So many entries that every file system has them in many blocks. */
const MANY = 10_000

export function directoryCases(check: Check): void {
  smallCases(check)
  cookieCases(check)
  changeCases(check)
}

/** Reads a directory to its end, `step` entries a call; `between` is called after each. */
function readInSteps(
  rig: Rig,
  handle: number,
  step: number,
  between: (shown: Shown[]) => void = () => undefined,
): Shown[] {
  const all: Shown[] = []
  for (let cookie = 0n; ; ) {
    const part = rig.entries(handle, cookie, step)
    const last = part.at(-1)
    if (last === undefined) return all
    all.push(...part)
    cookie = last.cookie
    between(part)
  }
}

function makeMany(rig: Rig, node: number, count = MANY): void {
  for (let index = 0; index < count; index++) {
    const made = sure(rig.mknod(nameAt(index), S_IFREG | 0o600, node))
    rig.fs.forget(made, 1)
  }
}

function nameAt(index: number): string {
  return `entry-${index}`
}

function smallCases(check: Check): void {
  check("a directory shows itself, its parent and what is in it, with types", async (rig) => {
    const directory = sure(rig.mkdir("d"))
    await rig.file("file", directory)
    sure(rig.mkdir("directory", directory))
    sure(rig.symlink("link", "x", directory))
    sure(rig.mknod("fifo", S_IFIFO | 0o600, directory))
    sure(rig.mknod("socket", S_IFSOCK | 0o600, directory))
    const handle = sure(rig.openDirectory(directory))
    const types = new Map(rig.entries(handle).map(({ name, type }) => [name, type]))
    rig.fs.releaseDirectory(handle)
    const expected: Record<string, number> = {
      ".": DT_DIR,
      "..": DT_DIR,
      directory: DT_DIR,
      fifo: DT_FIFO,
      file: DT_REG,
      link: DT_LNK,
      socket: DT_SOCK,
    }
    expect([...types.keys()].toSorted()).toEqual(Object.keys(expected))
    // 0 is "not known", which the protocols pass on.
    for (const [name, type] of types) expect([0, expected[name]]).toContain(type)
  })

  check("entries have the numbers of their files", async (rig) => {
    const node = await rig.file("a")
    const handle = sure(rig.openDirectory())
    const shown = rig.entries(handle)
    rig.fs.releaseDirectory(handle)
    const numberOf = (of: number): bigint => {
      const { inoLow, inoHigh } = rig.stat(of)
      return (BigInt(inoHigh) << 32n) | BigInt(inoLow)
    }
    expect(shown.find(({ name }) => name === "a")?.ino).toBe(numberOf(node))
    expect(shown.find(({ name }) => name === ".")?.ino).toBe(numberOf(rig.root))
  })

  check("at the root .. leads nowhere else", (rig) => {
    const handle = sure(rig.openDirectory())
    const shown = rig.entries(handle)
    rig.fs.releaseDirectory(handle)
    expect(shown.map(({ name }) => name).toSorted()).toEqual([".", ".."])
    expect(rig.lookup("..")).toBe(rig.root)
  })

  check("names that are not UTF-8 are shown as they are", (rig) => {
    const names = ["\xff\x80", "a\nb", "\xe9", `${"\xfe".repeat(255)}`]
    for (const name of names) sure(rig.mkdir(bytes(name)))
    expect(rig.names()).toEqual(names.toSorted())
  })

  check("what is no directory is not opened as one: ENOTDIR", async (rig) => {
    expect(rig.openDirectory(await rig.file("a"))).toBe("ENOTDIR")
    expect(rig.openDirectory(sure(rig.mknod("f", S_IFIFO | 0o600)))).toBe("ENOTDIR")
  })
}

function cookieCases(check: Check): void {
  check("a visitor without room gets the same entry first next time", async (rig) => {
    for (let index = 0; index < 20; index++) await rig.file(nameAt(index))
    const handle = sure(rig.openDirectory())
    const whole = rig.entries(handle)
    for (const step of [1, 2, 7]) expect(readInSteps(rig, handle, step)).toEqual(whole)
    expect(rig.entries(handle, 0n, 0)).toEqual([])
    rig.fs.releaseDirectory(handle)
  })

  check("no cookie is 0, no two are alike, and behind the last is nothing", async (rig) => {
    for (let index = 0; index < 20; index++) await rig.file(nameAt(index))
    const handle = sure(rig.openDirectory())
    const cookies = rig.entries(handle).map(({ cookie }) => cookie)
    expect(cookies).not.toContain(0n)
    expect(new Set(cookies).size).toBe(22)
    expect(rig.entries(handle, cookies.at(-1))).toEqual([])
    rig.fs.releaseDirectory(handle)
  })

  check("a cookie leads on from another handle too", async (rig) => {
    for (let index = 0; index < 20; index++) await rig.file(nameAt(index))
    const one = sure(rig.openDirectory())
    const whole = rig.entries(one)
    rig.fs.releaseDirectory(one)
    const other = sure(rig.openDirectory())
    expect(rig.entries(other, whole[9]?.cookie)).toEqual(whole.slice(10))
    rig.fs.releaseDirectory(other)
  })

  check("reading again from the beginning shows what is there now", async (rig) => {
    const handle = sure(rig.openDirectory())
    expect(rig.entries(handle)).toHaveLength(2)
    await rig.file("a")
    expect(rig.entries(handle).map(({ name }) => name)).toContain("a")
    sure(rig.unlink("a"))
    expect(rig.entries(handle)).toHaveLength(2)
    rig.fs.releaseDirectory(handle)
  })

  check("two handles of a directory do not disturb each other", async (rig) => {
    for (let index = 0; index < 20; index++) await rig.file(nameAt(index))
    const one = sure(rig.openDirectory())
    const other = sure(rig.openDirectory())
    const seen = readInSteps(rig, one, 3, () => void rig.entries(other, 0n, 5))
    expect(new Set(seen.map(({ name }) => name)).size).toBe(22)
    for (const handle of [one, other]) rig.fs.releaseDirectory(handle)
  })
}

function changeCases(check: Check): void {
  check(
    "of 10,000 entries each is shown once, in pieces of any size, and while those that were shown are removed",
    (rig) => {
      const directory = sure(rig.mkdir("d"))
      makeMany(rig, directory)
      const handle = sure(rig.openDirectory(directory))
      const remove = (part: readonly Shown[]): void => {
        for (const { name } of part) if (!name.startsWith(".")) sure(rig.unlink(name, directory))
      }
      for (const [step, between] of [
        [5000, () => undefined],
        [97, () => undefined],
        [61, remove],
      ] as const) {
        const names = readInSteps(rig, handle, step, between).map(({ name }) => name)
        expect(names).toHaveLength(MANY + 2)
        expect(new Set(names).size).toBe(MANY + 2)
      }
      rig.fs.releaseDirectory(handle)
      expect(rig.names(directory)).toEqual([])
      expect(rig.rmdir("d")).toBe(0)
    },
  )

  check("entries that stay are shown once while others come and go", (rig) => {
    const directory = sure(rig.mkdir("d"))
    makeMany(rig, directory, 1000)
    const handle = sure(rig.openDirectory(directory))
    let round = 0
    const shown = readInSteps(rig, handle, 13, () => {
      round++
      const gone = nameAt(999 - round * 2)
      if (round < 100) sure(rig.unlink(gone, directory))
      rig.fs.forget(sure(rig.mknod(`fresh-${round}`, S_IFREG | 0o600, directory)), 1)
      if (round > 200) sure(rig.unlink(`fresh-${round}`, directory))
    })
    rig.fs.releaseDirectory(handle)
    const stayed = (name: string): boolean =>
      name.startsWith("entry-") && (Number(name.slice(6)) % 2 === 0 || Number(name.slice(6)) < 799)
    const counts = new Map<string, number>()
    for (const { name } of shown) counts.set(name, (counts.get(name) ?? 0) + 1)
    const expected = Array.from({ length: 1000 }, (_, index) => nameAt(index)).filter(stayed)
    expect(expected.filter((name) => counts.get(name) !== 1)).toEqual([])
  })

  check("an open directory that is removed shows no names, or ENOENT", (rig) => {
    const directory = sure(rig.mkdir("d"))
    const handle = sure(rig.openDirectory(directory))
    sure(rig.rmdir("d"))
    const names: string[] = []
    const result = rig.fs.readDirectory(handle, 0n, ({ name }) => {
      names.push(Buffer.from(name).toString("latin1"))
      return true
    })
    expect([0, -2]).toContain(result)
    expect(names.filter((name) => name !== "." && name !== "..")).toEqual([])
    rig.fs.releaseDirectory(handle)
  })
}
