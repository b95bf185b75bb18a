/** The guest's own share agent, run by the host's Perl below a directory that stands for the guest's root. */
import { spawn } from "node:child_process"
import { once } from "node:events"
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { temporaryDirectory } from "@skep/testkit"
import { describe, expect, test } from "vitest"

const PERL = "/usr/bin/perl"
const AGENT = join(import.meta.dirname, "../../rootfs/etc/init.d/share-agent")
const BOOT_ID = "8cafe1b0-ec95-43fa-845e-3266066b9e5f"
/** As /proc/self/mountinfo has it; ROOT is put in. */
const MOUNTS = `21 1 0:20 / ROOT/proc rw - proc proc rw
35 1 0:41 / ROOT/run/skep/shares rw,nosuid,nodev - virtiofs skep rw
36 1 0:41 /1 ROOT/home/a\\040b ro,nosuid - virtiofs skep rw
37 1 0:41 /2 ROOT/srv rw,nosuid - virtiofs skep rw
38 1 0:41 /2/deep ROOT/elsewhere rw - virtiofs skep rw
39 1 0:42 /2 ROOT/other rw - ext4 /dev/vda rw
`

interface Agent extends AsyncDisposable {
  readonly root: string
  /** Below the mount of all shares. */
  readonly shares: string
  /** Sends, and resolves with the next lines that come. */
  ask(text: string, lines: number): Promise<readonly string[]>
  readonly ended: Promise<unknown>
}

async function start(): Promise<Agent> {
  const directory = await temporaryDirectory()
  const root = directory.path
  for (const path of ["proc/sys/kernel/random", "proc/self", "run/skep/shares/1", "outside"])
    mkdirSync(join(root, path), { recursive: true })
  writeFileSync(join(root, "proc/sys/kernel/random/boot_id"), `${BOOT_ID}\n`)
  writeFileSync(join(root, "proc/self/mountinfo"), MOUNTS.replaceAll("ROOT", root))
  const child = spawn(PERL, ["-w", AGENT], { env: { SKEP_ROOT: root }, stdio: ["pipe", "pipe", "pipe"] })
  // Warnings are errors here.
  child.stderr.on("data", (text) => said.push(`stderr: ${text}`))
  const said: string[] = []
  let wake: () => void = () => undefined
  createInterface(child.stdout).on("line", (line) => {
    said.push(line)
    wake()
  })
  const take = async (count: number): Promise<readonly string[]> => {
    while (said.length < count) {
      await new Promise<void>((resolve) => {
        wake = resolve
      })
    }
    return said.splice(0, count)
  }
  expect(await take(1)).toEqual([`hello 1 ${BOOT_ID}`])
  const ended = once(child, "close")
  return {
    root,
    shares: join(root, "run/skep/shares"),
    ask: async (text, lines) => {
      child.stdin.write(text)
      return await take(lines)
    },
    ended,
    [Symbol.asyncDispose]: async () => {
      child.stdin.end()
      await ended
      expect(said).toEqual([])
      await directory[Symbol.asyncDispose]()
    },
  }
}

/** Has changes made, with ids from `first` on, and returns the results by id. */
async function change(
  agent: Agent,
  first: number,
  words: readonly string[],
): Promise<ReadonlyMap<number, number>> {
  const results = new Map<number, number>()
  let answers = agent.ask(words.map((each, index) => `echo ${first + index} ${each}\n`).join(""), 1)
  while (results.size < words.length) {
    const [line = ""] = await answers
    for (const word of line.split(" ").slice(1)) {
      const [id, errno = 0] = word.split(":").map(Number)
      results.set(id ?? -1, errno)
    }
    if (results.size < words.length) answers = agent.ask("", 1)
  }
  return results
}

