/**
 * Where paths of the host are in a machine: on a real directory with real links.
 *
 * @module
 */
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs"
import { posix } from "node:path"
import type { ShareRule } from "@skep/contract"
import { type TemporaryDirectory, temporaryDirectory } from "@skep/testkit"
import fc from "fast-check"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { type Places, placeOf } from "../../../src/docker/mounts/places.ts"
import { isGuests } from "../../../src/machine/guest-paths.ts"

let host: TemporaryDirectory
let places: Places
const at = (...names: string[]): string => host.at(...names)

function share(path: string, target = path): ShareRule {
  return { path, target, readOnly: false, cache: "consistent", ownership: "virtual" }
}

beforeAll(async () => {
  host = await temporaryDirectory()
  for (const name of ["home/src", "home/.skep/r", "data/deep", "other"])
    mkdirSync(at(name), { recursive: true })
  writeFileSync(at("home/src/file"), "")
  writeFileSync(at("home/.skep/r/docker.sock"), "")
  symlinkSync("default.sock", at("home/.skep/r/active.sock"))
  writeFileSync(at("other/file"), "")
  symlinkSync("src", at("home/relative"))
  symlinkSync(at("home/src"), at("home/absolute"))
  symlinkSync(at("data"), at("home/to-data"))
  symlinkSync(at("other"), at("home/out"))
  symlinkSync("../../home/src", at("data/deep/up"))
  symlinkSync(at("other/hop"), at("home/hops"))
  symlinkSync(at("home/src"), at("other/hop"))
  symlinkSync("/var/run/docker.sock", at("home/engine"))
  symlinkSync("circle", at("home/circle"))
  symlinkSync(at("home"), at("logical"))
  places = {
    machine: "default",
    shares: [share(at("home"), at("home")), share(at("data"), "/mnt/data")],
    dockerSockets: [at("home/.skep/r/docker.sock")],
    hidden: [at("home/.skep")],
  }
})
afterAll(() => host[Symbol.asyncDispose]())

describe("a path in a share", () => {
  test.each([
    "home",
    "home/src",
    "home/src/file",
    "home/src/",
    "home/new/sub",
    "home/relative",
    "home/absolute",
    "home/absolute/new",
  ])("%s is mounted as it is", async (name) => {
    const path = `${at("home")}${name.slice(4)}`
    expect((await placeOf(path, places)).path).toBe(`${at("home")}${name.slice(4)}`)
  })

  test("through a link that means another place in the machine is what the link means on the host", async () => {
    expect((await placeOf(at("home/to-data"), places)).path).toBe("/mnt/data")
    expect((await placeOf(at("home/to-data/deep"), places)).path).toBe("/mnt/data/deep")
    expect((await placeOf("/mnt/data/deep/up", places)).path).toBe(at("home/src"))
  })

  test("through a link by way of what is not shared is where that leads on the host", async () => {
    expect((await placeOf(at("home/hops"), places)).path).toBe(at("home/src"))
  })

  test("that leads out of all shares is refused with where", async () => {
    await expect(placeOf(at("home/out/file"), places)).rejects.toMatchObject({
      code: "bad-options",
      message: `Cannot mount "${at("home/out/file")}" (which is "${at("other/file")}"): it is not shared with the machine "default"`,
    })
  })

  test("that leads to the machine's own is the machine's", async () => {
    expect(await placeOf(at("home/engine"), places)).toEqual({ path: at("home/engine") })
  })

  test("that leads in a circle, or into Skep's home, is refused", async () => {
    await expect(placeOf(at("home/circle"), places)).rejects.toThrow(/in a circle/)
    await expect(placeOf(at("home/.skep/machines"), places)).rejects.toThrow(/no machine sees/)
  })
})

describe("a path in no share", () => {
  test("but in a shared directory by its real name is in that share", async () => {
    expect((await placeOf(at("data/deep"), places)).path).toBe("/mnt/data/deep")
    expect((await placeOf(at("logical/src"), places)).path).toBe(at("home/src"))
  })

  test.each([
    "/var/run/docker.sock",
    "/run/docker.sock",
    "/proc",
    "/sys/fs/cgroup",
    "/dev/null",
    "/var/lib/docker/containers",
    "/lib/modules",
    "/etc/localtime",
    "/usr/src",
    "/",
    "/var/run/../run/docker.sock",
  ])("%s is the machine's own", async (path) => {
    expect(await placeOf(path, places)).toEqual({ path })
  })

  test("is refused with the command that shares it", async () => {
    await expect(placeOf(at("other"), places)).rejects.toMatchObject({
      message: `Cannot mount "${at("other")}": it is not shared with the machine "default"`,
      next: `Share it: skep share add ${at("other")}`,
    })
    await expect(placeOf(at("other/file"), { ...places, machine: "dev" })).rejects.toMatchObject({
      next: `Share it: skep share add ${at("other")} -m dev`,
    })
    await expect(placeOf("/nowhere/it's", places)).rejects.toMatchObject({
      message: `Cannot mount "/nowhere/it's": it is not shared with the machine "default" and not on the host either`,
      next: String.raw`Make it and share it: mkdir -p '/nowhere/it'\''s' && skep share add '/nowhere/it'\''s'`,
    })
    await expect(placeOf("/usr/local/share", places)).rejects.toThrow(/not shared/)
    await expect(placeOf("/etc/app", places)).rejects.toThrow(/not shared/)
  })

  test("the socket of the machine's own Docker on the host is the one inside", async () => {
    expect((await placeOf(at("home/.skep/r/docker.sock"), places)).path).toBe("/run/docker.sock")
    symlinkSync("docker.sock", at("home/.skep/r/link.sock"))
    expect((await placeOf(at("home/.skep/r/link.sock"), places)).path).toBe("/run/docker.sock")
  })
})

test("whatever is asked for, what is found is in a share or the machine's own", async () => {
  const names = fc.constantFrom("home", "data", "deep", "out", "to-data", "up", "hops", "..", ".", "x", "")
  await fc.assert(
    fc.asyncProperty(fc.array(names, { maxLength: 8 }), async (parts) => {
      try {
        const { path, share: found } = await placeOf(`${at("home")}/${parts.join("/")}`, places)
        const clean = posix.normalize(path)
        const target = found?.target ?? "-"
        expect(isGuests(clean) || `${clean}/`.startsWith(`${target}/`)).toBe(true)
      } catch (error) {
        expect(error).toMatchObject({ code: "bad-options" })
      }
    }),
    { numRuns: 300 },
  )
})
