/** Changes of the host, seen through a mount of this kernel by whoever watches there: the layer, the queue, the agent's script and inotify together. */
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import * as fs from "node:fs"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { Duplex } from "node:stream"
import { CACHED, CONSISTENT, type Policy } from "@skep/fuse"
import { temporaryDirectory } from "@skep/testkit"
import { openPassthrough, withOwnership } from "@skep/vfs"
import { describe, expect, test } from "vitest"
import { EchoQueue, isGhost, ShareEvents } from "../../src/events/index.ts"
import { GuestShares } from "../../src/guest/index.ts"
import { PLACE } from "../../src/tree/numbers.ts"
import { ShareTree } from "../../src/tree/share-tree.ts"
import { kernelMount, noKernelMount, turning } from "./kernel-mount.ts"

const AGENT = join(import.meta.dirname, "../../../guest/rootfs/etc/init.d/share-agent")
const why = noKernelMount()
const SHARE = 3
const BOOT_ID = "8cafe1b0-ec95-43fa-845e-3266066b9e5f"

/** Prints what happens at each place, by inotify, one event a line. "ready" first. */
const WATCHER = `
my $fd = syscall(294, 0); my @places = ('');
for (@ARGV) { my $place = "$_"; my $wd = syscall(254, $fd, $place, 0xfee); push @places, $wd < 0 ? "?" : $place }
open my $events, '<&=', $fd; $| = 1; print "ready\\n";
my %names = (2 => 'modify', 4 => 'attrib', 8 => 'close-write', 64 => 'from', 128 => 'to', 256 => 'create', 512 => 'delete', 1024 => 'delete-self', 2048 => 'move-self');
while (sysread $events, my $bytes, 65536) {
  while (length $bytes) {
    my ($wd, $mask, $cookie, $length) = unpack 'lLLL', $bytes;
    my $name = unpack 'Z*', substr $bytes, 16, $length;
    substr($bytes, 0, 16 + $length) = '';
    for (sort { $a <=> $b } keys %names) { print "$wd $names{$_}", ($mask & 0x40000000 ? '-dir' : ''), " $name\\n" if $mask & $_ }
  }
}`

interface Stage extends AsyncDisposable {
  /** The share's directory on the host. */
  readonly host: string
  /** The same, as a guest has it. */
  readonly guest: string
  readonly events: ShareEvents
  readonly queue: EchoQueue
  readonly seen: string[]
  /** Runs a command in the guest. */
  run(command: string): Promise<string>
  watch(...places: readonly string[]): Promise<Watching>
}

interface Watching {
  readonly lines: readonly string[]
  /** Resolves when a line has come. */
  until(line: string): Promise<void>
}

async function stage(policy: Policy): Promise<Stage> {
  const directory = await temporaryDirectory()
  const root = join(directory.path, "guest")
  const host = join(directory.path, "host")
  const mount = join(root, "run/skep/shares")
  fs.mkdirSync(mount, { recursive: true })
  fs.mkdirSync(host)
  fs.mkdirSync(join(root, "proc/sys/kernel/random"), { recursive: true })
  fs.writeFileSync(join(root, "proc/sys/kernel/random/boot_id"), `${BOOT_ID}\n`)
  const { loop, ...loopEnd } = turning()
  const seen: string[] = []
  const queue: EchoQueue = new EchoQueue({
    send: (lines) => guest.echo(lines),
    onOverflow: () => events.renew(),
  })
  const events = new ShareEvents({
    inner: withOwnership(openPassthrough({ path: host })),
    scope: loop.root,
    path: host,
    name: String(SHARE),
    queue,
    nowMs: Date.now(),
    onEvent: (event) => seen.push(JSON.stringify(event)),
  })
  const tree = new ShareTree({ now: () => 0 })
  tree.put({ number: SHARE, life: 1, fileSystem: events.fileSystem })
  const mounted = await kernelMount(loop.root, tree, mount, (node) =>
    isGhost(node % PLACE) ? CONSISTENT : policy,
  )
  const children: ChildProcess[] = []
  const start = (command: string, args: readonly string[]): ChildProcess => {
    const child = spawn(command, args, { env: { SKEP_ROOT: root, PATH: "/usr/bin:/bin" }, stdio: "pipe" })
    children.push(child)
    return child
  }
  let opened: () => void = () => undefined
  const ready = new Promise<void>((resolve) => {
    opened = resolve
  })
  const guest = new GuestShares({
    dial: async () => {
      const { stdin, stdout, stderr } = start("perl", ["-w", AGENT])
      if (stdin === null || stdout === null) throw new Error("start() gives it pipes")
      stderr?.on("data", (text) => seen.push(`agent: ${text}`))
      return Duplex.from({ readable: stdout, writable: stdin })
    },
    onReady: ({ again }) => {
      queue.open(again)
      opened()
    },
    onLost: () => queue.pause(),
    onEchoed: (results) => queue.settle(results),
  })
  await ready
  return {
    host,
    guest: join(mount, String(SHARE)),
    events,
    queue,
    seen,
    run: async (command) => {
      const child = start("sh", ["-c", command])
      let output = ""
      child.stdout?.on("data", (chunk) => {
        output += String(chunk)
      })
      child.stderr?.on("data", (chunk) => {
        output += String(chunk)
      })
      await once(child, "close")
      return output
    },
    watch: async (...places) => {
      const lines: string[] = []
      const waiting = new Map<string, () => void>()
      const child = start("perl", ["-e", WATCHER, ...places])
      if (child.stdout === null) throw new Error("start() gives it pipes")
      createInterface(child.stdout).on("line", (line) => {
        lines.push(line)
        waiting.get(line)?.()
      })
      const until = async (line: string): Promise<void> => {
        if (!lines.includes(line)) await new Promise<void>((resolve) => waiting.set(line, resolve))
      }
      await until("ready")
      return { lines, until }
    },
    [Symbol.asyncDispose]: async () => {
      await guest[Symbol.asyncDispose]()
      for (const child of children) child.kill("SIGKILL")
      await mounted[Symbol.asyncDispose]()
      loopEnd[Symbol.dispose]()
      await directory[Symbol.asyncDispose]()
    },
  }
}

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

  test("comes through in a storm, each", async () => {
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
