// The entries that programs load who only start, adopt and dial: no loop, and no native code but what the runtime has for its locks.
import { join } from "node:path"
import { build, stop } from "esbuild"
import { afterAll, expect, it } from "vitest"

afterAll(() => stop())

/** Every file that comes with an entry, and every package that is left outside, with who wants it. */
async function loaded(entry: string): Promise<readonly string[]> {
  const { metafile } = await build({
    stdin: { contents: `export * from "${entry}"`, resolveDir: import.meta.dirname },
    absWorkingDir: join(import.meta.dirname, "../../.."),
    bundle: true,
    write: false,
    metafile: true,
    format: "esm",
    platform: "node",
    conditions: ["source"],
    external: ["koffi", "*.node"],
    logLevel: "silent",
  })
  const outside = Object.entries(metafile.inputs).flatMap(([file, { imports }]) =>
    imports.filter(({ external }) => external === true).map(({ path }) => `${file}: ${path}`),
  )
  return [...Object.keys(metafile.inputs), ...outside]
}

/** Of `wire` only what addresses need. */
const heavy = (path: string): boolean =>
  /packages\/(loop|vhost-user|link|stack)\/|packages\/wire\/src\/(?!(address|bytes|mac)\.ts)|: koffi$/.test(
    path,
  ) && !path.endsWith("runtime/src/lock.ts: koffi")

it.each(["@skep/network/client"])("%s loads no loop", async (entry) => {
  const paths = await loaded(entry)
  expect(paths.some((path) => path.endsWith("network/src/options.ts"))).toBe(true)
  expect(paths.filter(heavy)).toEqual([])
})

it("is seen in the whole package", async () => {
  expect((await loaded("@skep/network")).filter(heavy)).not.toEqual([])
})

it("is light in the thread's own parts, too: they load neither zod nor the runtime", async () => {
  const parts = [
    "forward/forward-table",
    "policy/policy",
    "policy/refusals",
    "links/link-spec",
    "thread/calls",
  ]
  const paths = (await Promise.all(parts.map((part) => loaded(`../src/${part}.ts`)))).flat()
  expect(paths.some((path) => path.endsWith("network/src/forward/rule.ts"))).toBe(true)
  expect(paths.filter((path) => /packages\/runtime\/|node_modules\/zod\//.test(path))).toEqual([])
})
