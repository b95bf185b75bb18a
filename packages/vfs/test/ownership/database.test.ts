import {
  appendFileSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import fc from "fast-check"
import { afterAll, describe, expect, it } from "vitest"
import { OwnerDatabase } from "../../src/ownership/database.ts"
import type { OwnerRecord } from "../../src/ownership/record.ts"

const directory = mkdtempSync(join(tmpdir(), "owner-database-"))
afterAll(() => rmSync(directory, { recursive: true }))

let count = 0
const freshPath = (): string => join(directory, `owners-${count++}`)
const of = (uid: number): OwnerRecord => ({ owner: { uid, gid: 0 }, mode: undefined })

describe("OwnerDatabase", () => {
  it("has what was set and not deleted, now and when it is opened again", () => {
    const numbers = fc.constantFrom("1", "2", "ff")
    const durables = fc.constantFrom("aa", "bb", "cc")
    const steps = fc.array(
      fc.record({ number: numbers, durable: durables, uid: fc.option(fc.integer({ min: 0, max: 9 })) }),
      { maxLength: 60 },
    )
    fc.assert(
      fc.property(steps, (all) => {
        const path = freshPath()
        const database = new OwnerDatabase({ path })
        const model = new Map<string, number>()
        for (const { number, durable, uid } of all) {
          if (uid === null) database.delete(number, durable)
          else database.set(number, { durable, record: of(uid) })
          if (uid === null) model.delete(`${number} ${durable}`)
          else model.set(`${number} ${durable}`, uid)
        }
        database.close()
        for (const opened of [database, new OwnerDatabase({ path })]) {
          expect(opened.size).toBe(model.size)
          for (const [key, uid] of model) {
            const [number = "", durable = ""] = key.split(" ")
            expect(opened.get(number).find((kept) => kept.durable === durable)?.record).toEqual(of(uid))
          }
          opened.close()
        }
      }),
      { numRuns: 50 },
    )
  })

  it("leaves out a line that was cut off, and what comes after is whole", () => {
    const path = freshPath()
    const one = new OwnerDatabase({ path })
    one.set("1", { durable: "aa", record: of(1) })
    one.close()
    appendFileSync(path, "2 bb 5:0")
    const two = new OwnerDatabase({ path })
    expect([two.size, two.get("2")]).toEqual([1, []])
    two.set("3", { durable: "cc", record: of(3) })
    two.close()
    const three = new OwnerDatabase({ path })
    expect([three.get("1"), three.get("3")].flat().map(({ record }) => record.owner?.uid)).toEqual([1, 3])
    three.close()
  })

  it("sets a file aside that is something else, and says so", () => {
    const path = freshPath()
    writeFileSync(path, "precious\n")
    const said: string[] = []
    const database = new OwnerDatabase({ path, report: (sentence) => said.push(sentence) })
    database.set("1", { durable: "aa", record: of(1) })
    database.close()
    expect(readFileSync(`${path}.foreign`, "latin1")).toBe("precious\n")
    expect(said).toEqual([
      `Cannot read owners from "${path}": it is something else, and is now "${path}.foreign"`,
    ])
  })

  it("does not read lines that are none", () => {
    const path = freshPath()
    writeFileSync(path, "skep-owners 1\n1 aa 1:0::\nnonsense\n2 zz 1:0::\n3 aa 1:0:::\n\n4 aa 4:0::\n")
    const database = new OwnerDatabase({ path })
    expect([database.size, database.get("4")[0]?.record.owner?.uid]).toEqual([2, 4])
    database.close()
  })

  it("does not grow for ever, is nobody else's to read, and may be in memory only", () => {
    const path = freshPath()
    const database = new OwnerDatabase({ path })
    for (let round = 0; round < 5000; round++) database.set("1", { durable: "aa", record: of(round) })
    database.close()
    expect(statSync(path).size).toBeLessThan(10_000)
    expect(statSync(path).mode & 0o777).toBe(0o600)
    expect(existsSync(`${path}.new`)).toBe(false)
    const memory = new OwnerDatabase({})
    memory.set("1", { durable: "aa", record: of(1) })
    memory.compact(() => false)
    expect(memory.size).toBe(0)
  })
})
