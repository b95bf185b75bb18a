/**
 * `docker load` of a large image through the machine's docker.sock, beside the same through an SSH forward of the benchmark's own.
 *
 * @module
 */
import { type ChildProcess, spawn } from "node:child_process"
import { randomFillSync } from "node:crypto"
import { once } from "node:events"
import { closeSync, existsSync, mkdirSync, openSync, rmSync, writeFileSync, writeSync } from "node:fs"
import { join } from "node:path"
import { setTimeout as delay } from "node:timers/promises"
import { type BenchHome, MACHINE, run, seconds } from "../home.ts"
import { alternate, type Row, rowOf } from "../row.ts"

const IMAGE = "bench"
const MEGABYTES = 200
const ROUNDS = 3
const BAR = 1.5
const FORWARD_MS = 20_000

/** The machine runs. */
export async function dockerLoad(home: BenchHome, progress: (text: string) => void): Promise<readonly Row[]> {
  // On tmpfs where there is one: the host's disk is not what is measured.
  const directory = join(existsSync("/dev/shm") ? "/dev/shm" : home.directory, `skep-bench-${process.pid}`)
  mkdirSync(directory, { mode: 0o700 })
  let ssh: ChildProcess | undefined
  try {
    const ours = join(home.directory, "r", MACHINE, "docker.sock")
    const forwarded = join(home.directory, "ssh.sock")
    ssh = await forward(home, forwarded)
    const archive = join(directory, "image.tar")
    await makeArchive(home, ours, archive)
    progress(`  docker load of ${MEGABYTES} MB`)
    const load = (socket: string) => () => loaded(home, socket, archive)
    const samples = await alternate(ROUNDS, { ours: load(ours), SSH: load(forwarded) }, progress)
    const name = `docker load of ${MEGABYTES} MB`
    const peers = { SSH: samples.SSH }
    return [
      rowOf({ suite: "vsock", name, unit: "MB/s", better: "higher", ours: samples.ours, peers, bar: BAR }),
    ]
  } finally {
    await ended(ssh)
    rmSync(directory, { recursive: true, force: true })
  }
}

/** The engine's socket at a path of ours, by the host's ssh as `skep ssh-config` tells it. */
async function forward(home: BenchHome, path: string): Promise<ChildProcess> {
  rmSync(path, { force: true })
  const config = join(home.directory, "ssh_config")
  writeFileSync(config, await home.skep("ssh-config", MACHINE), { mode: 0o600 })
  const host = /^Host (\S+)/m.exec(await home.skep("ssh-config", MACHINE))?.[1]
  if (host === undefined) throw new Error("skep ssh-config names no host")
  const words = ["-F", config, "-N", "-o", "ExitOnForwardFailure=yes", "-L", `${path}:/run/docker.sock`, host]
  const child = spawn("ssh", words, { stdio: ["ignore", "ignore", "inherit"] })
  const end = Date.now() + FORWARD_MS
  while (!existsSync(path)) {
    if (child.exitCode !== null || Date.now() > end) {
      await ended(child)
      throw new Error("ssh does not forward the engine's socket")
    }
    await delay(50)
  }
  return child
}

/** An image of bytes that nothing compresses, as `docker save` writes it. */
async function makeArchive(home: BenchHome, socket: string, archive: string): Promise<void> {
  const root = join(archive, "../root")
  mkdirSync(root)
  const file = openSync(join(root, "bytes"), "wx")
  for (let i = 0; i < MEGABYTES; i++) writeSync(file, randomFillSync(Buffer.alloc(1_000_000)))
  closeSync(file)
  const tar = join(archive, "../root.tar")
  await run("tar", ["-C", root, "-cf", tar, "bytes"], process.env)
  rmSync(root, { recursive: true })
  await docker(home, socket, "import", tar, IMAGE)
  rmSync(tar)
  await docker(home, socket, "save", "--output", archive, IMAGE)
  await docker(home, socket, "rmi", IMAGE)
}

/** Megabytes a second until the image is there; it is not there before, nor afterwards, and nothing is left to be written to the disk. */
async function loaded(home: BenchHome, socket: string, archive: string): Promise<number> {
  await home.skep("shell", "-m", MACHINE, "--", "sync")
  const took = await seconds(() => docker(home, socket, "load", "--quiet", "--input", archive))
  // Says so if it is not there.
  await docker(home, socket, "rmi", IMAGE)
  return MEGABYTES / took
}

async function docker(home: BenchHome, socket: string, ...words: readonly string[]): Promise<void> {
  await run("docker", ["--host", `unix://${socket}`, ...words], home.env)
}

async function ended(child: ChildProcess | undefined): Promise<void> {
  if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
  const gone = once(child, "exit")
  child.kill("SIGTERM")
  await gone
}
