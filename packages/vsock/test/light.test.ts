// The entries that programs load who only start, adopt and dial: no loop, and no native code but what the runtime has for its locks.
import { loadedBy } from "@skep/testkit/bundle"
import { expect, it } from "vitest"

const heavy = (path: string): boolean =>
  /packages\/(loop|vhost-user)\/|: koffi$/.test(path) && !path.endsWith("runtime/src/lock.ts: koffi")

it.each(["@skep/vsock/client", "@skep/vsock/dialect"])("%s loads no loop", async (entry) => {
  const paths = await loadedBy([entry], import.meta.dirname)
  expect(paths.some((path) => path.endsWith("src/dialect/greeting.ts"))).toBe(true)
  expect(paths.filter(heavy)).toEqual([])
})

it("is seen in the whole package", async () => {
  expect((await loadedBy(["@skep/vsock"], import.meta.dirname)).filter(heavy)).not.toEqual([])
})
