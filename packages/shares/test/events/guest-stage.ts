/**
 * A share of the host behind a mount of this kernel, with the agent's script beside it: a guest without a machine.
 *
 * @module
 */
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import * as fs from "node:fs"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { Duplex } from "node:stream"
import { CONSISTENT, type FuseSession, type Policy } from "@skep/fuse"
import { temporaryDirectory } from "@skep/testkit"
import { openPassthrough, withOwnership } from "@skep/vfs"
import { EchoQueue, isGhost, ShareEvents, withEchoes } from "../../src/events/index.ts"
import { GuestShares } from "../../src/guest/index.ts"
import { PLACE } from "../../src/tree/numbers.ts"
import { ShareTree } from "../../src/tree/share-tree.ts"
import { kernelMount, turning } from "./kernel-mount.ts"

const AGENT = join(import.meta.dirname, "../../../guest/rootfs/etc/init.d/share-agent")
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

export interface Stage extends AsyncDisposable {
  /** The share's directory on the host. */
  readonly host: string
  /** The same, as a guest has it. */
  readonly guest: string
  readonly events: ShareEvents
  readonly queue: EchoQueue
  readonly session: FuseSession
  readonly seen: string[]
  /** Resolves when the guest has made all that it was told. */
  settled(): Promise<void>
  /** Runs a command in the guest. */
  run(command: string): Promise<string>
  watch(...places: readonly string[]): Promise<Watching>
}

export interface Watching {
  readonly lines: readonly string[]
  /** Resolves when a line has come. */
  until(line: string): Promise<void>
}

export async function stage(policy: Policy): Promise<Stage> {
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
  const policyOf = withEchoes((node) => (isGhost(node % PLACE) ? CONSISTENT : policy), queue)
  const mounted = await kernelMount(loop.root, tree, mount, policyOf)
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
    session: mounted.session,
    seen,
    settled: async () => {
      while (queue.counters.pendingEchoes > 0) await new Promise((resolve) => setImmediate(resolve))
    },
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