describe.skipIf(!existsSync(PERL))("the share agent (needs Perl on the host)", () => {
  test("answers requests it does not take, and goes on", async () => {
    await using agent = await start()
    const requests = [
      "mounts",
      `mounts ${"x".repeat(65)}`,
      "nonsense 1",
      "bind 2 1",
      "mount 3 floppy a",
      "mount 4 virtiofs a/b",
      "mount 5 nfs 10.0.2.2 port",
      "mounts 6 more",
      "",
      "echo 65536 modify 1/f",
      "echo x modify 1/f",
    ]
    expect(await agent.ask(`${requests.join("\n")}\n`, requests.length)).toEqual([
      "error - bad-token",
      "error - bad-token",
      "error 1 unknown-request",
      "error 2 bad-arguments",
      "error 3 bad-arguments",
      "error 4 bad-arguments",
      "error 5 bad-arguments",
      "error 6 bad-arguments",
      "error - bad-token",
      "error - bad-token",
      "error - bad-token",
    ])
  })

  test("mounts nothing over what makes the guest", async () => {
    await using agent = await start()
    const targets = ["/proc/1", "/run/skep", "/usr/bin", "/var/lib/docker/overlay2", "/etc", "/dev", "/tmp"]
    const wrong = ["/", "relative", "/a/../etc", "/a//b", "/a/./b", "/a%00b", "/a%2", "/a/"]
    const lines = [...targets, ...wrong].map((target, index) => `bind ${index} 1 ${target} rw\n`)
    expect(await agent.ask(lines.join(""), lines.length)).toEqual([
      ...targets.map((_, index) => `error ${index} refused-target`),
      ...wrong.map((_, index) => `error ${index + targets.length} bad-arguments`),
    ])
    expect(await agent.ask("bind 1 ../1 /a rw\nbind 2 1 /a rx\n", 2)).toEqual([
      "error 1 bad-arguments",
      "error 2 bad-arguments",
    ])
  })

  test("lists the shares, and nothing else", async () => {
    await using agent = await start()
    expect(await agent.ask("mounts 7\n", 4)).toEqual([
      "base 7 virtiofs skep",
      "share 7 1 /home/a%20b ro",
      "share 7 2 /srv rw",
      "done 7",
    ])
    expect(await agent.ask("unbind 8 /nowhere\nunbind 9 /other\nready 10\n", 3)).toEqual([
      "done 8",
      "done 9",
      "done 10",
    ])
    expect(existsSync(join(agent.root, "run/skep/shares-ready"))).toBe(true)
  })

  test("takes no place of another server that is written wrongly, and none where its mounts do not go", async () => {
    await using agent = await start()
    const place = "10.0.2.2 2049 20048 1"
    const wrong = [
      `../1 ${place} /srv`,
      "1 10.0.2.2;x 2049 20048 1 /srv",
      "1 10.0.2.2 2049 port 1 /srv",
      "1 10.0.2.2 2049 20048 -1 /srv",
      `1 ${place} srv`,
      `1 ${place} /srv/../etc`,
      `1 ${place} /a%00b`,
      `1 ${place} /srv more`,
      `1 ${place}`,
    ]
    const lines = wrong.map((words, index) => `attach ${index} ${words}\n`)
    expect(await agent.ask(lines.join(""), lines.length)).toEqual(
      wrong.map((_, index) => `error ${index} bad-arguments`),
    )
    expect(await agent.ask(`attach 1 1 ${place} /srv\nmount 2 exports more\nmount 3 virtiofs\n`, 3)).toEqual([
      "error 1 not-mounted",
      "error 2 bad-arguments",
      "error 3 bad-arguments",
    ])
  })

  test("knows which share a mount of another server is, and mounts it once", async () => {
    await using agent = await start()
    const { root } = agent
    const mounts = `35 1 0:41 / ROOT/run/skep/shares rw,nosuid,nodev - tmpfs exports rw
36 35 0:42 / ROOT/run/skep/shares/1 rw,nosuid,nodev - nfs 10.0.2.2:/home/a\\040b rw
37 1 0:42 / ROOT/home/a\\040b ro,nosuid,nodev - nfs 10.0.2.2:/home/a\\040b rw
38 35 0:43 / ROOT/run/skep/shares/2 rw - nfs 10.0.2.2:/srv rw
39 1 0:43 / ROOT/srv rw - nfs 10.0.2.2:/srv rw
40 35 0:43 / ROOT/run/skep/shares/3 rw - nfs 10.0.2.2:/srv2 rw
41 1 0:43 / ROOT/srv2 rw - nfs 10.0.2.2:/srv2 rw
42 1 0:44 / ROOT/other rw - nfs 10.9.9.9:/ rw
43 1 0:45 / ROOT/tmp/x rw - tmpfs tmpfs rw
`
    writeFileSync(join(root, "proc/self/mountinfo"), mounts.replaceAll("ROOT", root))
    const options = (age: string): string =>
      "vers=3,proto=tcp,mountproto=tcp,mountvers=3,nolock,noacl,hard," +
      `actimeo=${age.split(",")[0]},port=2049,mountport=20048,addr=10.0.2.2,mountaddr=10.0.2.2` +
      (age.startsWith("0") ? ",lookupcache=none" : "")
    writeFileSync(join(root, "run/skep/shares-mount"), "mode=755,size=1m")
    writeFileSync(join(root, "run/skep/shares-mount-1"), options("1"))
    writeFileSync(join(root, "run/skep/shares-mount-2"), options("0"))
    const lines = [
      "mounts 1",
      "mount 2 exports",
      "attach 3 1 10.0.2.2 2049 20048 1 /home/a%20b",
      "attach 4 2 10.0.2.2 2049 20048 0 /srv",
      "bind 5 1 /home/a%20b ro",
      "bind 6 2 /srv rw",
      "bind 9 3 /srv2 rw",
      // Neither is a share.
      "unbind 7 /other",
      "unbind 8 /tmp/x",
    ]
    expect(await agent.ask(`${lines.join("\n")}\n`, 13)).toEqual([
      "base 1 tmpfs exports",
      "share 1 1 /home/a%20b ro",
      "share 1 2 /srv rw",
      "share 1 3 /srv2 rw",
      ...[1, 2, 3, 4, 5, 6, 9, 7, 8].map((token) => `done ${token}`),
    ])
  })

  test("finds no mount where there is none", async () => {
    await using agent = await start()
    writeFileSync(join(agent.root, "proc/self/mountinfo"), "")
    expect(await agent.ask("bind 1 1 /srv rw\nmounts 2\n", 2)).toEqual(["error 1 not-mounted", "done 2"])
  })

  test("makes, changes, moves and removes files of every kind", async () => {
    await using agent = await start()
    const at = (name: string): string => join(agent.shares, "1", name)
    const made = ["file f", "directory d", "symlink l", "fifo p", "socket s"]
    const lines = made.map((words, index) => `echo ${index} make ${words.replace(" ", " 1/")}\n`)
    expect(await agent.ask(lines.join(""), 1)).toEqual(["echoed 0 1 2 3 4"])
    expect(lstatSync(at("f")).isFile()).toBe(true)
    expect(lstatSync(at("d")).isDirectory()).toBe(true)
    expect(readlinkSync(at("l"))).toBe("echo")
    expect(lstatSync(at("p")).isFIFO()).toBe(true)
    expect(lstatSync(at("s")).isSocket()).toBe(true)
    utimesSync(at("f"), 500, 600)
    await agent.ask("echo 5 modify 1/f\n", 1)
    expect(statSync(at("f")).atimeMs).toBe(500_000)
    expect(statSync(at("f")).mtimeMs).not.toBe(600_000)
    utimesSync(at("f"), 500, 600)
    expect(await agent.ask("echo 6 write 1/f\necho 7 attributes 1/f\n", 1)).toEqual(["echoed 6 7"])
    expect(statSync(at("f")).atimeMs).not.toBe(500_000)
    expect(await agent.ask("echo 8 rename 1/f 1/d/g\necho 9 remove file 1/l\n", 1)).toEqual(["echoed 8 9"])
    expect(readdirSync(at("d"))).toEqual(["g"])
    expect(await agent.ask("echo 10 remove file 1/d/g\necho 11 remove directory 1/d\n", 1)).toEqual([
      "echoed 10 11",
    ])
    expect(readdirSync(at("."))).toEqual(["p", "s"])
    expect(await agent.ask("echo 12 create 1/new\necho 13 create 1/new\n", 1)).toEqual(["echoed 12 13:17"])
    expect(statSync(at("new")).size).toBe(0)
  })

  test("takes names as bytes", async () => {
    await using agent = await start()
    await agent.ask("echo 1 make file 1/%ff%0a%20%25\n", 1)
    const [name] = readdirSync(join(agent.shares, "1"), { encoding: "buffer" })
    expect([...(name ?? [])]).toEqual([0xff, 0x0a, 0x20, 0x25])
  })

  test("finds a directory that another has taken the place of", async () => {
    await using agent = await start()
    const at = (name: string): string => join(agent.shares, "1", name)
    mkdirSync(at("d"))
    await agent.ask("echo 1 make file 1/d/f\n", 1)
    renameSync(at("d"), at("e"))
    mkdirSync(at("d"))
    writeFileSync(at("d/g"), "")
    expect(await agent.ask("echo 2 remove file 1/d/g\n", 1)).toEqual(["echoed 2"])
    expect([readdirSync(at("d")), readdirSync(at("e"))]).toEqual([[], ["f"]])
  })

  test("keeps the ways to some directories, and none to what was moved or removed", async () => {
    await using agent = await start()
    const at = (name: string): string => join(agent.shares, "1", name)
    const names = Array.from({ length: 40 }, (_, index) => `d${index}`)
    for (const name of names) mkdirSync(at(`${name}/below`), { recursive: true })
    let id = 0
    const ask = async (...words: readonly string[]): Promise<void> => {
      const results = await change(agent, id, words)
      id += words.length
      expect([...results.values()].every((errno) => errno === 0)).toBe(true)
    }
    await ask(...names.map((name) => `make file 1/${name}/below/f`))
    // The first is the oldest that is kept by then, the second is not.
    await ask(
      ...names.map((name, index) => `rename 1/${name}/below/f 1/${names[39 - index]}/below/g${index}`),
    )
    for (const [index, name] of names.entries())
      expect(readdirSync(at(`${name}/below`))).toEqual([`g${39 - index}`])
    await ask("make file 1/d0/below/x", "rename 1/d0 1/e", "make directory 1/d0", "make directory 1/d0/below")
    await ask("make file 1/d0/below/y", "make file 1/e/below/z", "remove file 1/d0/below/y")
    await ask("remove directory 1/d0/below", "make directory 1/d0/below", "make file 1/d0/below/w")
    expect(readdirSync(at("e/below")).toSorted()).toEqual(["g39", "x", "z"])
    expect(readdirSync(at("d0/below"))).toEqual(["w"])
  })

  test("makes many side by side, those of a directory in their order", async () => {
    await using agent = await start()
    const at = (name: string): string => join(agent.shares, "1", name)
    const names = Array.from({ length: 10 }, (_, index) => `d${index}`)
    // Each of these fails before the one before it, or after the one after it.
    const rounds = [
      ...names.map((name) => `make directory 1/${name}`),
      ...[
        "make file",
        "remove file",
        "make directory",
        "remove directory",
        "create",
        "remove file",
        "make fifo",
      ].flatMap((verb) => names.map((name) => `${verb} 1/${name}/f`)),
      ...names.map((name) => `rename 1/${name} 1/${name}.new`),
      ...["remove file", "make file", "write", "attributes", "modify"].flatMap((verb) =>
        names.map((name) => `${verb} 1/${name}.new/f`),
      ),
      "write 1/none",
    ]
    const results = await change(agent, 1000, rounds)
    expect([...results].filter(([, errno]) => errno !== 0)).toEqual([[1000 + rounds.length - 1, 2]])
    expect(results.size).toBe(rounds.length)
    for (const name of names) expect(lstatSync(at(`${name}.new/f`)).isFile()).toBe(true)
  })

  test("says what could not be done, one by one", async () => {
    await using agent = await start()
    const lines = [
      "echo 1 remove file 1/none",
      "echo 2 make file 1/f",
      "echo 3 make directory 1/f",
      "echo 4 nonsense 1/f",
      "echo 5 modify",
      "echo 6 make chair 1/f",
      "echo 7 modify 1/f%00g",
    ]
    expect(await agent.ask(`${lines.join("\n")}\n`, 1)).toEqual(["echoed 1:2 2 3:17 4:22 5:22 6:22 7:22"])
  })

  test("never leaves the mount, by links or upwards", async () => {
    await using agent = await start()
    const outside = join(agent.root, "outside")
    writeFileSync(join(outside, "victim"), "precious")
    symlinkSync(outside, join(agent.shares, "1/link"))
    symlinkSync(join(outside, "victim"), join(agent.shares, "1/file"))
    const before = statSync(join(outside, "victim"), { bigint: true })
    const lines = [
      "remove file 1/link/victim",
      "make file 1/link/new",
      "rename 1/link/victim 1/stolen",
      "rename 1/file 1/link/file",
      "remove file ../../../outside/victim",
      "modify 1/../../../outside/victim",
      "write 1/file",
      "attributes 1/file",
      "modify /outside/victim",
    ].map((words, index) => `echo ${index} ${words}\n`)
    const [answer] = await agent.ask(lines.join(""), 1)
    expect(answer).toBe("echoed 0:40 1:40 2:40 3:40 4:22 5:22 6 7 8:22")
    expect(statSync(join(outside, "victim"), { bigint: true })).toEqual(before)
    expect(readFileSync(join(outside, "victim"), "utf8")).toBe("precious")
    expect(readdirSync(outside)).toEqual(["victim"])
  })

  test("answers echoes before the request that came after them", async () => {
    await using agent = await start()
    expect(await agent.ask("echo 1 make file 1/f\nready 2\necho 3 modify 1/f\n", 3)).toEqual([
      "echoed 1",
      "done 2",
      "echoed 3",
    ])
  })

  test("answers many in lines that are not too long", async () => {
    await using agent = await start()
    const lines = Array.from({ length: 1000 }, (_, id) => `echo ${id} modify 1/none\n`)
    const ids: string[] = []
    let answers = agent.ask(lines.join(""), 1)
    while (ids.length < 1000) {
      const [line] = await answers
      expect(line?.length).toBeLessThan(4096)
      ids.push(...(line ?? "").split(" ").slice(1))
      if (ids.length < 1000) answers = agent.ask("", 1)
    }
    expect(ids).toEqual(Array.from({ length: 1000 }, (_, id) => `${id}:2`))
  })

  test("hangs up on a line without end", async () => {
    await using agent = await start()
    expect(await agent.ask("x".repeat(40_000), 1)).toEqual(["closing line-too-long"])
    await agent.ended
  })
})
