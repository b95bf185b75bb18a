import { expect, test } from "vitest"
import { leftOut } from "../../src/cli/commands/share-owners.ts"

test("lines that were left out are told, but no more than a person reads", () => {
  const refused = Array.from({ length: 25 }, (_, index) => `Cannot find "f${index}": ENOENT`)
  const { message, detail, next } = leftOut({ applied: 5, refused }, "/srv/db")
  expect(message).toBe('Cannot import 25 of 30 owners into "/srv/db"')
  expect(detail).toEqual([...refused.slice(0, 20), "and 5 more"])
  expect(next).toBe("The others are taken")
})

test("a file of which nothing fits is taken for another one", () => {
  const { message, detail, next } = leftOut({ applied: 0, refused: ["no"] }, "/srv/db")
  expect(message).toBe('Cannot import 1 of 1 owner into "/srv/db"')
  expect(detail).toEqual(["no"])
  expect(next).toMatch(/skep share owners export/)
})
