import { expect, it } from "vitest"
import { randomWords } from "../../src/gateway/random-words.ts"

it("randomWords() gives each word once, and asks for many at a time", () => {
  let asked = 0
  let last = 0
  const next = randomWords((words) => {
    asked++
    for (let index = 0; index < words.length; index++) words[index] = ++last
  })
  const seen = new Set(Array.from({ length: 2500 }, next))
  expect(seen.size).toBe(2500)
  expect(seen.has(0)).toBe(false)
  expect(asked).toBe(3)
})

it("randomWords() gives other numbers each time", () => {
  const one = randomWords()
  const two = randomWords()
  const words = Array.from({ length: 50 }, () => [one(), two()]).flat()
  expect(new Set(words).size).toBe(100)
  expect(words.every((word) => Number.isInteger(word) && word >= 0 && word < 2 ** 32)).toBe(true)
})
