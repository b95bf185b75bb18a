// The entries that programs load who only start, adopt and dial: no loop, and no native code but what the runtime has for its locks.
import { loadedBy } from "@skep/testkit/bundle"
import { expect, it } from "vitest"

/** Of `wire` only what addresses need. */
const heavy = (path: string): boolean =>
  /packages\/(loop|vhost-user|link|stack)\/|packages\/wire\/src\/(?!(address|bytes|mac)\.ts)|: koffi$/.test(
    path,
  ) && !path.endsWith("runtime/src/lock.ts: koffi")

it.each(["@skep/network/client"])("%s loads no loop", async (entry) => {
  const paths = await loadedBy([entry], import.meta.dirname)
  expect(paths.some((path) => path.endsWith("network/src/options.ts"))).toBe(true)
  expect(paths.filter(heavy)).toEqual([])
})

it("is seen in the whole package", async () => {
  expect((await loadedBy(["@skep/network"], import.meta.dirname)).filter(heavy)).not.toEqual([])
})

it("is light in the thread's own parts, too: they load neither zod nor the runtime", async () => {
  const parts = [
    "forward/forward-table",
    "policy/policy",
    "policy/refusals",
    "links/link-spec",
    "thread/calls",
  ]
  const paths = await loadedBy(
    parts.map((part) => `../src/${part}.ts`),
    import.meta.dirname,
  )
  expect(paths.some((path) => path.endsWith("network/src/forward/rule.ts"))).toBe(true)
  expect(paths.filter((path) => /packages\/runtime\/|node_modules\/zod\//.test(path))).toEqual([])
})
