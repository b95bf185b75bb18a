/** Changes of the host, seen through a mount of this kernel by whoever watches there: the layer, the queue, the agent's script and inotify together. */
import * as fs from "node:fs"
import { join } from "node:path"
import { CACHED, CONSISTENT } from "@skep/fuse"
import { describe, expect, test } from "vitest"
import { stage } from "./guest-stage.ts"
import { noKernelMount } from "./kernel-mount.ts"

const why = noKernelMount()
/** On a machine that has much else to do. */
const MANY_MS = 60_000

describe.skipIf(why !== undefined).each([
  ["nothing kept", CONSISTENT],
  ["a second kept", CACHED],
])(`a change of the host, with ${"%s"}${why === undefined ? "" : ` (${why})`}`, (_name, policy) => {
  test("is an event in the guest, of its kind", async () => {
    await using it = await stage(policy)
    const file = (name: string): string => join(it.host, name)
    for (const name of ["f", "gone", "target"]) fs.writeFileSync(file(name), "old")
    for (const name of ["d", "empty"]) fs.mkdirSync(file(name))
    await it.run(`cat ${it.guest}/* ; ls -R ${it.guest}`)
    await it.settled()
    const before = it.queue.counters.failedEchoes
    const watching = await it.watch(it.guest, `${it.guest}/f`, `${it.guest}/d`, `${it.guest}/target`)
    fs.writeFileSync(file("new"), "hello")
    await watching.until("1 close-write new")
    fs.writeFileSync(file("f"), "new")
    await watching.until("2 close-write ")
    expect(await it.run(`cat ${it.guest}/f`)).toBe("new")
    fs.chmodSync(file("f"), 0o600)
    await watching.until("2 attrib ")
    fs.rmSync(file("gone"))
    await watching.until("1 delete gone")
    fs.renameSync(file("f"), file("d/g"))
    await watching.until("3 to g")
    await watching.until("2 move-self ")
    fs.writeFileSync(file("temporary"), "atomic")
    fs.renameSync(file("temporary"), file("target"))
    await watching.until("4 delete-self ")
    expect(await it.run(`cat ${it.guest}/target`)).toBe("atomic")
    fs.rmdirSync(file("empty"))
    await watching.until("1 delete-dir empty")
    fs.mkdirSync(file("made"))
    await watching.until("1 create-dir made")
    fs.renameSync(file("made"), file("d/moved"))
    await watching.until("3 to-dir moved")
    fs.symlinkSync("f", file("link"))
    await watching.until("1 create link")
    expect(it.seen.filter((line) => line.startsWith("agent"))).toEqual([])
    expect(it.queue.counters).toMatchObject({ failedEchoes: before, droppedEchoes: 0 })
    expect([...new Set(watching.lines)]).toMatchInlineSnapshot(`
      [
        "ready",
        "1 create new",
        "1 modify new",
        "1 close-write new",
        "1 modify f",
        "2 modify ",
        "1 close-write f",
        "2 close-write ",
        "1 attrib f",
        "2 attrib ",
        "1 delete gone",
        "1 from f",
        "3 to g",
        "2 move-self ",
        "1 create temporary",
        "1 modify temporary",
        "1 close-write temporary",
        "1 from temporary",
        "1 to target",
        "4 attrib ",
        "4 delete-self ",
        "1 delete-dir empty",
        "1 create-dir made",
        "1 from-dir made",
        "3 to-dir moved",
        "1 create link",
      ]
    `)
  })

  test("costs few requests", async () => {
    await using it = await stage(policy)
    const file = (name: string): string => join(it.host, "d", name)
    const names = Array.from({ length: 20 }, (_, index) => `f${index}`)
    const each = (what: (name: string) => void): void => names.forEach(what)
    fs.mkdirSync(join(it.host, "d"))
    each((name) => fs.writeFileSync(file(name), "old"))
    await it.run(`ls -lR ${it.guest}`)
    const watching = await it.watch(`${it.guest}/d`)
    // The way there is found once.
    fs.mkdirSync(file("first"))
    await watching.until("1 create-dir first")
    const requests = async (last: string, what: () => void): Promise<Readonly<Record<string, number>>> => {
      const before = it.session.counts()
      what()
      await watching.until(`1 ${last}`)
      const after = it.session.counts()
      // Those of directories come at a moment's end, see echo-policy.ts, and those of closing after the event.
      return Object.fromEntries(
        ["lookup", "open", "create", "mkdir", "setattr", "unlink", "rename"].flatMap((name) => {
          const count = (after[name] ?? 0) - (before[name] ?? 0)
          return count === 0 || (name === "lookup" && policy !== CONSISTENT) ? [] : [[name, count]]
        }),
      )
    }
    const lookups = (count: number): object => (policy === CONSISTENT ? { lookup: count } : {})
    expect(
      await requests("close-write f19", () => each((name) => fs.writeFileSync(file(name), "new"))),
    ).toEqual({
      ...lookups(20),
      open: 20,
      setattr: 20,
    })
    expect(await requests("attrib f19", () => each((name) => fs.chmodSync(file(name), 0o600)))).toEqual({
      ...lookups(20),
      setattr: 20,
    })
    const rename = (name: string): void => fs.renameSync(file(name), file(`${name}.new`))
    expect(await requests("to f19.new", () => each(rename))).toEqual({ ...lookups(40), rename: 20 })
    expect(await requests("delete f19.new", () => each((name) => fs.rmSync(file(`${name}.new`))))).toEqual({
      ...lookups(20),
      unlink: 20,
    })
    expect(
      await requests("close-write f19.made", () =>
        each((name) => fs.writeFileSync(file(`${name}.made`), "")),
      ),
    ).toEqual({
      ...lookups(20),
      create: 20,
      setattr: 20,
    })
  })

  test("touches nothing on the host when it is repeated", async () => {
    await using it = await stage(policy)
    const file = join(it.host, "f")
    fs.writeFileSync(file, "content")
    await it.run(`cat ${it.guest}/f`)
    const watching = await it.watch(it.guest)
    fs.utimesSync(file, 1_000_000, 2_000_000)
    const before = fs.statSync(file, { bigint: true })
    await watching.until("1 attrib f")
    fs.renameSync(file, join(it.host, "g"))
    await watching.until("1 to g")
    const after = fs.statSync(join(it.host, "g"), { bigint: true })
    expect([after.atimeNs, after.mtimeNs, after.mode, after.ino]).toEqual([
      before.atimeNs,
      before.mtimeNs,
      before.mode,
      before.ino,
    ])
    expect(fs.readdirSync(it.host)).toEqual(["g"])
  })

  test("is not told when the guest made it", async () => {
    await using it = await stage(policy)
    await it.run(`ls ${it.guest}`)
    const watching = await it.watch(it.guest)
    const commands = [
      "mkdir d",
      "echo one > d/f",
      "echo two >> d/f",
      "chmod 600 d/f",
      "mv d/f g",
      "mv d e",
      "rm g",
      "rmdir e",
    ]
    await it.run(`cd ${it.guest} && ${commands.join(" && ")}`)
    fs.writeFileSync(join(it.host, "last"), "")
    await watching.until("1 create last")
    expect(it.seen.filter((line) => !line.includes("last"))).toEqual([])
    expect(it.events.counters).toMatchObject({ fileEvents: it.seen.length, ghosts: 0 })
    // Each once: the guest's own events, and no second ones.
    expect(watching.lines.filter((line) => line === "1 create-dir d")).toHaveLength(1)
    expect(watching.lines.filter((line) => line === "1 delete g")).toHaveLength(1)
  })

  test("comes through in a storm, each", { timeout: MANY_MS }, async () => {
    await using it = await stage(policy)
    fs.mkdirSync(join(it.host, "d"))
    await it.run(`ls -R ${it.guest}`)
    const watching = await it.watch(`${it.guest}/d`)
    const names = Array.from({ length: 300 }, (_, index) => `file-${index}`)
    for (const name of names) fs.writeFileSync(join(it.host, "d", name), name)
    for (const name of names) fs.renameSync(join(it.host, "d", name), join(it.host, "d", `${name}.new`))
    for (const name of names) fs.rmSync(join(it.host, "d", `${name}.new`))
    fs.writeFileSync(join(it.host, "d/last"), "")
    await watching.until("1 create last")
    const lines = new Set(watching.lines)
    const missing = names.flatMap((name) =>
      [`create ${name}`, `from ${name}`, `to ${name}.new`, `delete ${name}.new`].filter(
        (line) => !lines.has(`1 ${line}`),
      ),
    )
    expect(missing).toEqual([])
  })

  test("comes in its directory's order, when many come in several", { timeout: MANY_MS }, async () => {
    await using it = await stage(policy)
    const directories = ["a", "b", "c", "d", "e", "f"]
    for (const name of directories) fs.mkdirSync(join(it.host, name))
    await it.run(`ls -R ${it.guest}`)
    const watching = await it.watch(...directories.map((name) => join(it.guest, name)))
    const names = Array.from({ length: 60 }, (_, index) => `file-${index}`)
    for (const name of names)
      for (const directory of directories) fs.writeFileSync(join(it.host, directory, name), name)
    for (const name of names) for (const directory of directories) fs.rmSync(join(it.host, directory, name))
    fs.mkdirSync(join(it.host, "a/last"))
    await watching.until("1 create-dir last")
    for (const [index] of directories.entries())
      for (const kind of ["create", "close-write", "delete"]) {
        const head = `${index + 1} ${kind} `
        const told = watching.lines
          .filter((line) => line.startsWith(head))
          .map((line) => line.slice(head.length))
        expect(told).toEqual(names)
      }
  })

  test("is told of all that goes with a tree", async () => {
    await using it = await stage(policy)
    const names = Array.from({ length: 50 }, (_, index) => `file-${index}`)
    fs.mkdirSync(join(it.host, "tree/deep"), { recursive: true })
    for (const name of names) fs.writeFileSync(join(it.host, "tree/deep", name), name)
    await it.run(`ls -R ${it.guest}`)
    const watching = await it.watch(it.guest, `${it.guest}/tree`, `${it.guest}/tree/deep`)
    fs.rmSync(join(it.host, "tree"), { recursive: true })
    await watching.until("1 delete-dir tree")
    const lines = new Set(watching.lines)
    expect(names.filter((name) => !lines.has(`3 delete ${name}`))).toEqual([])
    expect(lines.has("2 delete-dir deep")).toBe(true)
    expect(await it.run(`ls ${it.guest}`)).toBe("")
  })
})
